"""The labelled instances of a mask, one by one: sizes, boxes, centroids and surfaces."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

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
        self._labels, self.number = np.unique(mask.labels, return_inverse=True)  #: instance of every entry
        self.voxels = np.bitwise_count(mask.bits).astype(np.int64)  #: voxels of every entry
        self._surfaces: dict[int, Surface] = {}

    def __len__(self) -> int:
        return len(self._labels)

    @cached_property
    def sizes(self) -> Ints:
        """Voxels of every instance."""
        return self._sum(self.voxels)

    @cached_property
    def _columns(self) -> tuple[Ints, Ints, Ints]:
        row, column = np.divmod(self.mask.words, self.mask.row_words)
        z, y = np.divmod(row, self.mask.shape[1])
        return column, y, z

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
            np.minimum.at(boxes[:, 0, axis], self.number, low)
            np.maximum.at(boxes[:, 1, axis], self.number, high)
        return boxes

    @cached_property
    def _order(self) -> tuple[Ints, Ints]:
        order = np.argsort(self.number, kind="stable")
        return order, np.searchsorted(self.number[order], np.arange(len(self) + 1))

    def surface(self, i: int) -> Surface:
        """Return the surface of one instance; computed once."""
        if i not in self._surfaces:
            order, bounds = self._order
            entries = order[bounds[i] : bounds[i + 1]]
            column, y, z = (part[entries] for part in self._columns)
            self._surfaces[i] = _surface(column, y, z, self.mask.bits[entries])
        return self._surfaces[i]

    def _sum(self, values: Ints) -> Ints:
        # Doubles hold every sum here exactly: a coordinate sum stays below 2**53 for any volume of up to 2**40 voxels.
        return np.bincount(self.number, weights=values, minlength=len(self)).astype(np.int64)


@dataclass(frozen=True)
class Surface:
    """The surface voxels of one instance: those with one of six neighbours outside it, or outside the volume.

    Attributes
    ----------
    points
        (n, 3) int64 voxel indices x, y, z.
    grid
        (nz, ny, 64 * words) uint8 flags packed eight to a byte along x, of the surface voxels alone.
    origin
        (x, y, z) of the grid's first voxel.
    """

    points: Ints
    grid: NDArray[np.uint8]
    origin: Ints

    @cached_property
    def profiles(self) -> tuple[Ints, Ints, Ints]:
        """How many points share each x, each y and each z, from the lowest on."""
        low = self.points.min(axis=0)
        x, y, z = (np.bincount(self.points[:, axis] - low[axis]) for axis in range(3))
        return x, y, z

    @cached_property
    def box(self) -> Ints:
        """(2, 3) lowest and highest voxel index."""
        return np.stack([self.points.min(axis=0), self.points.max(axis=0)])

    def tree(self, spacing: Floats) -> cKDTree:
        """Return a k-d tree of the points in mm."""
        return cKDTree(self.points * spacing, balanced_tree=False, compact_nodes=False)


def _surface(column: Ints, y: Ints, z: Ints, bits: NDArray[np.uint64]) -> Surface:
    """Erode one instance on a dense grid of its box, 64 voxels at a time."""
    low = np.array([column.min(), y.min(), z.min()])
    high = np.array([column.max(), y.max(), z.max()])
    extent = high - low + 1
    solid = np.zeros((extent[2] + 2, extent[1] + 2, extent[0]), np.uint64)
    at = (z - low[2] + 1, y - low[1] + 1, column - low[0])
    solid[at] = bits
    one, top = np.uint64(1), np.uint64(WORD - 1)
    core = solid[1:-1, 1:-1]
    left, right = core << one, core >> one
    left[..., 1:] |= core[..., :-1] >> top
    right[..., :-1] |= core[..., 1:] << top
    left &= right
    for neighbour in (solid[1:-1, :-2], solid[1:-1, 2:], solid[:-2, 1:-1], solid[2:, 1:-1]):
        left &= neighbour
    shell = core & ~left
    where = (z - low[2], y - low[1], column - low[0])
    entry, bit = positions(shell[where])
    points = np.stack([column[entry] * WORD + bit, y[entry], z[entry]], axis=1)
    origin = np.array([low[0] * WORD, low[1], low[2]])
    return Surface(points, shell.astype("<u8", copy=False).view(np.uint8), origin)
