"""Soft edges and distances of what is drawn."""

from __future__ import annotations

import numpy as np
import pytest

from harness.phantom.canvas import coverage, segment_distance


def test_a_voxel_on_the_surface_is_half_inside() -> None:
    """Deep inside 1, far outside 0, on the surface a half, and never more the farther out."""
    shares = coverage(np.array([-10.0, -0.5, 0.0, 0.5, 10.0], np.float32), 2.0)
    assert shares[[0, 2, 4]].tolist() == [1.0, 0.5, 0.0]
    assert np.all(np.diff(shares) <= 0)


def test_the_distance_to_a_segment_ends_at_its_ends() -> None:
    """Beside the line the perpendicular, beyond an end the distance to that end."""
    x = np.array([-3.0, 5.0, 14.0], np.float32)[:, None, None]
    y = np.array([4.0], np.float32)[None, :, None]
    z = np.zeros((1, 1, 1), np.float32)
    found = segment_distance((x, y, z), np.zeros(3), np.array([10.0, 0.0, 0.0]))
    assert found.ravel().tolist() == pytest.approx([5.0, 4.0, np.hypot(4, 4)])
