"""The grid of the phantom: its positions, its affine, its boxes."""

from __future__ import annotations

import numpy as np

from harness.phantom.grid import Grid, grid_for

GRID = Grid(shape=(10, 8, 6), spacing=(2.0, 3.0, 4.0), start=(-5.0, 1.0, 7.0))


def test_points_are_the_centres_of_voxels() -> None:
    """Start plus index times spacing, along each axis by itself."""
    x, y, z = GRID.points((slice(2, 4), slice(0, 1), slice(5, 6)))
    assert [x.ravel().tolist(), y.ravel().tolist(), z.ravel().tolist()] == [[-1.0, 1.0], [1.0], [27.0]]


def test_the_affine_has_left_and_back_as_negative() -> None:
    """NIfTI's world runs to the right, the front and the head; the grid's axes to the left, the back and the head."""
    x, y, z = (float(axis.ravel()[0]) for axis in GRID.points((slice(3, 4), slice(2, 3), slice(1, 2))))
    assert (GRID.affine @ [3, 2, 1, 1]).tolist() == [-x, -y, z, 1.0]


def test_a_box_holds_what_it_should_and_one_voxel_more() -> None:
    """A box between two corners in mm is one voxel wider all round, and cut at the border of the grid."""
    assert GRID.box(np.array([0.0, 5.0, 12.0]), np.array([4.0, 9.0, 13.0])) == (
        slice(1, 7),
        slice(0, 5),
        slice(0, 4),
    )


def test_a_box_beside_the_grid_is_empty() -> None:
    """Nothing is drawn for what lies outside the field of view."""
    box = GRID.box(np.array([500.0, 0.0, 0.0]), np.array([510.0, 9.0, 9.0]))
    assert any(part.start == part.stop for part in box)


def test_the_small_grid_covers_the_field_of_view() -> None:
    """Every size samples from the one corner to the other."""
    low, high = np.array([-160.0, -120.0, -140.0]), np.array([160.0, 120.0, 140.0])
    grid = grid_for("small", low, high)
    extent = np.array(grid.shape) * grid.spacing
    assert np.all(extent >= (high - low) - grid.spacing)
