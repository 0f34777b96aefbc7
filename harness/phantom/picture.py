"""A picture of the phantom for its page: one panel for each category, with the finding outlined.

``python -m harness.phantom.picture docs/img/phantom.png`` makes it from the four test cases of seed 0, full size.
"""

from __future__ import annotations

import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from harness.categories import CATEGORIES
from harness.phantom.case import PhantomCase, make_case
from harness.phantom.grid import Size
from harness.registry.protocol import LUNG

Image = npt.NDArray[np.uint8]

#: Panels in a row, their height and width in pixels, and the colour of an outline.
_COLUMNS, _HEIGHT, _WIDTH = 5, 240, 300
_OUTLINE = (255, 90, 60)

#: Window of the lung and of the soft tissues, in HU: the latter for fluid.
_WINDOWS = {"2e": (-160, 240)}


def picture(size: Size, seed: int = 0) -> Image:
    """Draw one panel for each category, row by row in the order of the codes, then a coronal view of the first case.

    Returns
    -------
    ndarray of uint8, shape (rows, columns, 3)
        RGB.
    """
    panels: dict[str, Image] = {}
    last: Image | None = None
    for number in range(4):
        case = make_case(seed, number, size)
        for index, planned in enumerate(case.plan.findings):
            panels.setdefault(planned.category, _axial(case, index + 1, planned.category))
        if last is None:
            last = _coronal(case)
    tiles = [panels[code] for code in CATEGORIES]
    if last is not None:
        tiles.append(last)
    rows = [np.hstack(tiles[first : first + _COLUMNS]) for first in range(0, len(tiles), _COLUMNS)]
    return np.vstack(rows)


def _axial(case: PhantomCase, finding: int, code: str) -> Image:
    """Show the slice that holds most of a finding."""
    index = int((case.finding == finding).sum(axis=(0, 1)).argmax())
    image = case.ct[:, :, index].T.astype(float)
    mask = (case.finding[:, :, index] == finding).T
    return _panel(image, mask, case.grid.spacing[1], case.grid.spacing[0], _WINDOWS.get(code, LUNG.limits))


def _coronal(case: PhantomCase) -> Image:
    image = case.ct[:, case.ct.shape[1] // 2, ::-1].T.astype(float)
    return _panel(image, np.zeros(image.shape, np.bool_), case.grid.spacing[2], case.grid.spacing[0], LUNG.limits)


def _panel(
    image: npt.NDArray[np.float64], mask: npt.NDArray[np.bool_], down: float, across: float, window: tuple[int, int]
) -> Image:
    """Resample to a panel that keeps the proportions and cuts what does not fit, and outline the mask."""
    scale = max(_HEIGHT / (image.shape[0] * down), _WIDTH / (image.shape[1] * across))
    zoom = down * scale, across * scale
    gray = (ndimage.zoom(image, zoom, order=1) - window[0]) / (window[1] - window[0])
    rgb = np.repeat((np.clip(gray, 0, 1) * 255).astype(np.uint8)[:, :, None], 3, axis=2)
    enlarged = ndimage.zoom(mask.astype(np.float32), zoom, order=1) > 0.5
    rgb[ndimage.binary_dilation(enlarged) & ~enlarged] = _OUTLINE
    rgb = np.pad(rgb, ((0, 1), (0, 1), (0, 0)), mode="edge")  # the zoom may round a pixel away
    top, left = (rgb.shape[0] - _HEIGHT) // 2, (rgb.shape[1] - _WIDTH) // 2
    return rgb[top : top + _HEIGHT, left : left + _WIDTH]


def png(image: Image) -> bytes:
    """Encode an RGB image, shape (rows, columns, 3), as PNG (ISO/IEC 15948)."""
    rows, columns, _ = image.shape
    lines = b"".join(b"\0" + line.tobytes() for line in image)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(lines, 9)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(png(picture("full")))
