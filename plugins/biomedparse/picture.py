"""From an axial slice to the picture that BiomedParse was trained on."""

from __future__ import annotations

from typing import Any

import numpy as np
from groundbench_sdk.slices import Square
from numpy.typing import NDArray


def picture(
    hu: NDArray[np.int16], square: Square, low: float, high: float, stretch: str = "slice"
) -> NDArray[np.uint8]:
    """Return a slice as a grey picture, as upstream makes it.

    Clipped to the window, scaled to 0 to 255, padded with 0 to a square, resized by cubic convolution, clipped to 0 to
    255 and rounded down.

    Parameters
    ----------
    hu
        Slice (rows, columns), Hounsfield units.
    square
        Made for the same rows and columns.
    low, high
        The window, HU.
    stretch
        What becomes 0 and 255: the extremes of the ``"slice"``, as upstream, or the ends of the ``"window"``.

    Raises
    ------
    ValueError
        For another word.
    """
    if stretch not in {"slice", "window"}:
        raise ValueError(f"stretch must be slice or window, not {stretch}")
    inside = np.clip(hu.astype(np.float32), low, high)
    bottom, top = (float(inside.min()), float(inside.max())) if stretch == "slice" else (low, high)
    grey = (inside - bottom) * (255.0 / (top - bottom)) if top > bottom else np.zeros_like(inside)
    return np.clip(square.fit(grey), 0, 255).astype(np.uint8)


def rescale(
    pictures: NDArray[np.uint8], mask: NDArray[np.uint8], scale: float, corner: float
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Resize pictures and a mask, then cut or pad them to their size, as upstream's ``ResizeScale`` and its crop do.

    Parameters
    ----------
    pictures, mask
        (C, side, side) and (side, side).
    scale
        Sides become ``round(side * scale)``: pictures linearly, the mask to the nearest pixel.
    corner
        Where a cut begins, as a share of what is too much, along rows and columns. What is lacking is padded below and
        on the right, pictures with 128.
    """
    from PIL import Image

    side = mask.shape[0]
    scaled = round(side * scale)
    start = round(corner * max(0, scaled - side))

    def fitted(image: NDArray[np.uint8], method: Any, beyond: int) -> NDArray[np.uint8]:
        resized = np.asarray(Image.fromarray(image).resize((scaled, scaled), method))
        found = np.full((side, side), beyond, np.uint8)
        inside = resized[start : start + side, start : start + side]
        found[: inside.shape[0], : inside.shape[1]] = inside
        return found

    shown = np.stack([fitted(picture, Image.Resampling.BILINEAR, 128) for picture in pictures])
    return shown, fitted(mask, Image.Resampling.NEAREST, 0)
