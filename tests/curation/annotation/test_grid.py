"""A mask is brought onto its CT's grid by its affine, whatever the order and direction of its axes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from curation.annotation.grid import place
from tests.curation.annotation.conftest import AFFINE, SHAPE


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("flips", list(itertools.product([False, True], repeat=3)))
def test_every_order_and_direction_of_axes(order: tuple[int, ...], flips: tuple[bool, ...]) -> None:
    """All 48 ways in which axes can be exchanged and reversed come back exactly, cropped or not."""
    labels = np.random.default_rng(0).integers(0, 4, SHAPE).astype(np.uint8)
    crop = labels[4:20, 3:17, 5:15]
    affine = AFFINE.copy()
    affine[:3, 3] += AFFINE[:3, :3] @ [4, 3, 5]
    for axis, flip in enumerate(flips):
        if flip:
            affine[:3, 3] += affine[:3, axis] * (crop.shape[axis] - 1)
            affine[:3, axis] *= -1
            crop = np.flip(crop, axis)
    crop, affine = crop.transpose(order), affine[:, [*order, 3]]
    expected = np.zeros(SHAPE, np.uint8)
    expected[4:20, 3:17, 5:15] = labels[4:20, 3:17, 5:15]
    assert np.array_equal(place(crop, affine, SHAPE, AFFINE, "mask"), expected)
