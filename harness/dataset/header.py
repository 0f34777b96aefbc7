"""The 348 bytes at the start of a NIfTI-1 file: enough to know the grid, without decoding a voxel."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import nibabel as nib
from nibabel.spatialimages import HeaderDataError
from zlib_ng import gzip_ng

from harness.errors import DataError

Affine = tuple[tuple[float, ...], ...]
_SIZE: Final = 348


@dataclass(frozen=True)
class Header:
    """Geometry and encoding of one NIfTI-1 file."""

    shape: tuple[int, ...]  #: voxels along each array axis
    spacing: tuple[float, ...]  #: millimetres along the same axes
    affine: Affine  #: 4x4, array index -> mm in RAS+; sform, else qform, else the format's default
    dtype: str  #: NumPy's name of the stored type: ``"int16"``
    slope: float  #: value = stored * slope + intercept
    intercept: float


def read_header(path: Path) -> Header:
    """Read the header of a ``.nii.gz`` file.

    Raises
    ------
    DataError
        The file is missing, cannot be read, is truncated within its header, or is no NIfTI-1 file.
    """
    fix = "download or write the file again"
    try:
        with gzip_ng.open(path, "rb") as stream:  # type: ignore[no-untyped-call]
            block = stream.read(_SIZE)
        if len(block) < _SIZE:
            raise DataError(f"{path} ends within its header ({len(block)} of {_SIZE} bytes)", fix=fix)
        header: Any = nib.Nifti1Header(block, check=False)  # type: ignore[no-untyped-call]
        if header["magic"].item() != b"n+1":
            raise DataError(f"{path} is no single-file NIfTI-1 volume", fix=fix)
        shape = tuple(int(extent) for extent in header.get_data_shape())
        slope, intercept = header.get_slope_inter()
        return Header(
            shape=shape,
            spacing=tuple(float(size) for size in header.get_zooms()),
            affine=tuple(tuple(float(value) for value in row) for row in header.get_best_affine()),
            dtype=header.get_data_dtype().name,
            slope=1.0 if slope is None else float(slope),
            intercept=0.0 if intercept is None else float(intercept),
        )
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}", fix=fix) from error
    except (EOFError, zlib.error, HeaderDataError, ValueError) as error:
        raise DataError(f"{path} is not a readable NIfTI-1 volume: {error}", fix=fix) from error
