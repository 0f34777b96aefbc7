"""From a CT in any orientation to the net's own frame: RAS+ axes, coarse voxels, the lungs' box; and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from groundbench_sdk.grids import Reorientation, reorient_to

Array = np.ndarray[Any, Any]

#: HU below which a voxel is air, and above which it is tissue that can enclose air.
AIR_HU, TISSUE_HU = -400, -300


@dataclass(frozen=True)
class Frame:
    """How the net's grid lies on a CT.

    Attributes
    ----------
    shape
        (H, W, D) of the CT as stored.
    reorientation
        From the stored axes to RAS+.
    factors
        CT voxels in one coarse voxel along each RAS+ axis.
    box
        First coarse voxel, and the one behind the last, along each RAS+ axis.
    lungs
        The same for the lungs alone; what coordinates are measured in.
    """

    shape: tuple[int, ...]
    reorientation: Reorientation
    factors: tuple[int, ...]
    box: tuple[tuple[int, int], ...]
    lungs: tuple[tuple[float, float], ...]

    def coarse(self, volume: Array) -> Array:
        """Bring an array on the CT's grid to the coarse grid by averaging, and cut the box out: (X, Y, Z)."""
        whole = _pooled(self.reorientation.apply(volume), self.factors)
        return whole[tuple(slice(first, end) for first, end in self.box)]

    def coordinates(self) -> Array:
        """Return x, y, z of every voxel of the box, -1 to 1 over the lungs, shape (3, X, Y, Z), float32."""
        axes = [
            2 * (np.arange(first, end, dtype=np.float32) + 0.5 - low) / max(1.0, high - low) - 1
            for (first, end), (low, high) in zip(self.box, self.lungs, strict=True)
        ]
        return np.stack(np.meshgrid(*axes, indexing="ij")).astype(np.float32)

    def on_ct(self, inside: Array) -> Array:
        """Lay a boolean array over the box, of CT voxels along RAS+ axes, on the CT's grid: (H, W, D)."""
        lengths = self.reorientation.values(self.shape)
        whole = np.zeros(lengths, bool)
        ends = [(a * f, min(b * f, n)) for (a, b), f, n in zip(self.box, self.factors, lengths, strict=True)]
        fitting = inside[tuple(slice(0, end - first) for first, end in ends)]
        whole[tuple(slice(first, end) for first, end in ends)] = fitting
        return np.ascontiguousarray(self.reorientation.restore(whole))


def find_frame(volume: Array, affine: Array, *, grid_mm: float, margin_mm: float) -> Frame:
    """Find the coarse grid and the lungs' box on a CT.

    Parameters
    ----------
    volume
        (H, W, D), Hounsfield units.
    affine
        Voxel-to-world matrix of the CT, (4, 4), RAS+ millimetres.
    grid_mm
        Coarse voxels are the CT's own, joined along each axis to come nearest to this size.
    margin_mm
        Room round the lungs for the pleural space and the chest wall.
    """
    reorientation = reorient_to("RAS", affine)
    along = reorientation.values(np.sqrt((np.asarray(affine)[:3, :3] ** 2).sum(0)))
    factors = tuple(max(1, round(grid_mm / mm)) for mm in along)
    coarse = _pooled(reorientation.apply(volume), factors)
    lungs = _lungs_box(coarse)
    box = []
    for (low, high), mm, factor, length in zip(lungs, along, factors, coarse.shape, strict=True):
        margin = round(margin_mm / (mm * factor))
        box.append((max(0, int(low) - margin), min(length, int(np.ceil(high)) + margin)))
    return Frame(tuple(volume.shape), reorientation, factors, tuple(box), lungs)


def _lungs_box(coarse: Array) -> tuple[tuple[float, float], ...]:
    """Find the box of the air that tissue encloses on four sides; the whole volume where there is hardly any."""
    tissue, inside = coarse > TISSUE_HU, coarse < AIR_HU
    for axis in (0, 1):
        inside &= np.maximum.accumulate(tissue, axis)
        inside &= np.flip(np.maximum.accumulate(np.flip(tissue, axis), axis), axis)
    found = np.argwhere(inside)
    if len(found) < 0.01 * coarse.size:
        return tuple((0.0, float(length)) for length in coarse.shape)
    low, high = np.percentile(found, [0.5, 99.5], axis=0)
    return tuple((float(first), float(last) + 1) for first, last in zip(low, high, strict=True))


def _pooled(array: Array, factors: tuple[int, ...]) -> Array:
    """Average blocks of voxels, float32; a block that the volume's end cuts is filled by its last voxels."""
    if factors == (1, 1, 1):
        return array.astype(np.float32)
    padded = np.pad(array, [(0, -n % f) for n, f in zip(array.shape, factors, strict=True)], mode="edge")
    (a, x), (b, y), (c, z) = ((n // f, f) for n, f in zip(padded.shape, factors, strict=True))
    return padded.reshape(a, x, b, y, c, z).mean(axis=(1, 3, 5), dtype=np.float32)
