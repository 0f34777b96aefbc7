"""Volumes on disk: read whole, written slice by slice, with bytes that depend on nothing but the volume."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from harness.dataset.voxels import read_header, stretches
from harness.errors import DataError
from harness.masks.header import Header

_LEVEL: Final = 1  # noise hardly compresses, masks compress at any level: the fastest one will do
_MOST_VOXELS: Final = 2**31  # of one volume: a chest CT has a tenth of it


def read_array(path: Path) -> tuple[npt.NDArray[Any], Header]:
    """Return the stored values of a NIfTI volume, axes as in the file, and its header.

    Raises
    ------
    DataError
        It cannot be read, or holds more voxels than any CT.
    """
    header = read_header(path)
    if np.prod(header.shape, dtype=float) > _MOST_VOXELS:
        raise DataError(f"{path} has shape {header.shape}: a CT volume has three axes", fix="give the right file")
    values = np.empty(int(np.prod(header.shape)), header.dtype.newbyteorder("="))
    start = 0
    for part in stretches(path):
        values[start : start + len(part)] = part
        start += len(part)
    return values.reshape(header.shape, order="F"), header


def write_volume(
    path: Path,
    dtype: npt.DTypeLike,
    shape: tuple[int, ...],
    affine: npt.NDArray[Any],
    slices: Iterable[npt.NDArray[Any]],
) -> None:
    """Write a ``.nii.gz`` file at once: under another name first, renamed when it is whole.

    Parameters
    ----------
    path
        The file; its folder is made.
    dtype, shape, affine
        Of the volume; millimetres, RAS+.
    slices
        The volume cut along its last axis, one array a slice, in order.
    """
    import nibabel as nib

    header: Any = nib.Nifti1Header()  # type: ignore[no-untyped-call]
    header.set_data_dtype(dtype)
    header.set_data_shape(shape)
    header.set_qform(affine, code=1)
    header.set_sform(affine, code=1)
    header.set_xyzt_units("mm")
    header.set_slope_inter(1, 0)
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with beside.open("wb") as raw, gzip.GzipFile("", "wb", _LEVEL, raw, mtime=0) as stream:
            stream.write(header.binaryblock + bytes(4))
            for image in slices:
                stream.write(np.asarray(image, dtype).tobytes(order="F"))
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
