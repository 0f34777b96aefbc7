"""Volumes on disk, read whole."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from harness.dataset.voxels import read_header, stretches
from harness.errors import DataError
from harness.masks.header import Header

_MOST_BYTES: Final = 2**33  # of one volume, or of all layers of a segmentation: a chest CT has a tenth of it


def require_size(shape: Iterable[int], itemsize: int) -> None:
    """Raise ValueError where an array is larger than what is read into memory, however small its file is packed.

    Parameters
    ----------
    shape
        As the file states it, of any number of axes; nothing of that size has been made yet.
    itemsize
        Bytes of a voxel in memory.
    """
    sizes = [int(size) for size in shape]
    if math.prod(sizes) * itemsize > _MOST_BYTES:
        raise ValueError(f"{' x '.join(map(str, sizes))} voxels of {itemsize} bytes are more than any chest CT has")


def read_array(path: Path) -> tuple[npt.NDArray[Any], Header]:
    """Return the stored values of a NIfTI volume, axes as in the file, and its header.

    Raises
    ------
    DataError
        It cannot be read, or holds more voxels than any CT.
    """
    header = read_header(path)
    try:
        require_size(header.shape, header.dtype.itemsize)
    except ValueError as error:
        raise DataError(
            f"{path} cannot be a CT or its mask: {error}", fix="give the CT or the mask itself, as NIfTI"
        ) from error
    values = np.empty(int(np.prod(header.shape)), header.dtype.newbyteorder("="))
    start = 0
    for part in stretches(path):
        values[start : start + len(part)] = part
        start += len(part)
    return values.reshape(header.shape, order="F"), header
