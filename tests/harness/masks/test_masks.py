"""Mask files: what is read, what is refused, and with which words."""

from __future__ import annotations

import gzip
import os
import struct
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from harness.masks import Expected, Refused, ZipMember, file_limit, judge, open_volume, read_bits

SHAPE = (20, 9, 7)
AFFINE = np.array([[-0.7, 0, 0, 100], [0, -0.7, 0, 90], [0, 0, 1.5, -200], [0, 0, 0, 1]])
LIMIT = file_limit(20 * 9 * 7)


def mask(dtype: str = "u1", shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Return a small mask with something in it."""
    array = np.zeros(shape, dtype)
    array[..., 3:9, 2:5, 1:4] = 1
    return array


def save(path: Path, array: np.ndarray, affine: np.ndarray | None = AFFINE, *, version: int = 1) -> Path:
    """Write a mask with nibabel."""
    image = (nib.Nifti1Image if version == 1 else nib.Nifti2Image)(array, affine, dtype=array.dtype)
    nib.save(image, path)
    return path


def read(path: Path, shape: tuple[int, int, int] = SHAPE, channels: int = 1) -> np.ndarray:
    """Read a mask through the harness, back into an array."""
    with open_volume(path, limit=LIMIT) as volume:
        (bits,), _ = read_bits(volume, shape, channels, [0], labelled=True)
    array = np.zeros(shape, int)
    x, y, z = bits.coordinates()
    array[x, y, z] = np.repeat(bits.labels, np.bitwise_count(bits.bits))
    return array


def refusal(path: Path, shape: tuple[int, int, int] = SHAPE) -> str:
    """Return the code with which a file is refused."""
    with pytest.raises(Refused) as caught, open_volume(path, limit=LIMIT) as volume:
        read_bits(volume, shape, 1, [0], labelled=False)
    assert caught.value.problem.fix
    assert caught.value.problem.cause
    return caught.value.problem.code


@pytest.mark.parametrize("name", ["m.nii", "m.nii.gz"])
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("dtype", ["u1", "i1", "<i2", ">i2", "<u2", "i4", "u4", "i8", "u8", "<f4", ">f4", "<f8"])
def test_reads_every_encoding(tmp_path: Path, name: str, version: int, dtype: str) -> None:
    """The same voxels come out whatever type, byte order, version and compression they were stored with."""
    array = mask("u1")
    array[5, 3, 2] = 2
    header = (nib.Nifti1Header if version == 1 else nib.Nifti2Header)(endianness=dtype[0] if dtype[0] in "<>" else "<")
    image = (nib.Nifti1Image if version == 1 else nib.Nifti2Image)(array.astype(dtype), AFFINE, header)
    image.set_data_dtype(np.dtype(dtype))
    nib.save(image, tmp_path / name)
    assert np.array_equal(read(tmp_path / name), array)


@pytest.mark.parametrize("form", ["sform", "qform", "none"])
@pytest.mark.parametrize("version", [1, 2])
def test_header_agrees_with_nibabel(tmp_path: Path, form: str, version: int) -> None:
    """Shape, spacing and affine are those that nibabel reads, from the sform, else the qform."""
    turn = np.deg2rad(20)
    affine = np.array(
        [[np.cos(turn), -np.sin(turn), 0, 5], [np.sin(turn), np.cos(turn), 0, 6], [0, 0, 1, 7], [0, 0, 0, 1]]
    ) @ np.diag([0.7, -0.8, 1.5, 1])
    path = save(tmp_path / "m.nii", mask(), affine, version=version)
    image = nib.load(path)
    if form != "sform":
        image.set_sform(None, code=0)
        image.set_qform(affine if form == "qform" else None, code=1 if form == "qform" else 0)
        nib.save(image, tmp_path / "n.nii")
        path = tmp_path / "n.nii"
        image = nib.load(path)
    with open_volume(path, limit=LIMIT) as volume:
        header = volume.header
    assert header.shape == image.shape
    assert header.spacing == pytest.approx(image.header.get_zooms())
    if form == "none":
        assert header.affine is None
    else:
        assert np.allclose(header.affine, image.affine, atol=1e-5)


def test_scaling_is_applied(tmp_path: Path) -> None:
    """Stored numbers become values through scl_slope and scl_inter, also where zero is not stored as zero."""
    path = save(tmp_path / "m.nii", mask() * 3 + 2)
    raw = bytearray(path.read_bytes())
    struct.pack_into("<2f", raw, 112, 0.5, -1.0)  # 2 -> 0, 5 -> 1.5
    path.write_bytes(raw)
    assert refusal(path) == "not_binary"
    struct.pack_into("<2f", raw, 112, 1.0, -2.0)  # 2 -> 0, 5 -> 3
    path.write_bytes(raw)
    assert np.array_equal(read(path), mask() * 3)


def test_extensions_are_skipped(tmp_path: Path) -> None:
    """A header extension moves the voxels, not their values."""
    image = nib.Nifti1Image(mask(), AFFINE)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"x" * 5000))
    nib.save(image, tmp_path / "m.nii.gz")
    assert np.array_equal(read(tmp_path / "m.nii.gz"), mask())


@pytest.mark.parametrize(
    ("value", "code"), [(np.nan, "not_finite"), (np.inf, "not_finite"), (0.5, "not_binary"), (-1.0, "negative")]
)
def test_values_that_are_no_mask_are_refused(tmp_path: Path, value: float, code: str) -> None:
    """NaN, infinities, fractions and negative numbers are refused, each by its own name."""
    array = mask("f4")
    array[1, 1, 1] = value
    assert refusal(save(tmp_path / "m.nii.gz", array)) == code


def test_damaged_streams_are_refused(tmp_path: Path) -> None:
    """A cut, a flipped byte, trailing data, an empty file and another format each end in a refusal."""
    good = save(tmp_path / "m.nii.gz", mask()).read_bytes()
    plain = gzip.decompress(good)
    cases = {
        "cut": (good[: len(good) // 2], "truncated"),
        "flipped": (good[:-6] + bytes([good[-6] ^ 255]) + good[-5:], "corrupt"),
        "longer": (gzip.compress(plain + b"\0"), "longer_than_declared"),
        "twice": (good + good, "longer_than_declared"),
        "empty": (b"", "truncated"),
        "text": (b"<html>not found</html>" * 100, "not_nifti"),
    }
    for name, (content, code) in cases.items():
        path = tmp_path / name
        path.write_bytes(content)
        assert refusal(path) == code, name


def test_a_gzip_header_without_end_is_refused(tmp_path: Path) -> None:
    """Name, comment and extra field of a gzip header may be as long as one likes; no decoder needs to like it."""
    good = gzip.compress(nib.Nifti1Image(mask(), AFFINE).to_bytes(), mtime=0)
    for flag, field in ((0x08, b"n" * 2**22 + b"\0"), (0x10, b"c" * 2**22 + b"\0"), (0x08, b"n" * 2**22), (0xFF, b"")):
        path = tmp_path / "mask.nii.gz"
        path.write_bytes(good[:3] + bytes([flag]) + good[4:10] + field + good[10:])
        assert refusal(path) in {"corrupt", "truncated"}


def test_a_bomb_is_stopped_at_the_declared_size(tmp_path: Path) -> None:
    """A stream that inflates to gigabytes is read to the declared size and one byte more."""
    plain = gzip.decompress(save(tmp_path / "m.nii.gz", mask()).read_bytes())
    with gzip.open(tmp_path / "bomb.nii.gz", "wb", compresslevel=1) as stream:
        stream.write(plain)
        for _ in range(64):
            stream.write(bytes(1 << 20))
    assert refusal(tmp_path / "bomb.nii.gz") == "longer_than_declared"


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    """Links, links on the way, pipes, folders and oversized files are refused without being read."""
    out = tmp_path / "out"
    (out / "case").mkdir(parents=True)
    target = save(tmp_path / "m.nii", mask())
    (out / "link.nii").symlink_to(target)
    (out / "linked").symlink_to(tmp_path)
    os.mkfifo(out / "pipe.nii")
    (out / "large.nii").write_bytes(b"")
    os.truncate(out / "large.nii", LIMIT + 1)
    for name, code in [
        ("link.nii", "link"),
        ("linked/m.nii", "link"),
        ("pipe.nii", "not_a_file"),
        ("case", "not_a_file"),
        ("large.nii", "too_large"),
    ]:
        with pytest.raises(Refused) as caught, open_volume(out / name, limit=LIMIT, root=out):
            pass
        assert caught.value.problem.code == code, name
    with pytest.raises(FileNotFoundError), open_volume(out / "absent.nii", limit=LIMIT, root=out):
        pass


def test_zip_members_are_read_in_place(tmp_path: Path) -> None:
    """A mask inside a zip archive reads as it would outside."""
    path = save(tmp_path / "m.nii.gz", mask())
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, "deep/m.nii.gz")
    with open_volume(ZipMember(tmp_path / "a.zip", "deep/m.nii.gz"), limit=LIMIT) as volume:
        (bits,), _ = read_bits(volume, SHAPE, 1, [0], labelled=False)
    assert bits.count == mask().sum()
    with pytest.raises(FileNotFoundError), open_volume(ZipMember(tmp_path / "a.zip", "no.nii.gz"), limit=LIMIT):
        pass


def verdict(path: Path, channels: int | None = None) -> list[tuple[str, str, str]]:
    """Return (code, level, cause) of every problem of a file's grid."""
    expected = Expected(SHAPE, tuple(map(tuple, AFFINE.tolist())), channels)
    with open_volume(path, limit=LIMIT * 8) as volume:
        return [(p.code, p.level, p.cause) for p in judge(volume.header, expected)]


def test_the_right_grid_has_no_problem(tmp_path: Path) -> None:
    """The CT's shape and affine are what is wanted; an identity affine is what stacks have."""
    assert verdict(save(tmp_path / "m.nii", mask())) == []
    assert verdict(save(tmp_path / "s.nii", mask(shape=(3, *SHAPE)), np.eye(4)), channels=3) == []


@pytest.mark.parametrize(
    ("array", "channels", "words"),
    [
        (mask().T, None, "z first"),
        (mask().transpose(1, 0, 2), None, "transposed"),
        (mask(shape=(3, *SHAPE)), None, "channel-first"),
        (np.moveaxis(mask(shape=(3, *SHAPE)), 0, -1), None, "channel-last"),
        (mask()[:-1], None, "resampled, cropped"),
        (mask()[0], None, "2 axes"),
        (mask(shape=(3, *SHAPE)), 2, "has 3 findings"),
        (np.moveaxis(mask(shape=(3, *SHAPE)), 0, -1), 3, "last axis"),
        (mask(), 3, "one 3-D mask"),
    ],
)
def test_a_wrong_shape_is_refused_with_its_cause(
    tmp_path: Path, array: np.ndarray, channels: int | None, words: str
) -> None:
    """Transposed axes, channel axes and foreign grids are distinguished."""
    ((code, level, cause),) = verdict(save(tmp_path / "m.nii", array), channels)
    assert (code, level) == ("shape", "refused")
    assert words in cause


@pytest.mark.parametrize(
    ("affine", "words"),
    [
        (AFFINE @ np.diag([-1, 1, 1, 1]), "axis x points the other way"),
        (AFFINE @ np.diag([-1, -1, 1, 1]), "axis x and y points the other way"),
        (AFFINE[:, [1, 0, 2, 3]], "transposed"),
        (AFFINE + np.array([[0, 0, 0, 10.0], [0] * 4, [0] * 4, [0] * 4]), "origin is shifted by (+10, +0, +0) mm"),
        (AFFINE @ np.diag([2, 2, 1, 1]), "spacing is 1.4 x 1.4 x 1.5 mm"),
        (np.diag([1.0, 1.0, -1.0, 1.0]), "spacing was lost"),
    ],
)
def test_a_wrong_affine_is_refused_with_its_cause(tmp_path: Path, affine: np.ndarray, words: str) -> None:
    """Flips, transpositions, shifts and wrong spacings are named."""
    ((code, level, cause),) = verdict(save(tmp_path / "m.nii", mask(), affine))
    assert (code, level) == ("affine", "refused")
    assert words in cause


def test_harmless_deviations_are_warnings(tmp_path: Path) -> None:
    """An identity affine, axes of one voxel and a stack with the CT's affine are scored, and said."""
    assert [p[:2] for p in verdict(save(tmp_path / "a.nii", mask(), np.eye(4)))] == [("identity_affine", "warning")]
    assert [p[:2] for p in verdict(save(tmp_path / "b.nii", mask()[None]))] == [("extra_axis", "warning")]
    stack = save(tmp_path / "c.nii", mask(shape=(3, *SHAPE)))
    assert [p[:2] for p in verdict(stack, channels=3)] == [("affine_of_stack", "warning")]
