"""NIfTI-1 files written slice by slice, whose bytes depend on nothing but the volume."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

#: Noise hardly compresses and masks compress at any level, so the fastest level is used.
_LEVEL: Final = 1


def write_volume(
    path: Path,
    dtype: npt.DTypeLike,
    shape: tuple[int, ...],
    affine: npt.NDArray[Any],
    slices: Iterable[npt.NDArray[Any]],
) -> None:
    """Write a ``.nii.gz`` file: under another name first, renamed when it is complete.

    Parameters
    ----------
    path
        The file; its folder is made if necessary.
    dtype, shape, affine
        Of the volume; millimetres, RAS+.
    slices
        The volume cut along its last axis, one array per slice, in order: it is never held whole.
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
