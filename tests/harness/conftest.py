"""What the tests of masks and of scoring share."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from harness.masks.bits import Bits, from_coordinates


def bits_of(array: npt.NDArray[Any]) -> Bits:
    """Return a mask as words of bits, made from the positions of its voxels; labels stay."""
    x, y, z = np.nonzero(array)
    i, j, k = array.shape
    return from_coordinates((i, j, k), x, y, z, array[x, y, z].astype(np.int32))
