"""The scanner: the blur of its point spread and its spatially correlated noise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from harness.phantom.canvas import Array
from harness.phantom.grid import Grid

#: Standard deviation of the in-plane point spread, in mm; below a third of a voxel it is left out.
_POINT_SPREAD = 0.5

#: Correlation length of the noise in plane and between slices, in mm.
_GRAIN = 0.7

#: Values a scanner stores, in HU.
_LEAST, _MOST = -1024, 3071


def scan(ct: Array, grid: Grid, rng: np.random.Generator) -> npt.NDArray[np.int16]:
    """Turn a drawn volume into a scan.

    Parameters
    ----------
    ct
        Attenuation in HU, shape (H, W, D); it is overwritten.
    grid
        Its grid.
    rng
        Random generator of the noise.

    Returns
    -------
    ndarray of int16, shape (H, W, D)
        HU within -1024 ... 3071, in Fortran order, as NIfTI stores them.
    """
    blur = [_POINT_SPREAD / spacing for spacing in grid.spacing[:2]]
    grain = [_GRAIN / spacing for spacing in grid.spacing[:2]]
    level = 17.0 if grid.voxel < 2 else 11.0
    memory = float(np.exp(-grid.spacing[2] / (2 * _GRAIN)))
    result = np.empty(ct.shape, np.int16, order="F")
    noise = np.zeros(ct.shape[:2], np.float32)
    for index in range(ct.shape[2]):
        image = ct[:, :, index]
        if blur[0] > 1 / 3:
            image = ndimage.gaussian_filter(image, blur, truncate=3)
        fresh = rng.standard_normal(image.shape, np.float32)
        if grain[0] > 1 / 3:
            fresh = ndimage.gaussian_filter(fresh, grain, truncate=3)
            fresh /= fresh.std()
        noise = fresh if index == 0 else memory * noise + np.sqrt(1 - memory**2) * fresh
        result[:, :, index] = np.clip(np.rint(image + np.float32(level) * noise), _LEAST, _MOST)
    return result
