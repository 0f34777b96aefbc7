"""Turning a CT's axes loses nothing, and boxes and masks turn with them."""

from __future__ import annotations

import itertools

import nibabel as nib
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

SHAPE = (5, 7, 11)
ORIENTATIONS = ["".join(codes) for codes in itertools.product("RL", "AP", "SI")]
STORED = ["".join(order) for codes in ORIENTATIONS for order in itertools.permutations(codes)]


def _affine(codes: str, spacing: tuple[float, float, float] = (0.7, 0.9, 2.5)) -> np.ndarray:
    """Return the affine of an array whose axes run towards `codes`."""
    affine = np.zeros((4, 4))
    for axis, code in enumerate(codes):
        world = next(i for i, pair in enumerate(("LR", "PA", "IS")) if code in pair)
        affine[world, axis] = spacing[axis] * (1 if code in "RAS" else -1)
    affine[:, 3] = [-120, 35, 900, 1]
    return affine


@pytest.mark.parametrize("codes", STORED)
def test_turned_volumes_are_those_of_nibabel(codes: str) -> None:
    """All 48 ways to store a volume, towards RAS and LPS: nibabel's reorientation gives the same array, and back."""
    from groundbench_sdk.grids import reorient_to

    volume = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    affine = _affine(codes)
    for wanted in ("RAS", "LPS"):
        reorientation = reorient_to(wanted, affine)
        turned = reorientation.apply(volume)
        start, end = nib.orientations.io_orientation(affine), nib.orientations.axcodes2ornt(tuple(wanted))
        expected = nib.orientations.apply_orientation(volume, nib.orientations.ornt_transform(start, end))
        np.testing.assert_array_equal(turned, expected)
        np.testing.assert_array_equal(reorientation.restore(turned), volume)
        assert reorientation.values(SHAPE) == turned.shape
        assert np.shares_memory(turned, volume)


@pytest.mark.parametrize("codes", STORED)
def test_a_box_turns_as_its_voxels_do(codes: str) -> None:
    """The turned box encloses exactly the turned voxels of the stored box."""
    from groundbench_sdk.grids import reorient_to

    reorientation = reorient_to("LPS", _affine(codes))
    box = [1, 0, 4, 3, 6, 11]
    inside = np.zeros(SHAPE, bool)
    inside[1:3, 0:6, 4:11] = True
    x0, y0, z0, x1, y1, z1 = reorientation.box(box, SHAPE)
    turned = np.zeros_like(reorientation.apply(inside))
    turned[x0:x1, y0:y1, z0:z1] = True
    np.testing.assert_array_equal(reorientation.restore(turned), inside)


@pytest.mark.parametrize("degrees", [-40, -12, 12, 40])
def test_an_oblique_volume_turns_to_the_nearest_axes(degrees: float) -> None:
    """A tilted gantry changes nothing about which axis is which."""
    from groundbench_sdk.grids import reorient_to

    affine = _affine("PSL")
    straight = reorient_to("RAS", affine)
    affine[:3, :3] = Rotation.from_euler("x", degrees, degrees=True).as_matrix() @ affine[:3, :3]
    assert reorient_to("RAS", affine) == straight


def test_an_affine_of_no_grid_is_refused() -> None:
    """A column of zeros leads nowhere."""
    from groundbench_sdk import Rejected
    from groundbench_sdk.grids import reorient_to

    with pytest.raises(Rejected, match="not valid"):
        reorient_to("RAS", np.diag([1.0, 0.0, 1.0, 1.0]))


def test_a_window_is_linear_and_cut_at_both_ends() -> None:
    """0 at and below the lower end, 255 at and above the upper, steps of equal width between."""
    from groundbench_sdk import Rejected
    from groundbench_sdk.grids import window

    hu = np.array([-3024, -1000, -999, -300, 399, 400, 3071], np.int16)
    assert window(hu, -1000, 400).tolist() == [0, 0, 0, 127, 254, 255, 255]
    assert np.bincount(window(np.arange(-1000, 400), -1000, 400)).max() <= 6
    with pytest.raises(Rejected, match="is empty"):
        window(hu, 400, 400)


def test_the_key_slice_is_the_middle_one() -> None:
    """One slice, an odd number, an even number: the lower of two; every slice of a box has the same rectangle."""
    from groundbench_sdk.grids import key_slice, slice_boxes

    assert [key_slice([0, 0, *ends]) for ends in ([3, 1, 1, 4], [3, 1, 1, 6], [3, 1, 1, 7], [0, 1, 1, 2])] == [
        3,
        4,
        4,
        0,
    ]
    assert slice_boxes([1, 2, 3, 4, 5, 6]) == {3: [1, 2, 4, 5], 4: [1, 2, 4, 5], 5: [1, 2, 4, 5]}
