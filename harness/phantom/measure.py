"""Measures of a mask as a radiologist takes them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]


def axial_diameters(mask: Mask, spacing: tuple[float, float, float]) -> tuple[float, float]:
    """Measure the longest axial diameter and the extent perpendicular to it.

    Parameters
    ----------
    mask
        Boolean, shape (H, W, D), not empty.
    spacing
        Voxel size in mm.

    Returns
    -------
    longest, perpendicular : float
        In mm, between outer corners of pixels, on the axial slice with the longest diameter (RECIST 1.1's two axial
        diameters, taken on the mask instead of by eye).
    """
    best = (0.0, 0.0)
    for index in np.flatnonzero(mask.any(axis=(0, 1))):
        corners = _corners(mask[:, :, index]) * spacing[:2]
        offsets = corners[:, None, :] - corners[None, :, :]
        lengths = np.sqrt(np.square(offsets).sum(axis=-1))
        longest = float(lengths.max())
        if longest > best[0]:
            i, j = np.unravel_index(int(lengths.argmax()), lengths.shape)
            along = offsets[i, j] / longest
            across = corners @ np.array([-along[1], along[0]])
            best = longest, float(np.ptp(across))
    return best


def _corners(image: Mask) -> npt.NDArray[np.float64]:
    """Return the outer corners of each row's first and last pixel, in pixels: enough for any diameter."""
    rows = np.flatnonzero(image.any(axis=1))
    first = image[rows].argmax(axis=1)
    last = image.shape[1] - image[rows][:, ::-1].argmax(axis=1)
    corners = [
        (row + edge, column) for row, *ends in zip(rows, first, last, strict=True) for edge in (0, 1) for column in ends
    ]
    return np.array(corners, dtype=float)


def front_to_back(mask: Mask, spacing: tuple[float, float, float]) -> float:
    """Measure the greatest thickness along the front-to-back axis (axis 1), in mm: voxels of one column."""
    return float(mask.sum(axis=1).max() * spacing[1])


def millimetres(length: float) -> int:
    """Round a length to the whole millimetre a report gives, at least 1."""
    return max(1, round(length))
