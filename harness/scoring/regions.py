"""The labelled instances of a mask, one by one: sizes, boxes, centroids and surfaces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from harness.masks.bits import WORD, Bits, positions

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Bits of a word whose number has bit k set.
_WEIGHED = tuple(np.uint64(sum(1 << i for i in range(WORD) if i >> k & 1)) for k in range(6))


#: Entries and words looked at a time, to bound the memory.
_ENTRIES = 1 << 16


class Regions:
    """The instances of a labelled mask, numbered from 0 in the order of their labels.

    Parameters
    ----------
    mask
        Labels of the instances.
    """

    def __init__(self, mask: Bits) -> None:
        self.mask = mask
        self.labels = np.unique(mask.labels)  #: their labels, ascending
        self.number = np.searchsorted(self.labels, mask.labels).astype(np.int32)  #: instance of every entry
        self._surfaces: dict[int, Surface] = {}

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def sizes(self) -> Ints:
        """Voxels of every instance."""
        return self._sum(lambda part: [part.voxels])[:, 0]

    @cached_property
    def centroids(self) -> Floats:
        """(n, 3) mean voxel index along x, y, z."""
        return self._sum(_Part.first_moments) / self.sizes[:, np.newaxis]

    @cached_property
    def boxes(self) -> Ints:
        """(n, 2, 3) lowest and highest voxel index along x, y, z."""
        boxes = np.empty((len(self), 2, 3), np.int64)
        boxes[:, 0], boxes[:, 1] = np.iinfo(np.int64).max, -1
        for part in self._parts():
            for axis, (low, high) in enumerate(part.extents()):
                np.minimum.at(boxes[:, 0, axis], part.number, low)
                np.maximum.at(boxes[:, 1, axis], part.number, high)
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
            self._surfaces[i] = _surface(self.mask.words[entries], self.mask.bits[entries], self.mask, self.boxes[i])
        return self._surfaces[i]

    def _parts(self) -> Iterator[_Part]:
        for first in range(0, len(self.mask.words), _ENTRIES):
            here = slice(first, first + _ENTRIES)
            yield _Part(self.mask, self.mask.words[here], self.mask.bits[here], self.number[here].astype(np.intp))

    def _sum(self, values: Callable[[_Part], list[Ints]]) -> Ints:
        """Add up what each entry has, instance by instance."""
        total: Ints = np.zeros((len(self), 1), np.int64)
        for part in self._parts():
            # Doubles hold every sum here exactly: it stays below 2**53 for any volume of up to 2**40 voxels.
            sums = [np.bincount(part.number, weights=column, minlength=len(self)) for column in values(part)]
            total = total + np.stack(sums, axis=1).astype(np.int64)
        return total


class _Part:
    """Some entries of a mask, in 64-bit integers: `at` is fast only where no type has to be changed."""

    def __init__(self, mask: Bits, words: NDArray[np.int32], bits: NDArray[np.uint64], number: Ints) -> None:
        self.number = number
        self.bits = bits
        self.voxels = np.bitwise_count(bits).astype(np.int64)
        row, column = np.divmod(words.astype(np.int64), mask.row_words)
        self.z, self.y = np.divmod(row, mask.shape[1])
        self.x = column * WORD

    def first_moments(self) -> list[Ints]:
        """Return the sums of x, of y and of z over the voxels of each entry."""
        within = sum(np.bitwise_count(self.bits & mask).astype(np.int64) << k for k, mask in enumerate(_WEIGHED))
        return [self.x * self.voxels + within, self.y * self.voxels, self.z * self.voxels]

    def extents(self) -> list[tuple[Ints, Ints]]:
        """Return the lowest and the highest x, y and z of each entry."""
        lowest = np.bitwise_count((self.bits & (~self.bits + np.uint64(1))) - np.uint64(1))
        fill = self.bits.copy()
        for k in range(6):
            fill |= fill >> np.uint64(1 << k)
        return [(self.x + lowest, self.x + np.bitwise_count(fill) - 1), (self.y, self.y), (self.z, self.z)]


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


def _surface(words: NDArray[np.int32], bits: NDArray[np.uint64], mask: Bits, box: Ints) -> Surface:
    """Erode one instance on a dense grid of its box, 64 voxels at a time."""
    low = np.array([box[0, 0] // WORD, *box[0, 1:]])
    high = np.array([box[1, 0] // WORD, *box[1, 1:]])
    extent = high - low + 1
    solid = np.zeros((extent[2] + 2, extent[1] + 2, extent[0]), np.uint64)
    flat = solid.reshape(-1)
    for first in range(0, len(words), _ENTRIES):
        row, column = np.divmod(words[first : first + _ENTRIES].astype(np.int64), mask.row_words)
        z, y = np.divmod(row, mask.shape[1])
        place = ((z - (low[2] - 1)) * solid.shape[1] + (y - (low[1] - 1))) * solid.shape[2] + (column - low[0])
        flat[place] = bits[first : first + _ENTRIES]
    edge = np.empty((extent[2], extent[1], extent[0]), np.uint64)
    slices = max(1, _ENTRIES // edge[0].size)
    for first in range(0, len(edge), slices):
        _erode(solid[first : first + slices + 2], edge[first : first + slices])
    return Surface(edge, np.array([low[0] * WORD, low[1], low[2]]), box)


def _erode(solid: NDArray[np.uint64], edge: NDArray[np.uint64]) -> None:
    """Write to `edge` what has one of its six neighbours outside; `solid` has a row and a slice more on each side."""
    one, top = np.uint64(1), np.uint64(WORD - 1)
    core = solid[1:-1, 1:-1]
    inner, right = core << one, core >> one
    inner[..., 1:] |= core[..., :-1] >> top
    right[..., :-1] |= core[..., 1:] << top
    inner &= right
    for neighbour in (solid[1:-1, :-2], solid[1:-1, 2:], solid[:-2, 1:-1], solid[2:, 1:-1]):
        inner &= neighbour
    np.invert(inner, out=inner)
    np.bitwise_and(inner, core, out=edge)
