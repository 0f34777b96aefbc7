"""The scanner: blur, noise, and the range of Hounsfield units."""

from __future__ import annotations

import numpy as np

from harness.phantom.grid import Grid
from harness.phantom.scanner import scan

GRID = Grid(shape=(64, 64, 12), spacing=(3.5, 3.5, 4.5), start=(0.0, 0.0, 0.0))


def _scan(value: float, seed: int = 1) -> np.ndarray:
    return scan(np.full(GRID.shape, value, np.float32), GRID, np.random.default_rng(seed))


def test_noise_moves_no_mean() -> None:
    """Uniform tissue stays at its value on average; the noise of voxels this large is 11 HU."""
    found = _scan(40.0)
    assert abs(found.mean() - 40) < 1
    assert abs(found.std() - 11) < 1


def test_values_stay_within_the_range_of_a_scanner() -> None:
    """-1024 to 3071 HU as whole numbers of 16 bits, in the order of a NIfTI file."""
    found = np.concatenate([_scan(-2000.0), _scan(9000.0)])
    assert (found.dtype, found.min(), found.max()) == (np.int16, -1024, 3071)
    assert _scan(0.0).flags.f_contiguous


def test_the_same_draw_is_the_same_scan() -> None:
    """And another draw is another noise."""
    assert np.array_equal(_scan(0.0), _scan(0.0))
    assert not np.array_equal(_scan(0.0), _scan(0.0, seed=2))
