"""Masks that went through single precision or a scaled header are masks; probabilities are not."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from harness.masks import Refused, open_volume, read_bits
from tests.harness.masks.test_masks import AFFINE, LIMIT, SHAPE, mask, read, save


def under(path: Path, values: np.ndarray, dtype: str) -> Path:
    """Save floats as nibabel does under a header of this type: stretched over the whole range of the type."""
    header = nib.Nifti1Header()
    header.set_data_dtype(np.dtype(dtype))
    nib.save(nib.Nifti1Image(values, AFFINE, header), path)
    return path


def refusal_of(path: Path) -> str:
    """Return the message with which a file is refused."""
    with pytest.raises(Refused) as caught, open_volume(path, limit=LIMIT) as volume:
        read_bits(volume, SHAPE, 1, [0], labelled=False)
    return caught.value.problem.message


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u2", "i4", "u4", "i8"])
@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_floats_saved_under_an_integer_header_are_a_mask(tmp_path: Path, dtype: str, kind: str) -> None:
    """Nibabel stretches 0 and 1 over the type; what reads back as 1.00000006, or as 3e-8, is 1 and 0."""
    path = under(tmp_path / "m.nii.gz", mask().astype(kind), dtype)
    assert np.array_equal(read(path), mask())


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u2"])
@pytest.mark.parametrize("highest", [2, 3, 7, 20, 40, 100])
def test_labels_saved_under_an_integer_header_keep_their_numbers(tmp_path: Path, dtype: str, highest: int) -> None:
    """A label between 0 and the highest lies up to half a step of the scale away from a whole number."""
    labels = mask()
    labels[5, 3, 2], labels[4, 3, 2] = highest, highest // 2
    path = under(tmp_path / "m.nii.gz", labels.astype("f4"), dtype)
    assert np.array_equal(read(path), labels)


@pytest.mark.parametrize("error", [2.0**-24, -(2.0**-23), 1e-7])
def test_floats_off_by_the_error_of_single_precision_are_a_mask(tmp_path: Path, error: float) -> None:
    """A float mask that a resampler or a division touched holds 0.99999994 and 1e-8."""
    values = mask().astype("f4") + np.float32(error)
    assert np.array_equal(read(save(tmp_path / "m.nii", values)), mask())


@pytest.mark.parametrize("dtype", ["u1", "i2", "f4"])
@pytest.mark.parametrize("value", [0.5, 0.9, 0.01])
def test_probabilities_stay_refused(tmp_path: Path, dtype: str, value: float) -> None:
    """One voxel that is neither 0 nor 1 makes the file a probability map; where the header scales, that is said."""
    values = mask().astype("f4")
    values[5, 3, 2] = value
    path = under(tmp_path / "m.nii.gz", values, dtype)
    message = refusal_of(path)
    assert "fractions" in message
    assert ("scl_slope" in message) == (dtype != "f4")


def test_a_coarse_scale_is_not_rounded_away(tmp_path: Path) -> None:
    """With a slope of 0.9, a stored 1 is 0.9, not 1."""
    path = save(tmp_path / "m.nii", mask())
    raw = bytearray(path.read_bytes())
    raw[112:120] = np.array([0.9, 0.0], "<f4").tobytes()
    path.write_bytes(raw)
    assert "0.9" in refusal_of(path)


@pytest.mark.parametrize("dtype", ["u1", "i1"])
def test_a_scale_too_coarse_for_labels_is_named(tmp_path: Path, dtype: str) -> None:
    """Labels up to 200 saved as floats under a header of 8 bits are 0.78 apart: no probabilities are to blame."""
    labels = mask().astype("f4")
    labels[5, 3, 2] = 200
    path = under(tmp_path / "m.nii.gz", labels, dtype)
    with pytest.raises(Refused) as caught, open_volume(path, limit=LIMIT) as volume:
        read_bits(volume, SHAPE, 1, [0], labelled=False)
    assert "too coarse" in caught.value.problem.cause
    assert "unscaled" in caught.value.problem.fix


@pytest.mark.parametrize("dtype", ["u1", "i2", "u4", "i8"])
@pytest.mark.parametrize(("slope", "inter"), [(0.1, -12.0), (2 / 255, 0.0), (40 / 255, -0.5), (-1 / 255, 1.0)])
def test_masks_under_a_scale_of_any_slope_and_intercept_are_read(
    tmp_path: Path, dtype: str, slope: float, inter: float
) -> None:
    """The nearest number that a scale can store stands for the whole one, also where an intercept cancels digits."""
    stored = np.rint((mask() - inter) / slope)
    if dtype[0] == "u" and stored.min() < 0:
        stored, slope = -stored, -slope
    path = tmp_path / "m.nii"
    nib.save(nib.Nifti1Image(stored.astype(dtype), AFFINE, dtype=np.dtype(dtype)), path)
    raw = bytearray(path.read_bytes())
    raw[112:120] = np.array([slope, inter], "<f4").tobytes()
    path.write_bytes(raw)
    assert np.array_equal(read(path), mask())


def test_a_scaled_mask_says_so(tmp_path: Path) -> None:
    """The author learns of the scale, which makes files larger and readers slower."""
    path = under(tmp_path / "m.nii.gz", mask().astype("f4"), "u1")
    with open_volume(path, limit=LIMIT) as volume:
        _, problems = read_bits(volume, SHAPE, 1, [0], labelled=False)
    (scaled,) = [problem for problem in problems if problem.code == "scaled"]
    assert "scl_slope 0.00392157" in scaled.message


@pytest.mark.parametrize("junk", [b"\0" * 512, b"trailing", b"--boundary--\r\n"])
def test_bytes_after_the_end_of_the_gzip_stream_are_ignored(tmp_path: Path, junk: bytes) -> None:
    """The stream is whole, its sum is right, and nibabel reads it too."""
    path = save(tmp_path / "m.nii.gz", mask())
    path.write_bytes(path.read_bytes() + junk)
    assert np.array_equal(read(path), mask())


def test_another_volume_after_the_end_is_refused(tmp_path: Path) -> None:
    """A second gzip member continues the first: the voxels go on after what the header declares."""
    path = save(tmp_path / "m.nii.gz", mask())
    path.write_bytes(path.read_bytes() * 2)
    assert "goes on after" in refusal_of(path)


def test_a_changed_byte_is_still_damage(tmp_path: Path) -> None:
    """The sum at the end of the stream is checked before what follows is looked at."""
    path = save(tmp_path / "m.nii.gz", mask())
    raw = bytearray(path.read_bytes())
    raw[-6] ^= 1
    path.write_bytes(bytes(raw) + b"trailing")
    assert "damaged" in refusal_of(path)
