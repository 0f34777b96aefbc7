"""The reader of CTs against nibabel's: every type, scaling, order and axes, with either decompressor."""

from __future__ import annotations

import gzip
import itertools
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from groundbench_sdk import reading
from groundbench_sdk.errors import Rejected
from groundbench_sdk.grids import reorient_to
from groundbench_sdk.reading import Layout, in_file_order, read_stored, read_volume

SHAPE = (7, 5, 67)  # more slices than are decoded at a time, and not a multiple
AFFINE = np.array([[0, 0, -3.0, 1], [2.0, 0, 0, 2], [0, 1.5, 0, 3], [0, 0, 0, 1]])


def _by_nibabel(path: Path, dtype: Any) -> np.ndarray:
    """Return what was read before there was a reader of our own: whole, in single precision, then turned."""
    image: Any = nib.load(path)
    exact = image.dataobj.slope == 1 and image.dataobj.inter == 0 and image.get_data_dtype() == np.dtype(dtype)
    data = np.asanyarray(image.dataobj, dtype=None if exact else np.float32)
    if not exact and np.issubdtype(dtype, np.integer):
        data = np.clip(np.rint(data), np.iinfo(dtype).min, np.iinfo(dtype).max)
    return np.ascontiguousarray(data.reshape(SHAPE), dtype=dtype)


def _store(path: Path, kind: str, scaling: tuple[float, float] | None, *, axes: int = 3) -> None:
    voxels = np.random.default_rng(0).integers(0, 100, SHAPE).astype(kind)
    image = nib.Nifti1Image(voxels.reshape(SHAPE + (1,) * (axes - 3)), AFFINE, dtype=np.dtype(kind))
    content = bytearray(image.to_bytes())
    if scaling is not None:
        header = image.header.copy()
        header["scl_slope"], header["scl_inter"] = scaling
        header["vox_offset"] = 352
        content[:348] = header.binaryblock
    path.write_bytes(gzip.compress(bytes(content)) if path.name.endswith(".gz") else bytes(content))


@pytest.mark.parametrize("library", ["gzip", "zlib-ng"])
@pytest.mark.parametrize("scaling", [None, (1.0, -1024.0), (0.1, 0.0)], ids=["as stored", "moved", "scaled"])
def test_every_layout_has_the_voxels_that_nibabel_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, scaling: tuple[float, float] | None
) -> None:
    """Bit for bit, whatever is stored, asked for, and installed; contiguous where that was asked for."""
    if library == "gzip":
        monkeypatch.setattr(reading, "gzip_ng", gzip)
    for kind, ending, axes in itertools.product(("<i2", ">i2", "u1", "<i4", "<f4", "<f8"), (".nii", ".nii.gz"), (3, 4)):
        path = tmp_path / f"ct{ending}"
        _store(path, kind, scaling, axes=axes)
        for dtype in (np.int16, np.float32, np.uint8):
            whole = _by_nibabel(path, dtype)
            for codes, order in itertools.product((None, "LPS", "SAR"), "CK"):
                found = read_volume(path, SHAPE, Layout(np.dtype(dtype).str, codes, order))
                wanted = whole if codes is None else reorient_to(codes, AFFINE).apply(whole)
                assert found.dtype == dtype
                np.testing.assert_array_equal(found, wanted)
                assert found.flags.writeable
                assert order == "K" or found.flags.c_contiguous


def test_what_cannot_be_what_was_asked_for_is_refused(tmp_path: Path) -> None:
    """Another shape, another order, a file that ends too early."""
    path = tmp_path / "ct.nii"
    _store(path, "<i2", None)
    with pytest.raises(Rejected, match=r"shape \(7, 5, 67\), not \(5, 7, 67\)"):
        read_volume(path, (5, 7, 67), Layout("<i2", None, "C"))
    with pytest.raises(Rejected, match="'C' or 'K', not 'F'"):
        read_volume(path, SHAPE, Layout("<i2", None, "F"))
    path.write_bytes(path.read_bytes()[:-10])
    for order in "CK":
        with pytest.raises(EOFError, match="too early"):
            read_volume(path, SHAPE, Layout("<i2", None, order))


@pytest.mark.parametrize("scaling", [None, (2.0, 1.0)], ids=["as stored", "scaled"])
def test_labels_are_read_as_they_are_stored(tmp_path: Path, scaling: tuple[float, float] | None) -> None:
    """Any type and either order of bytes, of which nothing is changed; what a header scales is scaled by nibabel."""
    for kind, ending in itertools.product(("u1", "<u2", ">u2", "<f4"), (".nii", ".nii.gz")):
        path = tmp_path / f"seg{ending}"
        _store(path, kind, scaling, axes=4)
        wanted = np.asanyarray(nib.load(path).dataobj)
        found = read_stored(path)
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted)


def test_a_mask_is_turned_once_and_only_if_it_lies_otherwise() -> None:
    """The result lies as in a file, whichever axis was the fastest; what does so already is not copied."""
    mask = np.random.default_rng(0).random(SHAPE) > 0.5
    for axes in itertools.permutations(range(3)):
        lying = np.ascontiguousarray(mask.transpose(axes)).transpose(np.argsort(axes))
        turned = in_file_order(lying)
        assert turned.flags.f_contiguous
        np.testing.assert_array_equal(turned, mask)
        assert in_file_order(turned) is turned
