"""The pictures of a finding, drawn when the site is built: still images, and what the viewer reads.

A still shows the slice that has most of the finding; it needs no script. Reference and model differ in form, not only
in colour: the outline of a reference is dashed, the inside of a model's mask hatched.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness import LUNG
from harness.cli.tables import counted
from leaderboard.gallery.packed import LEVELS, masks_script, slice_script
from leaderboard.gallery.parts import Layer, Part, Parts
from leaderboard.gallery.scans import Points, Scan

#: Name -> (lowest, highest) HU shown.
WINDOWS: Mapping[str, tuple[float, float]] = {
    "Lung": LUNG.limits,
    "Soft tissue": (-160.0, 240.0),
    "Pleura": (-500.0, 300.0),
    "Bone": (-500.0, 1300.0),
}

#: Colours (RGB) of the reference's outline and of a model's mask; distinguished by shape as well.
REFERENCE, MODEL = (86, 180, 233), (230, 159, 0)

#: Longer side in pixels of a slice that a still is cut from, and of the still.
PIXELS, STILL = 512, 240

#: Stills of models that a page shows; the viewer shows the masks of all.
STILLS = 8

_FILL, _HATCH = 50, 150  # of 255: opacity of the inside of a model's mask, and of the lines on it
_MARGIN = 40.0  # mm around the finding in a still image
_COVERED = 0.35  # share of a pixel that a mask must fill to be drawn there

Image = Any  # PIL.Image.Image: Pillow is imported where it draws
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Picture:
    """The input of the viewer template for one finding.

    Attributes
    ----------
    panels
        ``{"image", "title", "dice", "width", "height", "model", "facts"}``: the stills; what each mask is, in words.
    sheet
        What the viewer reads first: the grid, the slices, where the masks are and whose they are.
    facts
        What should be known of what is shown and what is not, in sentences.
    undrawn
        (row, why its mask is not drawn).
    volume, volume_bytes
        Address and size of the file for the volume viewer; empty without one.
    """

    panels: list[dict[str, Any]]
    sheet: dict[str, Any]
    facts: Sequence[str] = ()
    undrawn: Sequence[tuple[str, str]] = ()
    volume: str = ""
    volume_bytes: int = 0


@dataclass
class Drawn:
    """A picture and its files, by their path from the folder of the case pages."""

    picture: Picture
    files: dict[str, bytes] = field(default_factory=dict)


def draw_slices(scan: Scan, depths: Sequence[int], name: str) -> dict[str, bytes]:
    """Return the scripts of the slices of a CT by path; none without a CT. `name` is the beginning of the paths."""
    if scan.stored is None:
        return {}
    return {path: slice_script(scan, z, path) for z in depths for path in [f"{name}-{z}.js"]}


def draw_finding(
    scan: Scan,
    layers: Sequence[Layer],
    depths: Sequence[int],
    *,
    ct: str,
    name: str,
    undrawn: Sequence[tuple[str, str]] = (),
) -> Drawn:
    """Draw one finding.

    Parameters
    ----------
    scan
        The grid, and the CT if any.
    layers
        The masks, the reference first where there is one; the first is not empty.
    depths
        The slices that are shown, from the head downwards.
    ct
        Beginning of the paths of :func:`draw_slices`.
    name
        Beginning of the other files' paths.
    undrawn
        (row, why its mask is not drawn).
    """
    masks = f"{name}-masks.js"
    described = [_described(layer, depths) for layer in layers]
    script, held = masks_script(
        [layer.mask for layer in layers], depths, scan.shape[0], masks, {"layers": described, "listed": _KEYS}
    )
    left_out = [(layer.name, "its mask is too large for this page") for layer in layers[held:]]
    files = {masks: script}
    first = layers[0]
    key = max(depths, key=lambda z: int((first.points[:, 2] == z).sum()))
    crop = _around(first.points, scan)
    stills = _Stills(scan, key, crop)
    panels = []
    for number, layer in enumerate(layers[: STILLS + 1]):
        under = [first] if not first.id else []
        image = stills.draw(under, [layer] if layer.id else [])
        path = f"{name}-still-{number}.webp"
        files[path] = _webp(image)
        panels.append(
            {
                "image": path,
                "title": layer.name,
                "dice": layer.dice,
                "width": image.width,
                "height": image.height,
                "model": bool(layer.id),
                "facts": _words(layer, scan, key, crop),
            }
        )
    sheet = {
        "grid": list(scan.shape),
        "spacing": [round(mm, 4) for mm in scan.spacing],
        "affine": [[round(float(value), 4) for value in row] for row in scan.affine[:3]],
        "sided": scan.sided,
        "measured": scan.measured,
        "key": depths.index(key),
        "depths": list(depths),
        "ct": ct if scan.stored is not None else "",
        "masks": masks,
        "levels": [list(pair) for pair in LEVELS],
        "windows": [[window, *limits] for window, limits in WINDOWS.items()],
        "layers": [{"id": layer.id, "name": layer.name, "dice": layer.dice} for layer in layers[:held]],
    }
    return Drawn(Picture(panels, sheet, _facts(scan, layers, depths), [*undrawn, *left_out]), files)


# -- what is said of masks --------------------------------------------------------------------------------------------

#: What the numbers of a part are, in their order.
_KEYS = ["voxels", "long", "short", "height", "x", "y", "z"]


def _described(layer: Layer, depths: Sequence[int]) -> dict[str, Any]:
    return {
        "voxels": len(layer.points),
        "shown": int(np.isin(layer.points[:, 2], depths).sum()),
        **{
            name: parts and _listed(parts, depths)
            for name, parts in (("parts", layer.entities), ("false", layer.false), ("missed", layer.missed))
        },
    }


def _listed(parts: Parts, depths: Sequence[int]) -> dict[str, Any]:
    return {
        "number": parts.number,
        "voxels": parts.voxels,
        "listed": [
            [part.voxels, *(round(mm, 1) for mm in part.size), *(part.at(depths) or (-1, -1, -1))]
            for part in parts.listed
        ],
    }


def _words(layer: Layer, scan: Scan, key: int, crop: tuple[int, int, int, int]) -> list[str]:
    """Say what a mask is, and how much of it a still leaves out."""
    n = len(layer.points)
    if not n:
        return ["marks nothing"]
    largest = layer.entities.listed[0]
    words = [f"{counted(layer.entities.number, 'part')}, the largest {size_of_part(largest, scan)}"]
    if layer.false is not None and layer.missed is not None:
        truth = n - layer.false.voxels + layer.missed.voxels
        words.append(f"{percent(layer.false.voxels, n)} of it false, {percent(layer.missed.voxels, truth)} missed")
    left, top, right, bottom = crop
    x, y, z = layer.points.T
    seen = (z == key) & (x >= left) & (x < right) & (y >= top) & (y < bottom)
    words.append(f"{percent(int(seen.sum()), n)} of it in this picture")
    return words


def _facts(scan: Scan, layers: Sequence[Layer], depths: Sequence[int]) -> list[str]:
    """Say what is not shown."""
    lines = []
    if scan.stored is None:
        lines.append("There is no CT at hand, so the masks stand alone.")
    if not scan.sided:
        lines.append("Without a CT nobody knows which side of the patient is where, so there is no R and no L.")
    if not scan.measured:
        lines.append("The size of a voxel is not known, so nothing is said in mm.")
    depth = scan.shape[2]
    if len(depths) == depth:
        return [*lines, f"All {depth} slices of the scan are shown."]
    lines.append(f"{len(depths)} of the scan's {depth} slices are shown.")
    for layer in layers:
        outside = int((~np.isin(layer.points[:, 2], depths)).sum())
        if outside:
            share = percent(outside, len(layer.points))
            lines.append(f"{layer.name}: {share} ({outside:,} voxels) lies on slices that are not shown.")
    return lines


def size_of_part(part: Part, scan: Scan) -> str:
    """Write the size of a part: in mm where that is known, else in voxels."""
    if not scan.measured:
        return f"of {counted(part.voxels, 'voxel')}"
    sides = " x ".join(f"{mm:.0f}" if mm >= 10 else f"{mm:.1f}" for mm in part.size)
    ml = part.voxels * float(np.prod(scan.spacing)) / 1000
    return f"{sides} mm, {ml:.{2 if ml < 1 else 1 if ml < 100 else 0}f} ml"


def percent(part: int, whole: int) -> str:
    """Write a share, so that some is never none and never all."""
    share = 100 * part / whole if whole else 0.0
    if 0 < share < 1:
        return "less than 1 %"
    return f"{min(share, 99.0 if part < whole else 100.0):.0f} %"


# -- stills -----------------------------------------------------------------------------------------------------------


def size_of(scan: Scan, longer: int) -> tuple[int, int]:
    """Return width and height, in pixels, of an axial slice in its true proportions whose longer side is `longer`."""
    width, height = (n * mm for n, mm in zip(scan.shape[:2], scan.spacing[:2], strict=True))
    scale = longer / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def grey_slice(scan: Scan, z: int, limits: tuple[float, float], size: tuple[int, int]) -> Image:
    """Return an axial slice in grey: the lowest HU of `limits` and below is black, the highest and above white.

    Without a CT all of it is black.
    """
    from PIL import Image as pil  # noqa: N813 - the module's own name is that of its class

    if scan.stored is None:
        return pil.new("L", size)
    low, high = limits
    hu = scan.hu(scan.voxels[:, :, z])
    grey = np.clip((hu - low) / (high - low) * 255 + 0.5, 0, 255).astype(np.uint8)
    return pil.fromarray(np.ascontiguousarray(grey.T)).resize(size, pil.Resampling.BILINEAR)


class _Stills:
    """Draws one slice of a scan, cut around a finding, with masks."""

    def __init__(self, scan: Scan, z: int, crop: tuple[int, int, int, int]) -> None:
        left, top, right, bottom = crop
        full = size_of(scan, PIXELS)
        x, y = (size / n for size, n in zip(full, scan.shape[:2], strict=True))
        cut = grey_slice(scan, z, WINDOWS["Lung"], full).crop(
            (int(left * x), int(top * y), max(1, int(right * x)), max(1, int(bottom * y)))
        )
        factor = STILL / max(cut.size)
        self.size = max(1, round(cut.width * factor)), max(1, round(cut.height * factor))
        self.ground = cut.resize(self.size).convert("RGBA")
        self.shape, self.crop, self.z = scan.shape, crop, z

    def draw(self, references: Sequence[Layer], models: Sequence[Layer]) -> Image:
        """Return the slice with these masks, models below."""
        image = self.ground.copy()
        for layers, reference in ((models, False), (references, True)):
            for layer in layers:
                image.alpha_composite(self._overlay(layer.points, reference=reference))
        return image.convert("RGB")

    def _overlay(self, points: Points, *, reference: bool) -> Image:
        from PIL import Image as pil  # noqa: N813 - the module's own name is that of its class

        left, top, right, bottom = self.crop
        inside = np.zeros(self.shape[:2], bool)
        here = points[points[:, 2] == self.z]
        inside[here[:, 0], here[:, 1]] = True
        cut = np.ascontiguousarray(inside[left:right, top:bottom].T).astype(np.float32)
        shrinks = cut.shape[1] > self.size[0]
        grown = pil.fromarray(cut).resize(self.size, pil.Resampling.BOX if shrinks else pil.Resampling.BILINEAR)
        drawn = np.asarray(grown) > _COVERED
        inner = _eroded(_eroded(drawn))
        edge = drawn & ~inner
        y, x = np.indices(drawn.shape)
        pixels = np.zeros((*drawn.shape, 4), np.uint8)
        if reference:
            pixels[edge] = (0, 0, 0, 255)
            pixels[edge & ((x + y) % 12 < 7)] = (*REFERENCE, 255)
        else:
            pixels[drawn] = (*MODEL, _FILL)
            pixels[drawn & ((x + y) % 8 < 2), 3] = _HATCH
            pixels[edge, 3] = 255
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
        margin = _MARGIN / scan.spacing[axis]
        low, high = points[:, axis].min() - margin, points[:, axis].max() + 1 + margin
        box.append((max(0, int(low)), min(scan.shape[axis], int(high))))
    (left, right), (top, bottom) = box
    return left, top, right, bottom


def _webp(image: Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "WEBP", quality=80, method=4)
    return stream.getvalue()
