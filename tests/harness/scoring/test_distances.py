"""Average surface distances, beside a table of all pairs of surface voxels."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.scoring.distances import average_surface_distance
from harness.scoring.regions import Regions, Surface
from tests.harness.conftest import bits_of

SPACING = (0.8, 0.9, 2.5)


def _surface(low: tuple[int, int, int], high: tuple[int, int, int]) -> Surface:
    mask = np.zeros((40, 20, 12), bool)
    mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return Regions(bits_of(mask)).surface(0)


def _by_all_pairs(one: Surface, other: Surface) -> float:
    a, b = (np.concatenate(list(each.points(1000))) * SPACING for each in (one, other))
    apart = np.linalg.norm(a[:, None] - b[None], axis=2)
    return float((apart.min(1).sum() + apart.min(0).sum()) / (len(a) + len(b)))


@pytest.mark.parametrize(
    ("low", "high"),
    [((4, 4, 3), (9, 9, 7)), ((6, 5, 2), (12, 9, 6)), ((20, 10, 6), (30, 15, 10)), ((4, 4, 3), (5, 5, 4))],
)
def test_it_is_the_mean_over_both_surfaces(low: tuple[int, int, int], high: tuple[int, int, int]) -> None:
    """Inside each other, overlapping, far apart, one voxel: the pooled mean of nearest distances in mm."""
    one, other = _surface((4, 4, 3), (10, 9, 7)), _surface(low, high)
    assert average_surface_distance(one, other, SPACING) == pytest.approx(_by_all_pairs(one, other), rel=1e-12)


def test_beyond_the_limit_there_is_no_distance() -> None:
    """A distance that is greater than the limit is infinite, and not a number that looks exact."""
    one, other = _surface((0, 0, 0), (2, 2, 2)), _surface((30, 15, 8), (34, 18, 11))
    assert average_surface_distance(one, other, SPACING, limit=5.0) == math.inf
