"""Small pictures of a mask on its CT, as PNG files made with the standard library alone."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import ndimage

_WINDOW: Final = (-1350.0, 250.0)  # HU: the usual lung window
_COLOUR: Final = np.array([255, 80, 40])
_SIDE: Final = 320  # pixels of the longer side


def png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Return an RGB image (height, width, 3) as a PNG file."""
    height, width, _ = pixels.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows.tobytes(), 6)) + chunk(b"IEND", b"")


def data_uri(pixels: npt.NDArray[np.uint8]) -> str:
    """Return an RGB image as a ``data:`` address."""
    return f"data:image/png;base64,{base64.b64encode(png(pixels)).decode()}"


def views(
    values: npt.NDArray[Any], voxels: npt.NDArray[np.int64], spacing: tuple[float, float, float], affine: Any
) -> list[npt.NDArray[np.uint8]]:
    """Return the axial and the coronal slice with most of the mask, outlined, as a radiologist is used to see them.

    Parameters
    ----------
    values
        The CT in HU (H, W, D).
    voxels
        The mask (n, 3); with none, the middle slices are shown.
    spacing
        mm along the axes of the array.
    affine
        Array index -> mm (RAS+), 4x4, or None: then the array is taken to be L, P, S.
    """
    turn = np.array(affine)[:3, :3] if affine is not None else np.diag([-1.0, -1.0, 1.0])
    axes = np.abs(turn).argmax(axis=1)  # array axis of x, y, z
    if sorted(axes) != [0, 1, 2]:
        axes, turn = np.arange(3), np.diag([-1.0, -1.0, 1.0])
    volume = values.transpose(axes)
    mask = np.zeros(values.shape, bool)
    mask[tuple(voxels.T)] = True
    mask = mask.transpose(axes)
    for axis, towards in enumerate((-1, -1, -1)):  # columns grow to the patient's left, rows to the back and the feet
        if np.sign(turn[axis, axes[axis]]) != towards:
            volume, mask = np.flip(volume, axis), np.flip(mask, axis)
    size = np.array(spacing)[axes]
    z, y = (
        int(mask.sum(axis=other).argmax()) if len(voxels) else mask.shape[axis] // 2
        for axis, other in ((2, (0, 1)), (1, (0, 2)))
    )
    axial = _draw(volume[:, :, z].T, mask[:, :, z].T, (size[1], size[0]))
    coronal = _draw(volume[:, y, :].T, mask[:, y, :].T, (size[2], size[0]))
    return [axial, coronal]


def _draw(image: npt.NDArray[Any], mask: npt.NDArray[np.bool_], size: tuple[float, float]) -> npt.NDArray[np.uint8]:
    """Scale a slice to square pixels, window it, and draw the outline of the mask."""
    millimetres = np.array(image.shape) * np.array(size)
    shape = np.maximum(1, np.rint(millimetres * _SIDE / millimetres.max()).astype(int))
    rows, columns = (np.minimum(n - 1, np.arange(m) * n // m) for n, m in zip(image.shape, shape, strict=True))
    low, high = _WINDOW
    grey = np.clip((image[np.ix_(rows, columns)].astype(np.float32) - low) / (high - low), 0, 1) * 255
    pixels = np.repeat(grey[..., None], 3, axis=2)
    inside = mask[np.ix_(rows, columns)]
    edge = inside & ~ndimage.binary_erosion(inside)
    pixels[inside] = 0.8 * pixels[inside] + 0.2 * _COLOUR
    pixels[edge] = _COLOUR
    return pixels.astype(np.uint8)
