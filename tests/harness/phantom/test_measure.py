"""Axial diameters."""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt
import pytest

from harness.phantom.measure import axial_diameters, front_to_back


def slow_diameters(mask: npt.NDArray[np.bool_], spacing: tuple[float, float, float]) -> tuple[float, float]:
    """Try every pair of pixel corners of every slice."""
    best = (0.0, 0.0)
    for k in range(mask.shape[2]):
        corners = {
            ((i + a) * spacing[0], (j + b) * spacing[1])
            for i, j in np.argwhere(mask[:, :, k])
            for a, b in itertools.product((0, 1), repeat=2)
        }
        for first, second in itertools.combinations(sorted(corners), 2):
            longest = math.dist(first, second)
            if longest > best[0] + 1e-9:
                normal = (-(second[1] - first[1]) / longest, (second[0] - first[0]) / longest)
                across = [x * normal[0] + y * normal[1] for x, y in corners]
                best = longest, max(across) - min(across)
    return best


@pytest.mark.parametrize("seed", range(12))
def test_agrees_with_every_pair_of_corners(seed: int) -> None:
    """The longest diameter is that of a search over all pairs; so is its perpendicular where the pair is unique."""
    rng = np.random.default_rng(seed)
    mask = rng.random((7, 6, 3)) < 0.3
    spacing = (0.71, 0.93, 2.0)
    longest, across = axial_diameters(mask, spacing)
    slow_longest, slow_across = slow_diameters(mask, spacing)
    assert longest == pytest.approx(slow_longest)
    assert across == pytest.approx(slow_across)


def test_one_voxel_measures_its_diagonal() -> None:
    """A voxel is as long as its diagonal in plane, and as wide across it."""
    mask = np.zeros((3, 3, 3), np.bool_)
    mask[1, 1, 1] = True
    assert axial_diameters(mask, (3.0, 4.0, 9.0)) == pytest.approx((5.0, 4.8))


def test_front_to_back_counts_columns() -> None:
    """The thickness is that of the thickest column along the second axis."""
    mask = np.zeros((2, 9, 2), np.bool_)
    mask[0, 2:7, 1] = True
    mask[1, 2:4, 0] = True
    assert front_to_back(mask, (1.0, 2.0, 3.0)) == 10.0
