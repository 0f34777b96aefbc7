"""NIfTI-1 files whose bytes depend on nothing but the volume."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from harness.phantom.case import PhantomCase

#: Noise hardly compresses and masks compress at any level, so the fastest level is used.
_LEVEL = 1


def write_case(case: PhantomCase, root: Path) -> None:
    """Write the CT, the masks and the anatomy of a case into ``ct/``, ``seg/`` and ``anatomy/`` under `root`."""
    name = case.plan.name
    shape, affine = case.grid.shape, case.grid.affine
    _write(root / "ct" / name, np.int16, shape, affine, _slices(case.ct))
    _write(root / "anatomy" / name, np.uint8, shape, affine, _slices(case.anatomy))
    _write(root / "seg" / name, np.uint8, (len(case.texts), *shape), np.eye(4), _masks(case))


def write_json(path: Path, document: object) -> None:
    """Write a JSON document with sorted keys and a final newline."""
    path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _slices(volume: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    return (volume[:, :, index] for index in range(volume.shape[2]))


def _masks(case: PhantomCase) -> Iterator[npt.NDArray[np.uint8]]:
    """Return the entity labels (F, H, W) of one slice after another: the file is written without ever holding it."""
    numbers = np.arange(1, len(case.texts) + 1, dtype=np.uint8)[:, None, None]
    for index in range(case.grid.shape[2]):
        yield np.where(case.finding[None, :, :, index] == numbers, case.entity[None, :, :, index], np.uint8(0))


def _write(
    path: Path,
    dtype: npt.DTypeLike,
    shape: tuple[int, ...],
    affine: npt.NDArray[np.float64],
    slices: Iterator[npt.NDArray[Any]],
) -> None:
    header: Any = nib.Nifti1Header()  # type: ignore[no-untyped-call]
    header.set_data_dtype(dtype)
    header.set_data_shape(shape)
    header.set_qform(affine, code=1)
    header.set_sform(affine, code=1)
    header.set_xyzt_units("mm")
    header.set_slope_inter(1, 0)
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    with path.open("wb") as raw, gzip.GzipFile("", "wb", _LEVEL, raw, mtime=0) as stream:
        stream.write(header.binaryblock + bytes(4))
        for image in slices:
            stream.write(image.tobytes(order="F"))
