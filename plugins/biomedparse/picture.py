"""From an axial slice to the picture that BiomedParse was trained on."""

from __future__ import annotations

import numpy as np
from groundbench_sdk.slices import Square
from numpy.typing import NDArray


def picture(hu: NDArray[np.int16], square: Square, low: float, high: float) -> NDArray[np.uint8]:
    """Return a slice as a grey picture, as upstream makes it.

    Clipped to the window, scaled to 0 to 255 between the slice's own extremes, padded with 0 to a square, resized by
    cubic convolution, clipped to 0 to 255 and rounded down.

    Parameters
    ----------
    hu
        Slice (rows, columns), Hounsfield units.
    square
        Made for the same rows and columns.
    low, high
        The window, HU.
    """
    inside = np.clip(hu.astype(np.float32), low, high)
    bottom, top = float(inside.min()), float(inside.max())
    grey = (inside - bottom) * (255.0 / (top - bottom)) if top > bottom else np.zeros_like(inside)
    return np.clip(square.fit(grey), 0, 255).astype(np.uint8)
