"""Volumes on disk, read whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from harness.dataset.voxels import read_header, stretches
from harness.errors import DataError
from harness.masks.header import Header

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
