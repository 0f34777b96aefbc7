"""Resizing by area: the means that torch's ``area`` takes, smaller and larger, and what becomes of masks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from groundbench_sdk.area import resize_by_area


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((9, 14, 31), (4, 8, 32)),
        ((5, 3, 7), (8, 3, 20)),
        ((6, 8), (3, 4)),
        ((1, 1, 1), (2, 3, 1)),
        ((4, 4, 4), (4, 4, 4)),
    ],
)
def test_each_sample_is_the_mean_of_what_it_touches(shape: tuple[int, ...], size: tuple[int, ...]) -> None:
    """By the definition, sample by sample."""
    values = np.random.default_rng(0).random(shape).astype(np.float32)
    found = resize_by_area(values, size)
    assert found.shape == size
    assert found.dtype == np.float32
    for place in itertools.product(*map(range, size)):
        box = tuple(
            slice(at * length // samples, -(-(at + 1) * length // samples))
            for at, length, samples in zip(place, shape, size, strict=True)
        )
        assert found[place] == pytest.approx(values[box].mean(dtype=np.float64), abs=1e-6)


def test_known_answers_of_torch() -> None:
    """Computed with torch 2.13: 5 samples of 3 voxels, and 2 of 3, of 0, 3 and 9."""
    values = np.array([0, 3, 9], np.float32)
    np.testing.assert_allclose(resize_by_area(values, (5,)), [0, 1.5, 3, 6, 9])
    np.testing.assert_allclose(resize_by_area(values, (2,)), [1.5, 6])


def test_masks_become_shares() -> None:
    """Where samples share no voxel, the shares sum to the mask's volume in samples."""
    mask = np.zeros((8, 12), bool)
    mask[1, 2] = mask[7, 11] = True
    found = resize_by_area(mask, (4, 6))
    assert found.sum() == pytest.approx(2 / 4)
    assert found.max() == pytest.approx(1 / 4)
