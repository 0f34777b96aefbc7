"""Labelled slices held by their runs along y or along z: the first and the last voxel of each.

Stripes along x are long runs along y. Every sum over voxels is one over last voxels less one over first voxels, so that
neither has to be paired with the other; and a label's voxels lie between where a bit is switched on and off again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness.masks.bits import WORD, Bits, Shape

Ints = NDArray[np.int64]
Words = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Ends:
    """The first, or the last, voxel of every run.

    Attributes
    ----------
    at
        Where: ``(z * W + y) * 64 * words of a row + x``.
    labels
        Of the runs, from 1.
    """

    at: NDArray[np.integer]
    labels: NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class Streaks:
    """Labelled voxels of some slices.

    Attributes
    ----------
    shape
        Voxels (H, W, slices).
    axis
        Which way the runs go: along y (1) or z (2).
    first, last
        Of every run.
    """

    shape: Shape
    axis: Literal[1, 2]
    first: Ends
    last: Ends
    _held: dict[int, tuple[Words, NDArray[np.uint64]]] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def labels(self) -> Ints:
        """The labels that occur, ascending, from 0."""
        return np.flatnonzero(np.bincount(self.first.labels)) - 1

    def sizes(self, n: int) -> Ints:
        """Return the voxels of each of `n` labels."""
        first, last = self._places()
        return self._less(last[self.axis] + 1, first[self.axis], n)

    def moments(self, n: int) -> Ints:
        """Return (n, 4) voxels of each label, and the sums of x, of y and of z over them."""
        first, last = self._places()
        begun, ended = first[self.axis], last[self.axis] + 1
        sums = [self._less(ended, begun, n)]
        for axis in range(3):
            up, down = (last[axis], first[axis]) if axis != self.axis else (last[axis], first[axis] - 1)
            half = 1 if axis != self.axis else 2
            sums.append(self._less(up * ended, down * begun, n) // half)
        return np.stack(sums, axis=1)

    def boxes(self, n: int) -> Ints:
        """Return (n, 2, 3) lowest and highest x, y, z of each label."""
        boxes = np.empty((n, 2, 3), np.int64)
        boxes[:, 0], boxes[:, 1] = np.iinfo(np.int64).max, -1
        for axis, (first, last) in enumerate(zip(*self._places(), strict=True)):
            np.minimum.at(boxes[:, 0, axis], self.first.labels - np.intp(1), first)
            np.maximum.at(boxes[:, 1, axis], self.last.labels - np.intp(1), last)
        return boxes

    def profiles(self) -> tuple[Ints, Ints, Ints]:
        """Return the labels, from 0, and (labels, W) and (labels, slices) how many voxels each has where."""
        first, last = self._places()
        n = len(self.labels)
        of_first, of_last = (np.searchsorted(self.labels, end.labels - 1) for end in (self.first, self.last))
        found = []
        for axis in (1, 2):
            extent = self.shape[axis]
            if axis == self.axis:
                begun = np.bincount(of_first * (extent + 1) + first[axis], minlength=n * (extent + 1))
                ended = np.bincount(of_last * (extent + 1) + last[axis] + 1, minlength=n * (extent + 1))
                found.append(np.cumsum((begun - ended).reshape(n, -1), axis=1)[:, :-1])
            else:
                up = np.bincount(of_last * extent + last[axis], last[self.axis] + 1, n * extent)
                down = np.bincount(of_first * extent + first[axis], first[self.axis], n * extent)
                found.append((up - down).astype(np.int64).reshape(n, -1))
        return self.labels, found[0], found[1]

    def of(self, label: int) -> tuple[Words, NDArray[np.uint64]]:
        """Return the words, ascending, and the bits of one label, from 0; the last is kept, as slices repeat."""
        if label not in self._held:
            self._held.clear()
            self._held[label] = self._of(label)
        return self._held[label]

    def _of(self, label: int) -> tuple[Words, NDArray[np.uint64]]:
        h, w, _ = self.shape
        row_words = -(-h // WORD)
        first, last = (
            _places(ends.at[order[bounds[label] : bounds[label + 1]]], self.shape)
            for ends, (order, bounds) in zip((self.first, self.last), self._orders, strict=True)
        )
        columns = slice(int(first[0].min()) // WORD, int(first[0].max()) // WORD + 1)
        slices = slice(int(first[2].min()), int(last[2].max()) + 1)
        last[self.axis] += 1
        extent = [slices.stop - slices.start, w, columns.stop - columns.start]
        extent[2 - self.axis] += 1
        switched = np.zeros(extent, np.uint64)
        for x, y, z in (first, last):
            place = ((z - slices.start) * extent[1] + y) * extent[2] + x // WORD - columns.start
            np.add.at(switched.reshape(-1), place, np.uint64(1) << (x % WORD).astype(np.uint64))  # none twice
        solid = np.bitwise_xor.accumulate(switched, axis=2 - self.axis)
        z, y, x = np.nonzero(solid)
        words = ((z + slices.start) * w + y) * row_words + x + columns.start
        return words.astype(np.int32), solid[z, y, x]

    def pieces(self) -> Iterator[Bits]:
        """Yield the voxels of every label."""
        for label in self.labels.tolist():
            words, bits = self.of(label)
            yield Bits(self.shape, words, np.broadcast_to(np.int32(label + 1), len(words)), bits)

    def _places(self) -> tuple[list[Ints], list[Ints]]:
        """Return x, y, z of the first voxels, and of the last."""
        return _places(self.first.at, self.shape), _places(self.last.at, self.shape)

    @cached_property
    def _orders(self) -> list[tuple[Ints, Ints]]:
        """For first and last voxels: sorted by label, and where each label begins."""
        found = []
        for ends in (self.first, self.last):
            order = np.argsort(ends.labels, kind="stable")
            found.append((order, np.searchsorted(ends.labels[order], np.arange(1, ends.labels.max(initial=0) + 2))))
        return found

    def _less(self, up: Ints, down: Ints, n: int) -> Ints:
        """Return for each label a sum over last voxels less one over first voxels."""
        return _counted(self.last, up, n) - _counted(self.first, down, n)


def _counted(ends: Ends, values: Ints, n: int) -> Ints:
    """Add values up by label; doubles hold every sum exactly, as it stays below 2**53."""
    return np.bincount(ends.labels - 1, weights=values, minlength=n).astype(np.int64)


def _places(at: NDArray[np.integer], shape: Shape) -> list[Ints]:
    """Return x, y and z."""
    row, x = np.divmod(at.astype(np.int64), -(-shape[0] // WORD) * WORD)
    z, y = np.divmod(row, shape[1])
    return [x, y, z]
