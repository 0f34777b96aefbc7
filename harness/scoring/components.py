"""Connected components of a sparse mask: union-find on runs of voxels.

A run is a stretch of foreground within one word. Runs are few where voxels are many, and which of two
neighbouring words touch is told by counting bits, for all of them at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness.masks.bits import WORD, Bits, in_order

Connectivity = Literal[6, 18, 26]
Ints = NDArray[np.int64]
Words = NDArray[np.int32]
Bools = NDArray[np.bool_]

#: Runs labelled at a time: what is computed of them stays in the processor's cache, and bounds the memory.
CHUNK_RUNS = 1 << 15

#: Slices labelled at a time at least, since one more is labelled twice.
CHUNK_SLICES = 3

#: The neighbouring rows before a row: rows along y, slices along z, and the voxels along x that a step may add.
_ROWS_BEFORE: dict[Connectivity, tuple[tuple[int, int, int], ...]] = {
    6: ((-1, 0, 0), (0, -1, 0)),
    18: ((-1, 0, 1), (0, -1, 1), (-1, -1, 0), (1, -1, 0)),
    26: ((-1, 0, 1), (0, -1, 1), (-1, -1, 1), (1, -1, 1)),
}

#: A table of all words is faster than a search while this share of them, at least, is held.
_DENSE = 32

_ONE = np.uint64(1)
_TOP = np.uint64(WORD - 1)


def components(mask: Bits, *, connectivity: Connectivity, min_voxels: int, max_components: int) -> Bits:
    """Label the connected components of a mask that are large enough.

    Parameters
    ----------
    mask
        Foreground; its labels are ignored.
    connectivity
        Neighbours of a voxel: 6, 18 or 26.
    min_voxels
        Smaller components are dropped.
    max_components
        Only the largest so many are kept; among equals those whose first voxel comes first in C order.

    Returns
    -------
    Bits
        Labels 1, 2, ... in the order of the components' first voxels in C order of (H, W, D).
    """
    mask = mask.flat
    pieces: list[Bits] = []
    sizes: list[Ints] = []
    same: list[tuple[Ints, Ints]] = []  # provisional labels of one component
    carried = np.empty(0, np.int64)  # labels of the slice that the next chunk begins with, run by run
    n = 0
    for own, reach in _chunks(mask):
        chunk = _Chunk(mask.words[own.start : reach], mask.bits[own.start : reach], mask.shape)
        labels, found = chunk.labels(connectivity)
        mine = int(chunk.first[own.stop - own.start])
        size = np.bincount(labels[:mine], weights=np.bitwise_count(chunk.runs[:mine]), minlength=found)
        may_grow = np.zeros(found, bool)
        may_grow[labels[: len(carried)]] = may_grow[labels[mine:]] = True
        keep = may_grow | (size >= min_voxels)
        pieces.append(chunk.entries(labels, own.stop - own.start, keep, n))
        sizes.append(size.astype(np.int64))
        pairs = np.unique(carried * found + labels[: len(carried)])  # as many runs as a slice has, few pairs
        same.append((pairs // found, pairs % found + n))
        carried = labels[mine:] + n
        n += found
    if not n:
        return mask
    label = _large_enough(np.concatenate(sizes), same, min_voxels, max_components)
    for i, piece in enumerate(pieces):  # one by one, so that no two copies of the whole mask are ever held
        pieces[i] = _relabelled(piece, label)
    return _in_c_order(_stacked(mask, pieces), max_components)


def _chunks(mask: Bits) -> Iterator[tuple[slice, int]]:
    """Yield the entries of whole slices, and the end of the slice after them, which both chunks label."""
    slice_words = mask.row_words * mask.shape[1]
    bounds = np.searchsorted(mask.words, np.arange(mask.shape[2] + 1) * slice_words)
    bounds = np.unique(bounds)  # slices that hold nothing connect nothing; rows that touch are told by their numbers
    begun = np.bitwise_count(_starts(mask.bits))
    runs = np.append(0, np.cumsum(np.add.reduceat(begun, bounds[:-1], dtype=np.int64) if len(bounds) > 1 else []))
    first = 0
    while first < len(bounds) - 1:
        last = max(first + CHUNK_SLICES, int(np.searchsorted(runs, runs[first] + CHUNK_RUNS, "right")) - 1)
        last = min(last, len(bounds) - 1)
        yield slice(int(bounds[first]), int(bounds[last])), int(bounds[min(last + 1, len(bounds) - 1)])
        first = last


def _starts(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the lowest voxel of every run."""
    starts: NDArray[np.uint64] = bits & ~(bits << _ONE)
    return starts


class _Chunk:
    """The runs of some words, in the order of the words and of their bits.

    Attributes
    ----------
    first
        (n + 2,) the first run of every word; after the words comes one that holds nothing.
    runs
        Their bits.
    entry
        The word of every run.
    """

    def __init__(self, words: Words, bits: NDArray[np.uint64], shape: tuple[int, int, int]) -> None:
        self._shape = shape
        self._words = words
        self._bits = np.append(bits, np.uint64(0))
        self._starts = _starts(self._bits)
        count = np.bitwise_count(self._starts)
        self.first = np.concatenate([[0], np.cumsum(count, dtype=np.int64)])
        self.entry = np.repeat(np.arange(len(words)), count[:-1])
        self.runs = np.empty(len(self.entry), np.uint64)
        left, at = bits, self.first[: len(words)]
        while len(left):
            above = left + (left & (~left + _ONE))  # carries through the lowest run
            self.runs[at] = left & ~above
            left = left & above
            more = np.flatnonzero(left)
            left, at = left[more], at[more] + 1

    def labels(self, connectivity: Connectivity) -> tuple[Ints, int]:
        """Return the component of every run and the number of components."""
        parent = np.arange(len(self.entry))
        edges = list(self._edges(connectivity))
        for source, target in edges:
            parent[source] = target  # every edge leads back, so that this is a forest
        parent = _rooted(parent)
        one, other = (np.concatenate([parent[side] for side in sides]) for sides in zip(*edges, strict=True))
        root = parent == np.arange(len(parent))
        number = np.cumsum(root) - 1
        open_ = np.flatnonzero(one != other)
        joined = _joined(number[one[open_]], number[other[open_]], int(root.sum()))
        final = joined == np.arange(len(joined))
        return (np.cumsum(final) - 1)[joined][number[parent]], int(final.sum())

    def _edges(self, connectivity: Connectivity) -> Iterator[tuple[Ints, Ints]]:
        """Yield (runs, runs before them) that touch."""
        w = self._shape[1]
        row_words = -(-self._shape[0] // WORD)
        first, bits, entry_of = self.first, self._bits, _finder(self._words)
        ends, begins_at_0, ends_at_63 = bits & ~(bits >> _ONE), (bits & _ONE).astype(bool), (bits >> _TOP).astype(bool)
        row, column = np.divmod(self._words, np.int32(row_words))
        y = row % np.int32(w)
        low = np.flatnonzero(begins_at_0[:-1] & (column > 0))
        high = np.flatnonzero(ends_at_63[:-1] & (column < row_words - 1))
        for dy, dz, grow in ((0, 0, 1), *_ROWS_BEFORE[connectivity]):
            shift = (dy + dz * w) * row_words
            inside = (y + dy >= 0) & (y + dy < w)
            if shift:
                yield from self._above(np.where(inside, entry_of(self._words + np.int64(shift)), len(row)), ends, grow)
            if grow:
                mine = low[inside[low]]
                other = entry_of(self._words[mine] + np.int64(shift - 1))
                met = np.flatnonzero(ends_at_63[other])
                yield first[mine[met]], first[other[met] + 1] - 1
            if grow and shift:
                mine = high[inside[high]]
                other = entry_of(self._words[mine] + np.int64(shift + 1))
                met = np.flatnonzero(begins_at_0[other])
                yield first[mine[met] + 1] - 1, first[other[met]]

    def _above(self, near: Ints, ends: NDArray[np.uint64], grow: int) -> Iterator[tuple[Ints, Ints]]:
        """Yield (runs, runs in the words `near` theirs) that lie above one another, or `grow` voxels off."""
        reach = self.runs
        if grow:
            reach = reach | (reach << _ONE) | (reach >> _ONE)
        below = (reach & (~reach + _ONE)) - _ONE
        near = near[self.entry]
        first = self.first[near]
        begin = first + np.bitwise_count(ends[near] & below)
        stop = first + np.bitwise_count(self._starts[near] & (reach | below))
        source = np.flatnonzero(begin < stop)
        begin, stop = begin[source], stop[source]
        while len(source):
            yield source, begin
            more = np.flatnonzero(begin + 1 < stop)
            source, begin, stop = source[more], begin[more] + 1, stop[more]

    def entries(self, labels: Ints, own: int, keep: Bools, before: int) -> Bits:
        """Return the first `own` words again, with one entry for every label in a word.

        Parameters
        ----------
        labels
            Of every run.
        own
            Words to return.
        keep
            Which labels to keep.
        before
            Added to every label.
        """
        mine = slice(0, int(self.first[own]))
        labels, entry, runs = labels[mine], self.entry[mine], self.runs[mine]
        mixed = np.zeros(own, bool)
        mixed[entry[labels != labels[self.first[entry]]]] = True
        once = mixed[entry]
        once[self.first[:own]] = True
        chosen = np.flatnonzero(once & keep[labels])
        entry = entry[chosen]
        bits = np.where(mixed[entry], runs[chosen], self._bits[entry])
        return in_order(self._shape, self._words[entry], (labels[chosen] + before).astype(np.int32), bits)


def _finder(words: Words) -> Callable[[Ints], Ints]:
    """Return a function from words to their entries, or to one behind the last where a word has none."""
    n, origin, span = len(words), int(words[0]), int(words[-1]) - int(words[0]) + 1
    if span < _DENSE * n:
        table = np.full(span + 2, n, np.int32)
        table[words - origin] = np.arange(n, dtype=np.int32)

        def look(wanted: Ints) -> Ints:
            return table[np.clip(wanted - origin, -1, span)].astype(np.intp)
    else:
        padded = np.append(words, np.int32(-1))

        def look(wanted: Ints) -> Ints:
            place = np.searchsorted(words, wanted)
            return np.where(padded[place] == wanted, place, n)

    return look


def _rooted(parent: Ints) -> Ints:
    """Let every node of a forest point to its root."""
    while not np.array_equal(above := parent[parent], parent):
        parent = above
    return parent


def _joined(one: Ints, other: Ints, n: int) -> Ints:
    """Return, for each of `n` nodes, the lowest node that it is connected with by the edges `one` to `other`."""
    parent = np.arange(n)
    while len(left := np.flatnonzero(one != other)):
        one, other = one[left], other[left]
        np.minimum.at(parent, np.maximum(one, other), np.minimum(one, other))
        parent = _rooted(parent)
        one, other = parent[one], parent[other]
    return parent


def _large_enough(
    sizes: Ints, same: list[tuple[Ints, Ints]], min_voxels: int, max_components: int
) -> NDArray[np.int32]:
    """Unite provisional labels; return a number for each, 0 for those that are too small or not among the largest.

    More than `max_components` are numbered where they are as large as the last that is kept.
    """
    one, other = (np.concatenate(side) for side in zip(*same, strict=True))
    final = _joined(one, other, len(sizes))
    size = np.bincount(final, weights=sizes, minlength=len(sizes))
    kept = np.flatnonzero(size >= max(min_voxels, 1))
    if len(kept) > max_components:
        kept = kept[size[kept] >= np.partition(size[kept], -max_components)[-max_components]]
    number = np.zeros(len(sizes), np.int32)
    number[kept] = np.arange(1, len(kept) + 1)
    return number[final]


def _relabelled(piece: Bits, number: NDArray[np.int32]) -> Bits:
    label = number[piece.labels]
    chosen = np.flatnonzero(label)
    return in_order(piece.shape, piece.words[chosen], label[chosen], piece.bits[chosen])


def _stacked(mask: Bits, pieces: list[Bits]) -> Bits:
    if len(pieces) == 1:
        return pieces[0]
    words = np.concatenate([piece.words for piece in pieces])
    labels = np.concatenate([piece.labels for piece in pieces])
    return Bits(mask.shape, words, labels, np.concatenate([piece.bits for piece in pieces]))


def _in_c_order(found: Bits, max_components: int) -> Bits:
    """Give components their numbers, by their first voxels in C order of (H, W, D), and drop the last of too many."""
    h, w, d = found.shape
    n = int(found.labels.max(initial=0))
    row, column = np.divmod(found.words.astype(np.int64), found.row_words)
    z, y = np.divmod(row, w)
    lowest = np.bitwise_count((found.bits & (~found.bits + _ONE)) - _ONE)
    place = np.full(n + 1, h * w * d)
    label = found.labels.astype(np.intp)  # `at` is fast only where no type has to be changed
    np.minimum.at(place, label, ((column * WORD + lowest) * w + y) * d + z)
    size = np.bincount(label, weights=np.bitwise_count(found.bits), minlength=n + 1)
    kept = 1 + np.lexsort((place[1:], -size[1:]))[:max_components]
    number = np.zeros(n + 1, np.int32)
    number[kept[np.argsort(place[kept])]] = np.arange(1, len(kept) + 1)
    return _relabelled(found, number)
