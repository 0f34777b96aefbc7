"""The labelled instances of a mask, one by one: sizes, boxes, centroids and surfaces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from harness.masks.bits import WORD, Bits, positions

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Bits of a word whose number has bit k set.
_WEIGHED = tuple(np.uint64(sum(1 << i for i in range(WORD) if i >> k & 1)) for k in range(6))


class Regions:
    """The instances of a labelled mask, numbered from 0 in the order of their labels.

    Parameters
    ----------
    mask
        Labels of the instances.
    """

    def __init__(self, mask: Bits) -> None:
        self.mask = mask
        self._labels = np.unique(mask.labels)
        self.number = np.searchsorted(self._labels, mask.labels).astype(np.int32)  #: instance of every entry
        self.voxels = np.bitwise_count(mask.bits)  #: voxels of every entry
        self._surfaces: dict[int, Surface] = {}

    def __len__(self) -> int:
        return len(self._labels)

    @cached_property
    def sizes(self) -> Ints:
        """Voxels of every instance."""
        return self._sum(self.voxels)

    @cached_property
    def _columns(self) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
        row, column = np.divmod(self.mask.words, self.mask.row_words)
        z, y = np.divmod(row, self.mask.shape[1])
        return column.astype(np.int32), y.astype(np.int32), z.astype(np.int32)

    @cached_property
    def centroids(self) -> Floats:
        """(n, 3) mean voxel index along x, y, z."""
        column, y, z = self._columns
        within = sum(np.bitwise_count(self.mask.bits & mask).astype(np.int64) << k for k, mask in enumerate(_WEIGHED))
        sums = [column * WORD * self.voxels + within, y * self.voxels, z * self.voxels]
        return np.stack([self._sum(part) / self.sizes for part in sums], axis=1)

    @cached_property
    def boxes(self) -> Ints:
        """(n, 2, 3) lowest and highest voxel index along x, y, z."""
        column, y, z = self._columns
        bits = self.mask.bits
        lowest = np.bitwise_count((bits & (~bits + np.uint64(1))) - np.uint64(1))
        fill = bits.copy()
        for k in range(6):
            fill |= fill >> np.uint64(1 << k)
        highest = np.bitwise_count(fill) - 1
        boxes = np.empty((len(self), 2, 3), np.int64)
        boxes[:, 0], boxes[:, 1] = np.iinfo(np.int64).max, -1
        for axis, (low, high) in enumerate([(column * WORD + lowest, column * WORD + highest), (y, y), (z, z)]):
            # `at` is fast only where no type has to be changed.
            np.minimum.at(boxes[:, 0, axis], self.number, low.astype(np.int64))
            np.maximum.at(boxes[:, 1, axis], self.number, high.astype(np.int64))
        return boxes

    @cached_property
    def _order(self) -> tuple[Ints, Ints]:
        order = np.argsort(self.number, kind="stable")
        return order, np.searchsorted(self.number[order], np.arange(len(self) + 1))

    def _entries(self, i: int) -> Ints | slice:
        if len(self) == 1:
            return slice(None)  # a mask of one instance may be large, and needs no copy
        order, bounds = self._order
        return order[bounds[i] : bounds[i + 1]]

    def surface(self, i: int) -> Surface:
        """Return the surface of one instance; computed once."""
        if i not in self._surfaces:
            entries = self._entries(i)
            column, y, z = (part[entries] for part in self._columns)
            self._surfaces[i] = _surface(column, y, z, self.mask.bits[entries], self.boxes[i])
        return self._surfaces[i]

    def _sum(self, values: Ints) -> Ints:
        # Doubles hold every sum here exactly: a coordinate sum stays below 2**53 for any volume of up to 2**40 voxels.
        return np.bincount(self.number, weights=values, minlength=len(self)).astype(np.int64)


@dataclass(frozen=True)
class Surface:
    """The surface voxels of one instance: those with one of six neighbours outside it, or outside the volume.

    Attributes
    ----------
    grid
        (nz, ny, nx) uint64: 64 voxels along x in a word.
    origin
        (x, y, z) of the grid's first voxel.
    box
        (2, 3) lowest and highest voxel index along x, y, z.
    """

    grid: NDArray[np.uint64]
    origin: Ints
    box: Ints

    @cached_property
    def count(self) -> int:
        """Number of surface voxels."""
        return int(self.profiles[0].sum())

    @cached_property
    def profiles(self) -> tuple[Ints, Ints]:
        """How many surface voxels share each y, and each z, from the box's lowest on."""
        counts = np.bitwise_count(self.grid).sum(axis=2, dtype=np.int64)
        return counts.sum(axis=0), counts.sum(axis=1)

    def points(self, most: int) -> Iterator[Ints]:
        """Yield (n, 3) voxel indices x, y, z of all surface voxels, slice by slice, about `most` at a time."""
        return grid_points(self.grid, self.origin, most)


def grid_points(grid: NDArray[np.uint64], origin: Ints, most: int) -> Iterator[Ints]:
    """Yield (n, 3) voxel indices x, y, z of the set bits of a grid, whole slices of about `most` at a time."""
    held = np.cumsum(np.bitwise_count(grid).sum(axis=(1, 2), dtype=np.int64))
    first = 0
    while first < len(grid):
        before = held[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(held, before + most, "right")))
        if held[last - 1] > before:
            z, y, column = np.nonzero(grid[first:last])
            entry, bit = positions(grid[first:last][z, y, column])
            yield np.stack([column[entry] * WORD + bit, y[entry], z[entry] + first], axis=1) + origin
        first = last


def _surface(
    column: NDArray[np.int32], y: NDArray[np.int32], z: NDArray[np.int32], bits: NDArray[np.uint64], box: Ints
) -> Surface:
    """Erode one instance on a dense grid of its box, 64 voxels at a time."""
    low = np.array([box[0, 0] // WORD, *box[0, 1:]])
    high = np.array([box[1, 0] // WORD, *box[1, 1:]])
    extent = high - low + 1
    solid = np.zeros((extent[2] + 2, extent[1] + 2, extent[0]), np.uint64)
    solid[z - low[2] + 1, y - low[1] + 1, column - low[0]] = bits
    one, top = np.uint64(1), np.uint64(WORD - 1)
    core = solid[1:-1, 1:-1]
    inner, right = core << one, core >> one
    inner[..., 1:] |= core[..., :-1] >> top
    right[..., :-1] |= core[..., 1:] << top
    inner &= right
    for neighbour in (solid[1:-1, :-2], solid[1:-1, 2:], solid[:-2, 1:-1], solid[2:, 1:-1]):
        inner &= neighbour
    np.invert(inner, out=inner)
    inner &= core
    return Surface(inner, np.array([low[0] * WORD, low[1], low[2]]), box)
