"""Filters that distinguish blobs, tubes and plates by the eigenvalues of the Hessian matrix.

After Sato et al. (Medical Image Analysis 1998;2:143-168) and Frangi et al. (MICCAI 1998): in a bright blob all three
second derivatives are strongly negative, in a tube two, in a plate one. The Hessian is
computed only at the requested voxels.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .grid import Array, Floats, Grid


def eigenvalues(smooth: Floats, points: tuple[Array, ...], spacing: tuple[float, float, float]) -> Array:
    """Return the eigenvalues of the Hessian at some voxels of a smoothed volume.

    Parameters
    ----------
    smooth
        (X, Y, Z), HU, smoothed to the scale of interest.
    points
        Indices of N voxels.
    spacing
        mm.

    Returns
    -------
    ndarray, shape (3, N)
        HU/mm², ascending.
    """
    limits = [size - 1 for size in smooth.shape]

    def at(*shift: int) -> Array:
        index = tuple(np.clip(p + s, 0, n) for p, s, n in zip(points, shift, limits, strict=True))
        value: Array = smooth[index].astype(np.float64)
        return value

    centre = at(0, 0, 0)
    hessian: dict[tuple[int, int], Array] = {}
    for i in range(3):
        step = [0, 0, 0]
        step[i] = 1
        hessian[i, i] = (at(*step) - 2 * centre + at(*(-s for s in step))) / spacing[i] ** 2
        for j in range(i + 1, 3):
            plus, minus = [0, 0, 0], [0, 0, 0]
            plus[i], plus[j], minus[i], minus[j] = 1, 1, 1, -1
            mixed = at(*plus) + at(*(-s for s in plus)) - at(*minus) - at(*(-s for s in minus))
            hessian[i, j] = mixed / (4 * spacing[i] * spacing[j])
    return _symmetric_eigenvalues(hessian)


def _symmetric_eigenvalues(h: dict[tuple[int, int], Array]) -> Array:
    """Solve the characteristic cubic of symmetric 3 x 3 matrices in closed form (trigonometric solution)."""
    mean = (h[0, 0] + h[1, 1] + h[2, 2]) / 3
    off = h[0, 1] ** 2 + h[0, 2] ** 2 + h[1, 2] ** 2
    a, b, c = h[0, 0] - mean, h[1, 1] - mean, h[2, 2] - mean
    p = np.sqrt(np.maximum((a**2 + b**2 + c**2 + 2 * off) / 6, 1e-24))
    det = a * (b * c - h[1, 2] ** 2) - h[0, 1] * (h[0, 1] * c - h[1, 2] * h[0, 2])
    det += h[0, 2] * (h[0, 1] * h[1, 2] - b * h[0, 2])
    angle = np.arccos(np.clip(det / (2 * p**3), -1, 1)) / 3
    largest = mean + 2 * p * np.cos(angle)
    smallest = mean + 2 * p * np.cos(angle + 2 * np.pi / 3)
    return np.stack([smallest, 3 * mean - largest - smallest, largest])


def blobness(smooth: Floats, points: tuple[Array, ...], spacing: tuple[float, float, float]) -> Array:
    """Return 1 in a bright ball, about 0 in a tube or a plate, 0 in anything dark; one value a point."""
    low, _, high = eigenvalues(smooth, points, spacing)
    ratio: Array = np.where((high < 0) & (low < 0), high / np.minimum(low, -1e-12), 0.0)
    return ratio


def plateness(smooth: Floats, points: tuple[Array, ...], spacing: tuple[float, float, float]) -> Array:
    """Return 1 in a bright plate, 0 in a tube, a ball or anything dark."""
    low, middle, high = eigenvalues(smooth, points, spacing)
    rest = np.maximum(np.abs(middle), np.abs(high))
    value: Array = np.where(low < 0, np.clip(1.0 - rest / np.maximum(-low, 1e-12), 0.0, 1.0), 0.0)
    return value


def log_response(volume: Floats, sigma_mm: float, grid: Grid) -> Floats:
    """Return the scale-normalised, negated Laplacian of Gaussian, in HU: the contrast of a blob of radius √3 sigma."""
    smooth = ndimage.gaussian_filter(volume, grid.voxels(sigma_mm), truncate=3.0)
    response = np.zeros_like(smooth)
    for axis, step in enumerate(grid.spacing):
        response -= ndimage.correlate1d(smooth, [1.0, -2.0, 1.0], axis=axis, mode="nearest") * (sigma_mm / step) ** 2
    return np.asarray(response, dtype=np.float32)


def share_nearby(mask: Array, radius_mm: float, grid: Grid) -> Floats:
    """Return the share of marked voxels in the box of half-width `radius_mm` around each voxel."""
    size = [2 * max(1, round(radius_mm / step)) + 1 for step in grid.spacing]
    share = np.asarray(mask, dtype=np.float32)
    for axis, length in enumerate(size):
        share = ndimage.uniform_filter1d(share, length, axis=axis, mode="nearest")
    return share
