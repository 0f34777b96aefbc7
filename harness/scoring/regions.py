"""The labelled instances of a mask, one by one: sizes, boxes, centroids and surfaces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
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


@dataclass(frozen=True)
class Slab:
    """Some slices of a mask and the instances in them.

    Attributes
    ----------
    first
        The first slice.
    bits
        Labels from 1, in a volume of these slices; several slabs may share it.
    number
        The instance of label 1, 2, ..., from 0; -1 for what belongs to none.
    """

    first: int
    bits: Bits
    number: NDArray[np.int32]


class Regions:
    """The instances of a labelled mask, numbered from 0 in the order of their labels.

    Parameters
    ----------
    mask
        Labels of the instances, or foreground where `slabs` has them.
    slabs
        The instances, labelled 1, 2, ...; None: those of the mask.
    """

    def __init__(self, mask: Bits, slabs: Sequence[Slab] | None = None) -> None:
        self.mask = mask
        if slabs is None:
            self.labels = np.unique(mask.labels)  #: their labels, ascending
            ranks = np.searchsorted(self.labels, mask.labels).astype(np.int32) + np.int32(1)
            slabs = [
                Slab(0, Bits(mask.shape, mask.words, ranks, mask.bits), np.arange(len(self.labels), dtype=np.int32))
            ]
        else:
            n = max((int(slab.number.max(initial=-1)) for slab in slabs), default=-1) + 1
            self.labels = np.arange(1, n + 1, dtype=np.int32)
        self.slabs = slabs
        self._surfaces: dict[int, Surface] = {}
        self._orders: dict[int, tuple[Ints, Ints]] = {}

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def sizes(self) -> Ints:
        """Voxels of every instance."""
        return self._sum(lambda part: [part.voxels])[:, 0]

    @cached_property
    def centroids(self) -> Floats:
        """(n, 3) mean voxel index along x, y, z."""
        sums = self._sum(_Part.first_moments)
        return sums[:, 1:] / sums[:, :1]

    @cached_property
    def boxes(self) -> Ints:
        """(n, 2, 3) lowest and highest voxel index along x, y, z."""
        boxes = np.empty((len(self), 2, 3), np.int64)
        boxes[:, 0], boxes[:, 1] = np.iinfo(np.int64).max, -1
        known: dict[int, Ints] = {}
        for slab in self.slabs:
            if id(slab.bits) not in known:
                known[id(slab.bits)] = _boxes(slab)
            mine = np.flatnonzero(slab.number >= 0)
            theirs = known[id(slab.bits)][mine] + np.array([0, 0, slab.first])
            np.minimum.at(boxes[:, 0], slab.number[mine], theirs[:, 0])
            np.maximum.at(boxes[:, 1], slab.number[mine], theirs[:, 1])
        return boxes

    @cached_property
    def profiles(self) -> tuple[Ints, Ints]:
        """(n, W) voxels of every instance at each y, and (n, D) at each z."""
        _, w, d = self.mask.shape
        along_y, along_z = np.zeros((len(self), w), np.int64), np.zeros((len(self), d), np.int64)
        known: dict[int, tuple[Ints, Ints, Ints]] = {}
        for slab in self.slabs:
            if id(slab.bits) not in known:
                known[id(slab.bits)] = _profiles(slab)
            labels, at_y, at_z = known[id(slab.bits)]
            number = slab.number[labels]
            mine = np.flatnonzero(number >= 0)
            np.add.at(along_y, number[mine], at_y[mine])
            np.add.at(along_z[:, slab.first : slab.first + at_z.shape[1]], number[mine], at_z[mine])
        return along_y, along_z

    def surface(self, i: int, *, keep: bool = True) -> Surface:
        """Return the surface of one instance; computed once if it is to be kept."""
        found = self._surfaces.get(i)
        if found is None:
            found = _surface(self._pieces(i), self.mask, self.boxes[i])
            if keep:
                self._surfaces[i] = found
        return found

    def _pieces(self, i: int) -> Iterator[tuple[NDArray[np.int32], NDArray[np.uint64]]]:
        """Yield words and bits of one instance; the words of each pair are distinct."""
        slice_words = self.mask.row_words * self.mask.shape[1]
        for slab in self.slabs:
            if (
                len(slab.number) == 1 and slab.number[0] == i and not slab.first
            ):  # a mask of one instance may be large: without a copy
                yield slab.bits.words, slab.bits.bits
                continue
            for label in np.flatnonzero(slab.number == i).tolist():
                order, bounds = self._order(slab)
                mine = order[bounds[label] : bounds[label + 1]]
                yield slab.bits.words[mine] + np.int32(slab.first * slice_words), slab.bits.bits[mine]

    def _order(self, slab: Slab) -> tuple[Ints, Ints]:
        """Return the entries of a slab sorted by label, and where each begins."""
        found = self._orders.get(id(slab.bits))
        if found is None:
            order = np.argsort(slab.bits.labels, kind="stable")
            bounds = np.searchsorted(slab.bits.labels[order], np.arange(1, len(slab.number) + 2))
            found = self._orders[id(slab.bits)] = order, bounds
        return found

    def _sum(self, values: Callable[[_Part], list[Ints]]) -> Ints:
        """Add up what each entry has, instance by instance; of four columns, voxels, x, y and z, the last is moved."""
        totals: Ints | None = None
        known: dict[int, Ints] = {}
        for slab in self.slabs:
            if id(slab.bits) not in known:
                known[id(slab.bits)] = _sums(slab, values)
            mine = np.flatnonzero(slab.number >= 0)
            theirs = known[id(slab.bits)][mine]
            if theirs.shape[1] > 1:
                theirs[:, 3] += slab.first * theirs[:, 0]
            if totals is None:
                totals = np.zeros((len(self), theirs.shape[1]), np.int64)
            np.add.at(totals, slab.number[mine], theirs)
        return np.zeros((0, 4), np.int64) if totals is None else totals


def _parts(slab: Slab) -> Iterator[_Part]:
    """Yield the entries of a slab, some at a time."""
    bits = slab.bits
    for first in range(0, len(bits.words), _ENTRIES):
        here = slice(first, first + _ENTRIES)
        yield _Part(bits, bits.words[here], bits.bits[here], bits.labels[here].astype(np.intp) - 1)


def _sums(slab: Slab, values: Callable[[_Part], list[Ints]]) -> Ints:
    """Add up what each entry of a slab has, label by label."""
    total: Ints | None = None
    n = len(slab.number)
    for part in _parts(slab):
        # Doubles hold every sum here exactly: it stays below 2**53 for any volume of up to 2**40 voxels.
        sums = [np.bincount(part.number, weights=column, minlength=n) for column in values(part)]
        column = np.stack(sums, axis=1).astype(np.int64)
        total = column if total is None else total + column
    return np.zeros((n, 4), np.int64) if total is None else total


def _profiles(slab: Slab) -> tuple[Ints, Ints, Ints]:
    """Return the labels of a slab, from 0, and (labels, W) and (labels, slices) how many voxels each has where."""
    labels = np.unique(slab.bits.labels).astype(np.int64) - 1
    _, w, d = slab.bits.shape
    at_y, at_z = np.zeros(len(labels) * w, np.int64), np.zeros(len(labels) * d, np.int64)
    for part in _parts(slab):
        number = np.searchsorted(labels, part.number)
        at_y += np.bincount(number * w + part.y, weights=part.voxels, minlength=len(at_y)).astype(np.int64)
        at_z += np.bincount(number * d + part.z, weights=part.voxels, minlength=len(at_z)).astype(np.int64)
    return labels, at_y.reshape(-1, w), at_z.reshape(-1, d)


def _boxes(slab: Slab) -> Ints:
    """Return (labels, 2, 3) lowest and highest x, y, z of each label of a slab."""
    boxes = np.empty((len(slab.number), 2, 3), np.int64)
    boxes[:, 0], boxes[:, 1] = np.iinfo(np.int64).max, -1
    for part in _parts(slab):
        for axis, (low, high) in enumerate(part.extents()):
            np.minimum.at(boxes[:, 0, axis], part.number, low)
            np.maximum.at(boxes[:, 1, axis], part.number, high)
    return boxes


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
        """Return the voxels of each entry, and the sums of x, of y and of z over them."""
        within = sum(np.bitwise_count(self.bits & mask).astype(np.int64) << k for k, mask in enumerate(_WEIGHED))
        return [self.voxels, self.x * self.voxels + within, self.y * self.voxels, self.z * self.voxels]

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


def _surface(pieces: Iterable[tuple[NDArray[np.int32], NDArray[np.uint64]]], mask: Bits, box: Ints) -> Surface:
    """Erode one instance, of one or several pieces, on a dense grid of its box, 64 voxels at a time."""
    low = np.array([box[0, 0] // WORD, *box[0, 1:]])
    high = np.array([box[1, 0] // WORD, *box[1, 1:]])
    extent = high - low + 1
    solid = np.zeros((extent[2] + 2, extent[1] + 2, extent[0]), np.uint64)
    flat = solid.reshape(-1)
    for words, bits in pieces:
        for first in range(0, len(words), _ENTRIES):
            row, column = np.divmod(words[first : first + _ENTRIES].astype(np.int64), mask.row_words)
            z, y = np.divmod(row, mask.shape[1])
            place = ((z - (low[2] - 1)) * solid.shape[1] + (y - (low[1] - 1))) * solid.shape[2] + (column - low[0])
            flat[place] |= bits[first : first + _ENTRIES]
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
