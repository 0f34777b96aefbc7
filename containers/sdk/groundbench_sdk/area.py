"""Resizing by area: each sample of the result is the mean of all voxels that it touches, as torch's ``area`` does."""

from __future__ import annotations

from typing import Sequence

import numpy as np


def resize_by_area(volume: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Resize a volume to `size`, smaller or larger, along each axis.

    Sample i of n along an axis of length l is the mean of the voxels from floor(i l / n) to before ceil((i + 1) l / n),
    whatever share of the first and last it covers (``torch.nn.functional.interpolate(mode="area")``). Of a mask it is
    the share of each sample that it fills, by the same count.

    Parameters
    ----------
    volume
        Numbers or booleans, one axis for each length of `size`.
    size
        Samples along each axis.

    Returns
    -------
    ndarray of float32
        Of shape `size`.
    """
    found = volume.astype(np.float64)
    for axis, samples in enumerate(size):
        length, places = found.shape[axis], np.arange(samples)
        first, last = places * length // samples, -(-(places + 1) * length // samples)
        sums = np.insert(np.cumsum(found, axis=axis), 0, 0.0, axis=axis)
        width = (last - first).reshape([-1 if other == axis else 1 for other in range(found.ndim)])
        found = (np.take(sums, last, axis=axis) - np.take(sums, first, axis=axis)) / width
    return found.astype(np.float32)
