"""The same numbers from well-known libraries, where they are installed (dependency group ``peers``)."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from harness.masks.bits import Bits, from_coordinates
from harness.scoring.distances import average_surface_distance
from harness.scoring.overlap import dice
from harness.scoring.regions import Regions

SPACINGS = [(1.0, 1.0, 1.0), (0.7, 0.7, 1.5), (0.57, 0.57, 5.0)]


def grid_of(labels: np.ndarray) -> Bits:
    """Return a whole (H, W, D) array of labels as the sparse grid that the scorer works on."""
    x, y, z = (axis.astype(np.int64) for axis in np.nonzero(labels))
    h, w, d = labels.shape
    return from_coordinates((h, w, d), x, y, z, labels[x, y, z].astype(np.int32))


def draw_pair(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return two overlapping unions of balls."""
    rng = np.random.default_rng(seed)
    grid = np.ogrid[:70, :40, :30]
    masks = []
    for _ in range(2):
        mask = np.zeros((70, 40, 30), bool)
        for _ in range(4):
            centre = rng.integers((15, 12, 10), (55, 28, 20))
            mask |= sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)) <= rng.integers(3, 9) ** 2
        masks.append(mask)
    return masks[0], masks[1]


def our_dice(a: np.ndarray, b: np.ndarray) -> float:
    """Compute the Dice of two arrays with the scorer."""
    one, other = grid_of(a), grid_of(b)
    return dice(one.count, other.count, one.intersection(other))


def our_assd(a: np.ndarray, b: np.ndarray, spacing: tuple[float, float, float]) -> float:
    """Compute the ASSD of two arrays with the scorer."""
    one, other = (Regions(grid_of(mask)).surface(0) for mask in (a, b))
    return average_surface_distance(one, other, spacing)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("spacing", SPACINGS)
def test_monai(seed: int, spacing: tuple[float, float, float]) -> None:
    """MONAI's Dice and symmetric average surface distance, which it computes in single precision."""
    torch = pytest.importorskip("torch", reason="MONAI is not installed (dependency group peers)")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        metrics = pytest.importorskip("monai.metrics", reason="MONAI is not installed (dependency group peers)")
        a, b = draw_pair(seed)
        first, second = (torch.from_numpy(mask)[None, None] for mask in (a, b))
        value = metrics.compute_dice(first, second, include_background=True).item()
        distance = metrics.compute_average_surface_distance(
            first, second, include_background=True, symmetric=True, spacing=spacing
        ).item()
    assert our_dice(a, b) == pytest.approx(value, rel=1e-6)
    assert our_assd(a, b, spacing) == pytest.approx(distance, rel=1e-6)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("spacing", SPACINGS)
def test_surface_distance(seed: int, spacing: tuple[float, float, float]) -> None:
    """surface-distance: the same Dice; its surfaces run between voxels, weighed by area: less than a voxel off."""
    library = pytest.importorskip("surface_distance", reason="surface-distance is not installed (group peers)")
    a, b = draw_pair(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        distances = library.compute_surface_distances(a, b, spacing)
        same = library.compute_average_surface_distance(library.compute_surface_distances(a, a, spacing))
    value = sum(library.compute_average_surface_distance(distances)) / 2
    assert our_dice(a, b) == pytest.approx(library.compute_dice_coefficient(a, b), abs=1e-12)
    assert abs(our_assd(a, b, spacing) - value) < max(spacing)
    assert (our_assd(a, a, spacing), *same) == (0.0, 0.0, 0.0)
