"""A flood: what it reaches is one component, and what touches that is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from harness.masks.bits import Bits
from harness.scoring.components import Connectivity
from harness.scoring.flood import flooded

from .test_equality import grid_of

SHAPE = (130, 40, 30)
ORDERS: tuple[tuple[Connectivity, int], ...] = ((6, 1), (18, 2), (26, 3))


def words_of(mask: Bits) -> np.ndarray:
    """Return all words of a mask, (D, W, words of a row)."""
    found = np.zeros(mask.shape[2] * mask.shape[1] * mask.row_words, np.uint64)
    found[mask.words] = mask.bits
    return found.reshape(mask.shape[2], mask.shape[1], -1)


def voxels_of(mask: Bits) -> np.ndarray:
    """Return a mask as an array (H, W, D)."""
    found = np.zeros(mask.shape, bool)
    found[mask.coordinates()] = True
    return found


@pytest.mark.parametrize(("connectivity", "order"), ORDERS)
@pytest.mark.parametrize("share", [0.4, 0.5, 0.8, 1.0])
def test_what_is_reached_is_connected(connectivity: Connectivity, order: int, share: float) -> None:
    """Core and rest are the mask, the core lies in one component and is most of it, and its neighbours are told."""
    mask = np.random.default_rng(7).random(SHAPE) < share
    mask[100:, :, 14] = False  # rows end in voids as well as in the next row
    found = flooded(words_of(grid_of(mask)), SHAPE, connectivity)
    assert found is not None
    core, rest = voxels_of(found.core), voxels_of(found.rest)
    assert not (core & rest).any()
    assert np.array_equal(core | rest, mask)
    structure = ndimage.generate_binary_structure(3, order)
    labels, _ = ndimage.label(mask, structure)
    (label,) = np.unique(labels[core])
    assert core.sum() > 0.9 * (labels == label).sum()
    touching = Bits(SHAPE, found.rest.words, found.rest.labels, found.beside)
    assert np.array_equal(voxels_of(touching), rest & ndimage.binary_dilation(core, structure))
    first = found.described()
    assert (first.size, first.place) == (core.sum(), np.flatnonzero(core)[0])


def test_scattered_voxels_are_not_flooded() -> None:
    """Nothing holds most of a mask whose components are small."""
    mask = np.random.default_rng(7).random(SHAPE) < 0.05
    assert flooded(words_of(grid_of(mask)), SHAPE, 18) is None


def test_what_does_not_lead_on_is_given_up() -> None:
    """Where passes to and fro reach little of what the densest slices promise, there is nothing to go on with."""
    mask = np.ones(SHAPE, bool)
    mask[5, 5, 13:] = False  # so that the flood begins in the first slices
    assert flooded(words_of(grid_of(mask)), SHAPE, 18) is not None
    mask[:, :, 12] = False
    assert flooded(words_of(grid_of(mask)), SHAPE, 18) is None
