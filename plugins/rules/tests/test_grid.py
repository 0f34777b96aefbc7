"""The grid's shortcuts against slow and plain ones."""

from __future__ import annotations

import itertools
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from plugins.rules.grounding import filters, grid

orientations: Any = nib.orientations  # untyped
SHAPES = arrays.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=9)
ALL_CODES = [
    "".join(flipped) for order in itertools.permutations(("RL", "AP", "SI")) for flipped in itertools.product(*order)
]


@pytest.mark.parametrize("codes", ALL_CODES)
def test_every_orientation_comes_back_exactly(codes: str) -> None:
    """All 48 orientations: turning to RAS and back moves no voxel, and spacings follow their axes."""
    volume = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    turn = orientations.ornt_transform(orientations.axcodes2ornt(codes), orientations.axcodes2ornt("RAS"))
    affine = np.linalg.inv(orientations.inv_ornt_aff(turn, volume.shape)) * 1.0
    steps = np.array([2.0, 3.0, 5.0])
    affine[:3, :3] = affine[:3, :3] * steps
    assert "".join(orientations.aff2axcodes(affine)) == codes
    turned, orientation = grid.canonical(volume, affine)
    assert sorted(turned.spacing) == [2.0, 3.0, 5.0]
    assert [turned.spacing[int(axis)] for axis in orientation[:, 0]] == list(steps)
    back = grid.restore(turned.hu > 11, orientation, volume.shape)
    assert np.array_equal(back, volume > 11)


@settings(max_examples=40, deadline=None)
@given(
    arrays.arrays(np.bool_, SHAPES), st.floats(0.3, 5.0), st.sampled_from([(1.0, 1.0, 1.0), (0.7, 0.7, 2.5), (2, 1, 3)])
)
def test_dilation_is_the_distance_transforms(
    mask: np.ndarray, radius: float, spacing: tuple[float, float, float]
) -> None:
    """Shifted columns give exactly the voxels within the radius."""
    expected = np.zeros_like(mask)
    if mask.any():
        expected = ndimage.distance_transform_edt(~mask, sampling=spacing) <= radius + 1e-6
    assert np.array_equal(grid.dilated(mask, radius, spacing), expected)


@settings(max_examples=40, deadline=None)
@given(arrays.arrays(np.int16, SHAPES), st.tuples(*[st.integers(1, 4)] * 3))
def test_reduction_is_the_mean_of_each_block(volume: np.ndarray, factors: tuple[int, int, int]) -> None:
    """Against a loop over blocks; the last block of an axis may be shorter."""
    reduced = grid.Grid(volume, (1.0, 1.0, 1.0)).reduced(factors).hu
    for index in np.ndindex(*reduced.shape):
        block = volume[tuple(slice(i * f, (i + 1) * f) for i, f in zip(index, factors, strict=True))]
        assert reduced[index] == pytest.approx(block.mean(), rel=1e-5, abs=1e-2)
    assert grid.enlarged(reduced, factors, volume.shape).shape == volume.shape


@given(arrays.arrays(np.bool_, SHAPES))
def test_the_bounding_box_holds_the_mask_and_no_more(mask: np.ndarray) -> None:
    """Against the extent of its voxels."""
    box = grid.bounding_box(mask)
    points = np.argwhere(mask)
    if box is None:
        assert not len(points)
    else:
        assert [(s.start, s.stop - 1) for s in box] == [(p.min(), p.max()) for p in points.T]


def test_eigenvalues_are_those_of_the_hessian() -> None:
    """A quadratic has a constant Hessian; its eigenvalues are numpy's."""
    rng = np.random.default_rng(3)
    spacing = (0.8, 1.1, 2.0)
    x, y, z = (np.arange(7) * step for step in spacing)
    for _ in range(20):
        a = rng.normal(size=(3, 3))
        hessian = a + a.T
        points = np.stack(np.meshgrid(x, y, z, indexing="ij"), -1)
        volume = 0.5 * np.einsum("...i,ij,...j", points, hessian, points)
        centre = tuple(np.array([3]) for _ in range(3))
        found = filters.eigenvalues(volume, centre, spacing)
        assert found[:, 0] == pytest.approx(np.linalg.eigvalsh(hessian), abs=1e-6)


def test_blob_and_plate_filters_know_a_ball_a_tube_and_a_plate() -> None:
    """Blobness is high in a ball only, plateness in a plate only."""
    x, y, z = np.ogrid[-15:16, -15:16, -15:16]
    shapes = {
        "ball": x**2 + y**2 + z**2 < 16,
        "tube": x**2 + y**2 + 0 * z < 16,
        "plate": np.broadcast_to(np.abs(x) < 3, (31, 31, 31)),
    }
    centre = tuple(np.array([15]) for _ in range(3))
    scores = {}
    for name, shape in shapes.items():
        smooth = ndimage.gaussian_filter(np.where(shape, 0.0, -850.0), 2.0)
        scores[name] = (
            float(filters.blobness(smooth, centre, (1, 1, 1))[0]),
            float(filters.plateness(smooth, centre, (1, 1, 1))[0]),
        )
    for index, own in enumerate(("ball", "plate")):
        others = [score[index] for name, score in scores.items() if name != own]
        assert scores[own][index] > 0.9
        assert max(others) < 0.1


def test_the_log_response_peaks_at_a_balls_own_scale() -> None:
    """Over scales, the response at the centre of a ball is largest near radius / sqrt(3)."""
    x, y, z = np.ogrid[-24:25, -24:25, -24:25]
    volume = np.where(x**2 + y**2 + z**2 < 64, 0.0, -850.0).astype(np.float32)
    at = grid.Grid(volume, (1.0, 1.0, 1.0))
    sigmas = np.geomspace(2, 12, 25)
    responses = [filters.log_response(volume, float(s), at)[24, 24, 24] for s in sigmas]
    assert sigmas[int(np.argmax(responses))] == pytest.approx(8 / np.sqrt(3), rel=0.15)
