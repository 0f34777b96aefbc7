"""Orientation and resolution: every CT is brought to one orientation and to coarser grids, and masks exactly back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[Any]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]
Box = tuple[slice, slice, slice]

#: Millimetres. Findings are sought on the finer grid (a 3 mm nodule covers two voxels), lungs on the coarser one.
WORKING_MM = 1.2
COARSE_MM = 2.8


@dataclass(frozen=True)
class Grid:
    """A CT on one grid, axes running to the patient's right, front and top ("RAS").

    Attributes
    ----------
    hu
        (X, Y, Z), Hounsfield units.
    spacing
        Millimetres along X, Y, Z.
    """

    hu: Array
    spacing: tuple[float, float, float]

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel in millilitres."""
        return float(np.prod(self.spacing)) / 1000.0

    def voxels(self, millimetres: float) -> tuple[float, float, float]:
        """Express a length in voxels along each axis."""
        x, y, z = self.spacing
        return millimetres / x, millimetres / y, millimetres / z

    def factors(self, target_mm: float) -> tuple[int, int, int]:
        """Return by how much each axis may be reduced without getting coarser than about `target_mm`."""
        x, y, z = (max(1, round(target_mm / step)) for step in self.spacing)
        return x, y, z

    def reduced(self, factors: tuple[int, int, int]) -> Grid:
        """Return the block means; blocks at the far border may be smaller."""
        hu = self.hu
        for axis, factor in enumerate(factors):
            if factor > 1:
                hu = _block_means(hu, axis, factor)
        x, y, z = (step * factor for step, factor in zip(self.spacing, factors, strict=True))
        return Grid(np.asarray(hu, dtype=np.float32), (x, y, z))


def canonical(volume: Array, affine: Array) -> tuple[Grid, Array]:
    """Turn a CT to RAS axes, as views (no voxel is copied).

    Parameters
    ----------
    volume
        (H, W, D), Hounsfield units.
    affine
        (4, 4), voxel to RAS+ world, mm; an oblique one is taken to its nearest axes.

    Returns
    -------
    Grid
        The same voxels on RAS axes.
    ndarray, shape (3, 2)
        The orientation that :func:`restore` needs.
    """
    orientation: Array = nib.orientations.io_orientation(affine)  # type: ignore[no-untyped-call]
    if np.isnan(orientation).any():  # an axis without extent
        orientation = np.array([[0, 1], [1, 1], [2, 1]])
    steps = np.sqrt((np.asarray(affine, dtype=np.float64)[:3, :3] ** 2).sum(axis=0))
    steps = np.where(np.isfinite(steps) & (steps > 0), steps, 1.0)
    hu = nib.orientations.apply_orientation(volume, orientation)  # type: ignore[no-untyped-call]
    order = np.argsort(orientation[:, 0])
    x, y, z = (float(step) for step in steps[order])
    return Grid(hu, (x, y, z)), orientation


def restore(mask: Bools, orientation: Array, shape: tuple[int, ...]) -> Bools:
    """Turn a mask on RAS axes back onto the axes of the CT it belongs to."""
    back = nib.orientations.ornt_transform(  # type: ignore[no-untyped-call]
        np.array([[0, 1], [1, 1], [2, 1]]), orientation
    )
    turned: Bools = nib.orientations.apply_orientation(mask, back)  # type: ignore[no-untyped-call]
    if turned.shape != shape:
        raise AssertionError(f"the mask came back as {turned.shape}, the CT is {shape}")
    return np.ascontiguousarray(turned)


def _block_means(values: Array, axis: int, factor: int) -> Floats:
    """Average blocks of `factor` voxels along one axis; the last block may be shorter."""
    moved = np.moveaxis(values, axis, 0)
    blocks = -(-moved.shape[0] // factor)
    total = np.zeros((blocks, *moved.shape[1:]), dtype=np.float32)
    for offset in range(factor):
        part = moved[offset::factor]
        total[: len(part)] += part
    total[:-1] /= factor
    total[-1] /= moved.shape[0] - factor * (blocks - 1)
    return np.moveaxis(total, 0, axis)


def enlarged(mask: Array, factors: tuple[int, int, int], shape: tuple[int, ...]) -> Array:
    """Repeat each voxel of a reduced grid over its block; the inverse of :meth:`Grid.reduced` for labels."""
    for axis, (factor, size) in enumerate(zip(factors, shape, strict=True)):
        if factor > 1:
            mask = np.repeat(mask, factor, axis=axis)
        mask = mask[(slice(None),) * axis + (slice(size),)]
    return mask


def bounding_box(mask: Bools, margin: tuple[float, float, float] = (0, 0, 0)) -> Box | None:
    """Return the box around a mask, widened by a margin in voxels, or None for an empty mask."""
    flat = np.asarray(mask.any(axis=2))
    spans = [np.flatnonzero(np.any(flat, axis=1)), np.flatnonzero(np.any(flat, axis=0))]
    if not spans[0].size:
        return None
    rows, columns = (slice(int(span[0]), int(span[-1]) + 1) for span in spans)
    spans.append(np.flatnonzero(np.any(mask[rows, columns], axis=(0, 1))))
    x, y, z = (
        slice(max(0, int(span[0]) - int(np.ceil(m))), min(size, int(span[-1]) + 1 + int(np.ceil(m))))
        for span, m, size in zip(spans, margin, mask.shape, strict=True)
    )
    return x, y, z


def dilated(mask: Bools, millimetres: float, spacing: tuple[float, float, float]) -> Bools:
    """Return all voxels within a distance of the mask."""
    return _within(mask, millimetres, spacing)


def closed(mask: Bools, millimetres: float, spacing: tuple[float, float, float]) -> Bools:
    """Close gaps up to twice a distance; the volume's border counts as more of the same."""
    pad = [int(np.ceil(millimetres / step)) + 1 for step in spacing]
    padded = np.pad(mask, [(n, n) for n in pad])
    grown = _within(padded, millimetres, spacing)
    shrunk = ~_within(~grown, millimetres, spacing)
    x, y, z = (slice(n, size - n) for n, size in zip(pad, padded.shape, strict=True))
    result: Bools = shrunk[x, y, z] | mask
    return result


def eroded(mask: Bools, millimetres: float, spacing: tuple[float, float, float]) -> Bools:
    """Return the voxels further than a distance inside the mask; the volume's border is not an edge of it."""
    return mask & ~_within(~mask, millimetres, spacing)


def opened(mask: Bools, millimetres: float, spacing: tuple[float, float, float]) -> Bools:
    """Drop the parts that a ball of this radius does not fit into; the volume's border is not an edge of it."""
    return mask & _within(eroded(mask, millimetres, spacing), millimetres, spacing)


def _within(mask: Bools, millimetres: float, spacing: tuple[float, float, float]) -> Bools:
    """Exact Euclidean dilation, computed in the box that it can reach."""
    x, y, z = (millimetres / step for step in spacing)
    box = bounding_box(mask, (x + 1, y + 1, z + 1))
    result = np.zeros(mask.shape, dtype=bool)
    if box is not None:
        near = np.ascontiguousarray(mask[box])
        if near.all():
            result[box] = True
        elif max(x, y) <= _SMALL_RADIUS:
            result[box] = _dilated_by_columns(near, millimetres, spacing)
        else:
            result[box] = ndimage.distance_transform_edt(~near, sampling=spacing) <= millimetres + _ROUNDING_MM
    return result


#: Voxels. Up to this radius, shifting a mask about costs less than a distance transform.
_SMALL_RADIUS = 4.5
#: mm. Voxels at exactly the distance belong to the ball whatever the arithmetic.
_ROUNDING_MM = 1e-6


def _dilated_by_columns(mask: Bools, millimetres: float, spacing: tuple[float, float, float]) -> Bools:
    """Dilate by a ball taken as a bundle of columns along z: all columns of one height share one dilation along z."""
    reach = millimetres + _ROUNDING_MM
    sx, sy, sz = spacing
    result = np.zeros_like(mask)
    columns: dict[int, Bools] = {}
    for dx in range(-int(reach / sx), int(reach / sx) + 1):
        for dy in range(-int(reach / sy), int(reach / sy) + 1):
            left = reach**2 - (dx * sx) ** 2 - (dy * sy) ** 2
            if left < 0:
                continue
            height = int(np.sqrt(left) / sz)
            if height not in columns:
                columns[height] = _dilated_along_z(mask, height)
            target, source = _shifted(mask.shape, (dx, dy))
            result[target] |= columns[height][source]
    return result


def _dilated_along_z(mask: Bools, height: int) -> Bools:
    result = mask.copy()
    for shift in range(1, min(height, mask.shape[2] - 1) + 1):
        result[:, :, shift:] |= mask[:, :, :-shift]
        result[:, :, :-shift] |= mask[:, :, shift:]
    return result


def _shifted(shape: tuple[int, ...], shifts: tuple[int, int]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return where the voxels go to and come from when a volume is shifted along its first two axes."""
    target = tuple(slice(max(0, d), max(0, n + min(0, d))) for d, n in zip(shifts, shape, strict=False))
    source = tuple(slice(max(0, -d), max(0, n - max(0, d))) for d, n in zip(shifts, shape, strict=False))
    return target, source


def components(mask: Bools, minimum: int = 1, connectivity: int = 1) -> tuple[Array, list[int]]:
    """Label a mask and name the labels of at least `minimum` voxels, largest first."""
    structure = ndimage.generate_binary_structure(3, connectivity)
    labels, count = ndimage.label(mask, structure)
    if count == 0:
        return labels, []
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    order = np.argsort(-sizes, kind="stable")
    return labels, [int(label) for label in order if sizes[label] >= max(1, minimum)]


def without_specks(mask: Bools, minimum: int, connectivity: int = 1) -> Bools:
    """Drop the components of fewer than `minimum` voxels."""
    labels, kept = components(mask, minimum, connectivity)
    table = np.zeros(int(labels.max(initial=0)) + 1, dtype=bool)
    table[kept] = True
    result: Bools = table[labels]
    return result
