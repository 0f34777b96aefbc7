"""The labelled instances of a mask, one by one: sizes, boxes, centroids and surfaces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from harness.masks.bits import WORD, Bits, positions
from harness.scoring.streaks import Streaks

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Bits of a word whose number has bit k set.
_WEIGHED = tuple(np.uint64(sum(1 << i for i in range(WORD) if i >> k & 1)) for k in range(6))


#: Entries and words looked at a time, to bound the memory.
_ENTRIES = 1 << 16


class Entries:
    """Labelled voxels of some slices, word by word.

    Parameters
    ----------
    bits
        Labels from 1.
    """

    def __init__(self, bits: Bits) -> None:
        self.bits = bits
        self.shape = bits.shape

    @cached_property
    def labels(self) -> Ints:
        """The labels that occur, ascending, from 0."""
        return np.flatnonzero(np.bincount(self.bits.labels)) - 1

    def sizes(self, n: int) -> Ints:
        """Return the voxels of each of `n` labels."""
        return self._sum(n, lambda part: [part.voxels])[:, 0]

    def moments(self, n: int) -> Ints:
        """Return (n, 4) voxels of each label, and the sums of x, of y and of z over them."""
        return self._sum(n, _Part.first_moments)

    def boxes(self, n: int) -> Ints:
        """Return (n, 2, 3) lowest and highest x, y, z of each label."""
        boxes = np.empty((n, 2, 3), np.int64)
        boxes[:, 0], boxes[:, 1] = np.iinfo(np.int64).max, -1
        for part in self._parts():
            for axis, (low, high) in enumerate(part.extents()):
                np.minimum.at(boxes[:, 0, axis], part.number, low)
                np.maximum.at(boxes[:, 1, axis], part.number, high)
        return boxes

    def profiles(self) -> tuple[Ints, Ints, Ints]:
        """Return the labels, from 0, and (labels, W) and (labels, slices) how many voxels each has where."""
        labels = self.labels
        _, w, d = self.bits.shape
        at_y, at_z = np.zeros(len(labels) * w, np.int64), np.zeros(len(labels) * d, np.int64)
        for part in self._parts():
            number = np.searchsorted(labels, part.number)
            _, y, z = part.place
            at_y += np.bincount(number * w + y, weights=part.voxels, minlength=len(at_y)).astype(np.int64)
            at_z += np.bincount(number * d + z, weights=part.voxels, minlength=len(at_z)).astype(np.int64)
        return labels, at_y.reshape(-1, w), at_z.reshape(-1, d)

    def of(self, label: int) -> tuple[NDArray[np.int32], NDArray[np.uint64]]:
        """Return the words, ascending, and the bits of one label, from 0."""
        order, bounds = self._order
        mine = order[bounds[label] : bounds[label + 1]]
        return self.bits.words[mine], self.bits.bits[mine]

    def pieces(self) -> Iterator[Bits]:
        """Yield the voxels of all labels together."""
        yield self.bits

    @cached_property
    def _order(self) -> tuple[Ints, Ints]:
        """The entries sorted by label, and where each label begins."""
        labels = self.bits.labels
        order = np.argsort(labels, kind="stable")
        return order, np.searchsorted(labels[order], np.arange(1, labels.max(initial=0) + 2))

    def _parts(self) -> Iterator[_Part]:
        """Yield the entries, some at a time."""
        bits = self.bits
        for first in range(0, len(bits.words), _ENTRIES):
            here = slice(first, first + _ENTRIES)
            yield _Part(bits, bits.words[here], bits.bits[here], bits.labels[here].astype(np.intp) - 1)

    def _sum(self, n: int, values: Callable[[_Part], list[Ints]]) -> Ints:
        """Add up what each entry has, label by label."""
        total: Ints | None = None
        for part in self._parts():
            # Doubles hold every sum here exactly: it stays below 2**53 for any volume of up to 2**40 voxels.
            sums = [np.bincount(part.number, weights=column, minlength=n) for column in values(part)]
            column = np.stack(sums, axis=1).astype(np.int64)
            total = column if total is None else total + column
        return np.zeros((n, 4), np.int64) if total is None else total


@dataclass(frozen=True)
class Slab:
    """Some slices of a mask and the instances in them.

    Attributes
    ----------
    first
        The first slice.
    content
        Labels from 1, in a volume of these slices; several slabs may share it.
    number
        The instance of label 1, 2, ..., from 0; -1 for what belongs to none.
    """

    first: int
    content: Entries | Streaks
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
            entries = Entries(Bits(mask.shape, mask.words, ranks, mask.bits))
            slabs = [Slab(0, entries, np.arange(len(self.labels), dtype=np.int32))]
        else:
            n = max((int(slab.number.max(initial=-1)) for slab in slabs), default=-1) + 1
            self.labels = np.arange(1, n + 1, dtype=np.int32)
        self.slabs = slabs
        self._surfaces: dict[int, Surface] = {}

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def sizes(self) -> Ints:
        """Voxels of every instance."""
        sizes = np.zeros(len(self), np.int64)
        for number, _, theirs in self._each(lambda slab: slab.content.sizes(len(slab.number))):
            np.add.at(sizes, number, theirs)
        return sizes

    @cached_property
    def centroids(self) -> Floats:
        """(n, 3) mean voxel index along x, y, z."""
        sums = np.zeros((len(self), 4), np.int64)
        for number, slab, theirs in self._each(lambda slab: slab.content.moments(len(slab.number))):
            np.add.at(sums, number, theirs)
            np.add.at(sums[:, 3], number, slab.first * theirs[:, 0])
        return sums[:, 1:] / sums[:, :1]

    @cached_property
    def boxes(self) -> Ints:
        """(n, 2, 3) lowest and highest voxel index along x, y, z."""
        boxes = np.empty((len(self), 2, 3), np.int64)
        boxes[:, 0], boxes[:, 1] = np.iinfo(np.int64).max, -1
        for number, slab, theirs in self._each(lambda slab: slab.content.boxes(len(slab.number))):
            moved = theirs + np.array([0, 0, slab.first])
            np.minimum.at(boxes[:, 0], number, moved[:, 0])
            np.maximum.at(boxes[:, 1], number, moved[:, 1])
        return boxes

    @cached_property
    def profiles(self) -> tuple[Ints, Ints]:
        """(n, W) voxels of every instance at each y, and (n, D) at each z."""
        _, w, d = self.mask.shape
        along_y, along_z = np.zeros((len(self), w), np.int64), np.zeros((len(self), d), np.int64)
        known: dict[int, tuple[Ints, Ints, Ints]] = {}
        for slab in self.slabs:
            if id(slab.content) not in known:
                known[id(slab.content)] = slab.content.profiles()
            labels, at_y, at_z = known[id(slab.content)]
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
            content = slab.content
            if len(slab.number) == 1 and slab.number[0] == i and not slab.first and isinstance(content, Entries):
                yield content.bits.words, content.bits.bits  # a mask of one instance may be large: without a copy
                continue
            for label in np.flatnonzero(slab.number == i).tolist():
                words, bits = content.of(label)
                yield words + np.int32(slab.first * slice_words), bits

    def _each(self, values: Callable[[Slab], Ints]) -> Iterator[tuple[NDArray[np.int32], Slab, Ints]]:
        """Yield for every slab its instances, itself, and their values, which are computed once for each content."""
        known: dict[int, Ints] = {}
        for slab in self.slabs:
            if id(slab.content) not in known:
                known[id(slab.content)] = values(slab)
            mine = np.flatnonzero(slab.number >= 0)
            yield slab.number[mine], slab, known[id(slab.content)][mine]


class _Part:
    """Some entries of a mask, in 64-bit integers: `at` is fast only where no type has to be changed."""

    def __init__(self, mask: Bits, words: NDArray[np.int32], bits: NDArray[np.uint64], number: Ints) -> None:
        self.number = number
        self.bits = bits
        self.voxels = np.bitwise_count(bits).astype(np.int64)
        self._mask = mask
        self._words = words

    @cached_property
    def place(self) -> list[Ints]:
        """The lowest x that a word can hold, and its y and z, of each entry."""
        row_words, w = np.int32(self._mask.row_words), np.int32(self._mask.shape[1])
        row = self._words // row_words
        z = row // w
        found = (self._words - row * row_words, row - z * w, z)
        x, y, z = (one.astype(np.int64) for one in found)
        return [x * WORD, y, z]

    def first_moments(self) -> list[Ints]:
        """Return the voxels of each entry, and the sums of x, of y and of z over them."""
        within = sum(np.bitwise_count(self.bits & mask).astype(np.int64) << k for k, mask in enumerate(_WEIGHED))
        x, y, z = self.place
        return [self.voxels, x * self.voxels + within, y * self.voxels, z * self.voxels]

    def extents(self) -> list[tuple[Ints, Ints]]:
        """Return the lowest and the highest x, y and z of each entry."""
        lowest = np.bitwise_count((self.bits & (~self.bits + np.uint64(1))) - np.uint64(1))
        fill = self.bits.copy()
        for k in range(6):
            fill |= fill >> np.uint64(1 << k)
        x, y, z = self.place
        return [(x + lowest, x + np.bitwise_count(fill) - 1), (y, y), (z, z)]


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
