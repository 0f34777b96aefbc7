"""Keeps a mask as one bit a voxel from the moment a model has delivered it until it is written.

The model may go on and use its array again. Packing reads it once and takes a third of the time of a copy, of which
most goes into new memory; the thread that writes unpacks it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

#: Axes of a mask.
_AXES = 3


class PackedMask:
    """The voxels of a mask, packed in the order in which they lie in memory.

    Parameters
    ----------
    mask
        (H, W, D), boolean, or integers of one byte that are 0 or 1. It may be changed afterwards.

    Attributes
    ----------
    nbytes : int
        Bytes that it takes when it is unpacked.
    """

    def __init__(self, mask: np.ndarray) -> None:
        order = sorted(range(_AXES), key=lambda axis: -abs(mask.strides[axis]))
        flips: tuple[Any, ...] = tuple(slice(None, None, -1 if mask.strides[axis] < 0 else None) for axis in order)
        lying = mask.transpose(order)[flips]
        self._bits, self._shape, self._flips = np.packbits(lying), lying.shape, flips
        self._back = [order.index(axis) for axis in range(_AXES)]
        self.nbytes = mask.size

    def unpack(self) -> np.ndarray:
        """Return the mask, (H, W, D), uint8, with its axes as they were in memory."""
        lying: np.ndarray = np.unpackbits(self._bits, count=self.nbytes).reshape(self._shape)
        mask: np.ndarray = lying[self._flips].transpose(self._back)
        return mask
