"""SAT's grid: resampling, crop, windows, and the way back to the CT's voxels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from plugins.sat import volume

#: Hounsfield units to which upstream clips.
WINDOW = (-500.0, 1000.0)


def body(shape: tuple[int, int, int], seed: int = 0) -> Any:
    """Give air with a block of soft tissue in it."""
    ct = np.full(shape, -900.0, dtype=np.float32)
    inner = tuple(slice(length // 4, length - length // 5) for length in shape)
    ct[inner] = np.random.default_rng(seed).normal(50, 20, ct[inner].shape)
    return ct


@pytest.mark.parametrize("spacing", [(0.7, 0.7, 1.25), (2.7, 1.1, 5.0), (1.0, 1.0, 3.0)])
def test_resampling_is_trilinear_from_the_first_voxels_centre(spacing: tuple[float, float, float]) -> None:
    """An independent rule: scipy's interpolation at the same places, then crop, clip and standardise."""
    ct = body((31, 28, 17))
    image, grid = volume.prepare(ct, spacing, 1.0, *WINDOW)
    counts = [round((n - 1) * s / w) + 1 for n, s, w in zip(ct.shape, spacing, (1, 1, 3), strict=True)]
    places = np.meshgrid(
        *(np.arange(c) * w / s for c, s, w in zip(counts, spacing, (1, 1, 3), strict=True)), indexing="ij"
    )
    whole = map_coordinates(ct, places, order=1, mode="nearest")
    inside = np.argwhere(whole > 0)
    assert grid.starts == tuple(inside.min(0))
    assert grid.stops == tuple(inside.max(0) + 1)
    kept = np.clip(whole[tuple(slice(*b) for b in zip(inside.min(0), inside.max(0) + 1, strict=True))], -500, 1000)
    np.testing.assert_allclose(image, (kept - kept.mean()) / kept.std(), atol=2e-3)


def test_without_resampling_and_crop_everything_comes_back_exactly() -> None:
    """On SAT's own grid the way there and back changes nothing."""
    ct = np.random.default_rng(0).normal(300, 50, (12, 11, 10)).astype(np.float32)
    image, grid = volume.prepare(ct, (1.0, 1.0, 3.0), 1.0, *WINDOW)
    assert image.shape == ct.shape
    np.testing.assert_allclose(grid.restore(image), (ct - ct.mean()) / ct.std(), atol=1e-4)


@pytest.mark.parametrize("spacing", [(0.7, 0.7, 1.25), (2.7, 1.1, 5.0), (0.6, 0.9, 3.0)])
def test_a_label_comes_back_to_its_own_voxels(spacing: tuple[float, float, float]) -> None:
    """A block well inside the body is found again within half of SAT's voxels."""
    ct = body((60, 56, 40))
    label = np.zeros(ct.shape, dtype=bool)
    label[20:40, 18:36, 14:28] = True
    _, grid = volume.prepare(ct, spacing, 1.0, *WINDOW)
    back = grid.restore(grid.sample(label).astype(np.float32)) > 0.5
    assert back.shape == ct.shape
    for axis in range(3):
        found = np.flatnonzero(back.any(axis=tuple(other for other in range(3) if other != axis)))
        true = np.flatnonzero(label.any(axis=tuple(other for other in range(3) if other != axis)))
        slack = max(1.0, grid.steps[axis])
        assert abs(found[0] - true[0]) <= slack
        assert abs(found[-1] - true[-1]) <= slack


def test_nothing_is_found_outside_the_crop() -> None:
    """Where SAT saw nothing it says nothing, even when it says yes everywhere."""
    ct = body((40, 40, 30))
    image, grid = volume.prepare(ct, (1.0, 1.0, 3.0), 1.0, *WINDOW)
    back = grid.restore(np.ones(image.shape, dtype=np.float32)) > 0.5
    np.testing.assert_array_equal(np.argwhere(back).min(0), np.array(grid.starts))
    np.testing.assert_array_equal(np.argwhere(back).max(0) + 1, np.array(grid.stops))


@pytest.mark.parametrize("value", [-1000.0, 40.0])
def test_a_ct_that_cannot_be_standardised_is_refused_with_a_reason(value: float) -> None:
    """Upstream ends in an empty volume or divides by 0."""
    with pytest.raises(ValueError, match="SAT"):
        volume.prepare(np.full((8, 8, 8), value, dtype=np.float32), (1.0, 1.0, 3.0), 1.0, *WINDOW)


@given(st.tuples(*[st.integers(1, 70)] * 3), st.tuples(*[st.sampled_from([8, 16, 32])] * 3))
def test_windows_cover_everything_and_stay_inside(shape: tuple[int, ...], size: tuple[int, ...]) -> None:
    """Each voxel is seen, windows have their full size where the volume has, and number as upstream's do."""
    seen = np.zeros(shape, dtype=int)
    count = 0
    for window in volume.windows(shape, size):
        seen[window] += 1
        count += 1
        for part, side, length in zip(window, size, shape, strict=True):
            assert 0 <= part.start < part.stop <= length
            assert part.stop - part.start == min(side, length)
    assert seen.min() >= 1
    assert count == np.prod([max(-(-length // (side // 2)) - 1, 1) for length, side in zip(shape, size, strict=True)])
