"""Slices of a finding with the reference and each model's mask, drawn when the site is built.

A finding gets one still image a row, at the slice that shows most of it, and for browsing two sheets of slices (lung
and soft-tissue window) with one transparent sheet of the same layout for every mask. A sheet needs no server, no WebGL
and no reading of pixels, so it works wherever a page does.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness import LUNG
from leaderboard.gallery.scans import Points, Scan

#: Slices of a sheet, how many stand in a row of it, and the longer side of a slice in pixels.
SLICES, PER_ROW, PIXELS = 12, 4, 320

#: Name -> (lowest, highest) HU shown.
WINDOWS: Mapping[str, tuple[float, float]] = {"Lung": LUNG.limits, "Soft tissue": (-160.0, 240.0)}

#: Colours (RGB) of the reference's outline and of a model's mask; distinguished by shape as well.
REFERENCE, MODEL = (86, 180, 233), (230, 159, 0)

_FILL = 90  # of 255: opacity of the inside of a model's mask
_BEYOND = 2  # slices above and below a finding that are shown too
_STILL_MARGIN = 40.0  # mm around the finding in a still image
_COVERED = 0.35  # share of a pixel that a mask must fill to be drawn there

Image = Any  # PIL.Image.Image: Pillow is imported where it draws
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Layer:
    """One mask: whose it is, and its Dice (None for the reference)."""

    name: str
    points: Points
    dice: float | None = None


@dataclass(frozen=True)
class Picture:
    """The input of the viewer template for one finding.

    Attributes
    ----------
    panels
        ``{"image", "title", "dice", "width", "height"}``: the stills.
    sheet
        What ``viewer.js`` reads: the layout of the sheets, their addresses, the layers.
    volume
        Address of the file for the volume viewer; empty without one.
    """

    panels: list[dict[str, Any]]
    sheet: dict[str, Any]
    volume: str = ""


@dataclass
class Drawn:
    """A picture and its files, by their path from the folder of the case pages."""

    picture: Picture
    files: dict[str, bytes] = field(default_factory=dict)


def draw_finding(scan: Scan, layers: Sequence[Layer], name: str, *, reference: bool = True) -> Drawn:
    """Draw the slices of one finding.

    Parameters
    ----------
    scan
        The CT.
    layers
        The reference, which is not empty, then the models.
    name
        Beginning of the files' paths.
    reference
        Whether there is a reference; else the layers are models only, and the first is not empty.
    """
    depths = choose_slices(layers[0].points, scan.shape[2])
    areas = [int((layers[0].points[:, 2] == z).sum()) for z in depths]
    key = int(np.argmax(areas))
    sheets = _Sheets(scan, depths)
    files: dict[str, bytes] = {}
    images = {}
    for window, limits in WINDOWS.items():
        images[window] = path = f"{name}-{window.split()[0].lower()}.webp"
        files[path] = _webp(sheets.ct(*limits))
    described = [] if reference else [{"name": "", "image": ""}]  # the first is that of the reference
    for number, layer in enumerate(layers):
        path = f"{name}-mask-{number}.png"
        files[path] = _png(sheets.mask(layer.points, reference=reference and number == 0))
        described.append({"name": layer.name, "image": path})
    panels = []
    crop = _around(layers[0].points, scan)
    for number, layer in enumerate(layers):
        under = [layers[0]] if reference else []
        image = sheets.still(depths[key], under, [layer] if number or not reference else [], crop)
        path = f"{name}-still-{number}.webp"
        files[path] = _webp(image)
        panels.append(
            {"image": path, "title": layer.name, "dice": layer.dice, "width": image.width, "height": image.height}
        )
    sheet = {
        "columns": PER_ROW,
        "width": sheets.size[0],
        "height": sheets.size[1],
        "key": key,
        "slices": [round(scan.height(z), 1) for z in depths],
        "images": images,
        "layers": described,
    }
    return Drawn(Picture(panels, sheet), files)


def choose_slices(points: Points, depth: int) -> list[int]:
    """Choose up to :data:`SLICES` axial slices of a finding and a little beyond it, from the head downwards.

    They are spread evenly over the slices that show it or lie beside one that does, so that what lies between the
    parts of a scattered finding is left out; the one that shows most of it is always among them.
    """
    areas = np.bincount(points[:, 2], minlength=depth)
    beside = np.flatnonzero(areas)[:, None] + np.arange(-_BEYOND, _BEYOND + 1)
    near = np.unique(beside[(beside >= 0) & (beside < depth)])
    even = near[np.rint(np.linspace(0, len(near) - 1, min(SLICES, len(near)))).astype(int)]
    key = int(areas.argmax())
    if areas[even].max() < areas[key]:
        even[np.abs(even - key).argmin()] = key
    return [int(z) for z in even[::-1]]


def size_of(scan: Scan, longer: int) -> tuple[int, int]:
    """Return width and height, in pixels, of an axial slice in its true proportions whose longer side is `longer`."""
    width, height = (n * mm for n, mm in zip(scan.shape[:2], scan.spacing[:2], strict=True))
    scale = longer / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def grey_slice(scan: Scan, z: int, limits: tuple[float, float], size: tuple[int, int]) -> Image:
    """Return an axial slice in grey: the lowest HU of `limits` and below is black, the highest and above white."""
    from PIL import Image as pil  # noqa: N813 - the module's own name is that of its class

    low, high = limits
    hu = scan.hu(scan.voxels[:, :, z])
    grey = np.clip((hu - low) / (high - low) * 255 + 0.5, 0, 255).astype(np.uint8)
    return pil.fromarray(np.ascontiguousarray(grey.T)).resize(size, pil.Resampling.BILINEAR)


class _Sheets:
    """Draws slices of one scan at one scale, side by side."""

    def __init__(self, scan: Scan, depths: Sequence[int]) -> None:
        self.scan, self.depths = scan, depths
        self.size = size_of(scan, PIXELS)

    def ct(self, low: float, high: float) -> Image:
        """Return the slices in one window of HU."""
        return self._sheet("L", [grey_slice(self.scan, z, (low, high), self.size) for z in self.depths])

    def mask(self, points: Points, *, reference: bool) -> Image:
        """Return the same layout, transparent but for one mask."""
        return self._sheet("RGBA", [self._overlay(points, z, reference=reference) for z in self.depths])

    def still(
        self, z: int, references: Sequence[Layer], models: Sequence[Layer], crop: tuple[int, int, int, int]
    ) -> Image:
        """Return one slice with masks drawn in, cut around the finding."""
        image = grey_slice(self.scan, z, WINDOWS["Lung"], self.size).convert("RGBA")
        for layers, reference in ((references, True), (models, False)):
            for layer in layers:
                image.alpha_composite(self._overlay(layer.points, z, reference=reference))
        x, y = (size / n for size, n in zip(self.size, self.scan.shape[:2], strict=True))
        left, top, right, bottom = crop
        cut = image.crop((int(left * x), int(top * y), max(1, int(right * x)), max(1, int(bottom * y))))
        factor = 200 / max(cut.size)
        return cut.resize((max(1, round(cut.width * factor)), max(1, round(cut.height * factor)))).convert("RGB")

    def _sheet(self, mode: str, images: Sequence[Image]) -> Image:
        from PIL import Image as pil  # noqa: N813 - the module's own name is that of its class

        width, height = self.size
        rows = -(-len(images) // PER_ROW)
        sheet = pil.new(mode, (width * min(PER_ROW, len(images)), height * rows))
        for place, image in enumerate(images):
            row, column = divmod(place, PER_ROW)
            sheet.paste(image, (column * width, row * height))
        return sheet

    def _overlay(self, points: Points, z: int, *, reference: bool) -> Image:
        from PIL import Image as pil  # noqa: N813 - the module's own name is that of its class

        inside = np.zeros(self.scan.shape[:2], bool)
        here = points[points[:, 2] == z]
        inside[here[:, 0], here[:, 1]] = True
        grown = pil.fromarray(np.ascontiguousarray(inside.T).astype(np.float32)).resize(
            self.size, pil.Resampling.BOX if inside.shape[0] > self.size[0] else pil.Resampling.BILINEAR
        )
        drawn = np.asarray(grown) > _COVERED
        edge = drawn & ~_eroded(drawn)
        pixels = np.zeros((*drawn.shape, 4), np.uint8)
        pixels[drawn] = (*(REFERENCE if reference else MODEL), 0 if reference else _FILL)
        pixels[edge, 3] = 255
        pixels[pixels[..., 3] == 0] = 0
        return pil.fromarray(pixels)


def _eroded(mask: Bools) -> Bools:
    """Return the pixels whose four neighbours are all inside."""
    inner = mask.copy()
    inner[1:] &= mask[:-1]
    inner[:-1] &= mask[1:]
    inner[:, 1:] &= mask[:, :-1]
    inner[:, :-1] &= mask[:, 1:]
    return inner


def _around(points: Points, scan: Scan) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom (voxels) of a window around a finding."""
    box = []
    for axis in (0, 1):
        margin = _STILL_MARGIN / scan.spacing[axis]
        low, high = points[:, axis].min() - margin, points[:, axis].max() + 1 + margin
        box.append((max(0, int(low)), min(scan.shape[axis], int(high))))
    (left, right), (top, bottom) = box
    return left, top, right, bottom


def _webp(image: Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "WEBP", quality=72, method=4)
    return stream.getvalue()


def _png(image: Image) -> bytes:
    stream = io.BytesIO()
    image.quantize(8).save(stream, "PNG", optimize=True)
    return stream.getvalue()
