"""Connected components of sparse masks, beside scipy's on whole arrays."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from harness.scoring.components import Connectivity, components
from tests.harness.conftest import bits_of

_STRUCTURE = {6: 1, 18: 2, 26: 3}


@pytest.mark.parametrize("connectivity", [6, 18, 26])
def test_as_many_as_scipy_finds(connectivity: Connectivity) -> None:
    """Sizes of all components of a random mask, whose rows go over the border of a word."""
    mask = np.random.default_rng(3).random((70, 9, 8)) < 0.25
    labelled, _ = ndimage.label(mask, ndimage.generate_binary_structure(3, _STRUCTURE[connectivity]))
    expected = np.bincount(labelled.ravel())[1:]
    found = components(bits_of(mask), connectivity=connectivity, min_voxels=1, max_components=10_000)
    sizes = np.zeros(found.labels.max() + 1, np.int64)
    np.add.at(sizes, found.labels, np.bitwise_count(found.bits))
    assert sorted(sizes[sizes > 0]) == sorted(expected)


def test_small_ones_are_left_out() -> None:
    """A component of exactly `min_voxels` stays, a smaller one goes."""
    mask = np.zeros((9, 4, 4), bool)
    mask[0:3, 0, 0] = mask[6:8, 0, 0] = True
    kept = components(bits_of(mask), connectivity=6, min_voxels=3, max_components=10)
    assert kept.count == 3


def test_touching_by_a_corner_is_touching_for_26_only() -> None:
    """Two voxels that share one corner."""
    mask = np.zeros((2, 2, 2), bool)
    mask[0, 0, 0] = mask[1, 1, 1] = True
    found = {
        n: len(set(components(bits_of(mask), connectivity=n, min_voxels=1, max_components=10).labels))
        for n in (6, 18, 26)
    }
    assert found == {6: 2, 18: 2, 26: 1}
