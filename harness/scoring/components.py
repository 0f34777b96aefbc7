"""Connected components of a sparse mask: union-find on runs of voxels.

A run is a stretch of foreground within one word. Runs are few where voxels are many, and whether two
neighbouring words touch is decided by counting bits, for all of them at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness.masks.bits import WORD, Bits, in_order, stacked

Connectivity = Literal[6, 18, 26]
Ints = NDArray[np.int64]
Words = NDArray[np.int32]
Bools = NDArray[np.bool_]

#: Runs labelled at a time, in whole slices: bounds the memory.
CHUNK_RUNS = 1 << 16

#: Entries of components that may yet be dropped: where there are more, a mask is labelled twice.
MAX_ENTRIES = 1 << 21

#: Slices labelled at a time at least.
CHUNK_SLICES = 2

#: Runs compared with their neighbours at a time, to stay in the processor's cache.
_COMPARED = 1 << 14

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


@dataclass(frozen=True)
class Core:
    """Voxels of one component that are held elsewhere.

    Attributes
    ----------
    size, place
        How many, and where the first is in C order of (H, W, D).
    beside
        (n,) uint64: of each entry of a mask, the voxels that touch the core.
    """

    size: int
    place: int
    beside: NDArray[np.uint64]


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
    return _components(mask.flat, None, connectivity, min_voxels, max_components)[0]


def components_beside(
    mask: Bits, core: Core, *, connectivity: Connectivity, min_voxels: int, max_components: int
) -> tuple[Bits, int]:
    """Label the components of a mask and a core as :func:`components` would; return also the core's label.

    Parameters
    ----------
    mask
        Foreground without the core, one entry a word.
    core
        What is held elsewhere; its label is 0 where its component is not kept.
    connectivity, min_voxels, max_components
        As in :func:`components`.
    """
    return _components(mask, core, connectivity, min_voxels, max_components)


def _components(
    mask: Bits, core: Core | None, connectivity: Connectivity, min_voxels: int, max_components: int
) -> tuple[Bits, int]:
    pieces: list[Bits] = []
    sizes: list[Ints] = []
    places: list[Ints] = []
    same: list[tuple[Ints, Ints]] = []  # provisional labels of one component
    with_core: list[Ints] = []
    carried = np.empty(0, np.int64)  # labels of the last slice, run by run
    held = n = 0
    for part in _labelled(mask, connectivity):
        theirs = part.labels[: len(carried)]
        size = np.bincount(part.mine, weights=np.bitwise_count(part.chunk.runs), minlength=part.found)
        may_grow = np.zeros(part.found, bool)
        may_grow[theirs] = may_grow[part.last] = True
        if core is not None:
            met = np.unique(part.mine[part.chunk.meets(core.beside[part.entries])])
            may_grow[met] = True
            with_core.append(met + part.before)
        piece = part.chunk.entries(part.mine, may_grow | (size >= min_voxels), part.before)
        sizes.append(size.astype(np.int64))
        places.append(_first_voxels(piece, part.before, part.found))
        held += len(piece.words)
        if held <= MAX_ENTRIES:
            pieces.append(piece)
        pairs = np.unique(carried * part.found + theirs)  # as many runs as a slice has, few pairs
        same.append((pairs // part.found, pairs % part.found + part.before))
        carried = part.last + part.before
        n = part.before + part.found
    if core is not None:
        sizes.append(np.array([core.size]))
        places.append(np.array([core.place]))
        same += [(np.full_like(met, n), met) for met in with_core]
    if not sizes:
        return mask, 0
    number = numbers(np.concatenate(sizes), np.concatenate(places), same, min_voxels, max_components)
    if held > MAX_ENTRIES:  # once more, now that most labels can be left out
        pieces.clear()
        for part in _labelled(mask, connectivity):
            mine = number[part.before : part.before + part.found]
            pieces.append(_relabelled(part.chunk.entries(part.mine, mine > 0, part.before), number))
    else:
        for i, piece in enumerate(pieces):  # one by one, so that no two copies of the whole mask are ever held
            pieces[i] = _relabelled(piece, number)
    return stacked(mask.shape, pieces), int(number[n:].max(initial=0))


@dataclass(frozen=True)
class _Labelled:
    """One chunk and the provisional labels of its runs.

    Attributes
    ----------
    chunk
        The chunk.
    entries
        Which entries of the mask are its own.
    labels
        From 0: those of the slice before, which is the last of the chunk before, then its own.
    mine, last
        The labels of its own runs, and of those in its last slice.
    found
        How many labels there are.
    before
        How many the chunks before have.
    """

    chunk: _Chunk
    entries: slice
    labels: Ints
    mine: Ints
    last: Ints
    found: int
    before: int


def _labelled(mask: Bits, connectivity: Connectivity) -> Iterator[_Labelled]:
    """Label a mask chunk by chunk."""
    n = 0
    for before, first, last, stop in _chunks(mask):
        chunk = _Chunk(mask.words[before:stop], mask.bits[before:stop], mask.shape, first - before)
        labels, found = chunk.labels(connectivity)
        mine, end = labels[chunk.first[first - before] :], labels[chunk.first[last - before] :]
        yield _Labelled(chunk, slice(first, stop), labels, mine, end, found, n)
        n += found


def _chunks(mask: Bits) -> Iterator[tuple[int, int, int, int]]:
    """Cut the entries into whole slices; yield where the slice before begins, then the first, the last, and the end."""
    slice_words = mask.row_words * mask.shape[1]
    bounds = np.searchsorted(mask.words, np.arange(mask.shape[2] + 1) * slice_words)
    bounds = np.unique(bounds)  # slices that hold nothing connect nothing; rows that touch have neighbouring numbers
    begun = np.bitwise_count(_starts(mask.bits))
    runs = np.append(0, np.cumsum(np.add.reduceat(begun, bounds[:-1], dtype=np.int64) if len(bounds) > 1 else []))
    first = 0
    while first < len(bounds) - 1:
        end = max(first + CHUNK_SLICES, int(np.searchsorted(runs, runs[first] + CHUNK_RUNS, "right")) - 1)
        end = min(end, len(bounds) - 1)
        before, begin, last, stop = bounds[[max(first - 1, 0), first, end - 1, end]].tolist()
        yield before, begin, last, stop
        first = end


def _starts(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the lowest voxel of every run."""
    starts: NDArray[np.uint64] = bits & ~(bits << _ONE)
    return starts


class _Chunk:
    """The runs of some words, numbered in the order of the words and of their bits.

    Parameters
    ----------
    words, bits
        Of the slice before, then those to label.
    shape
        Voxels (H, W, D).
    own
        The first entry to label.

    Attributes
    ----------
    first
        The first run of every word; after the words comes one that holds nothing.
    runs, entry
        Bits and word of every run to label.
    """

    def __init__(self, words: Words, bits: NDArray[np.uint64], shape: tuple[int, int, int], own: int) -> None:
        self._shape = shape
        self._own = own
        self._words = words
        self._bits = np.append(bits, np.uint64(0))
        self._starts = _starts(self._bits)
        count = np.bitwise_count(self._starts)
        self.first = np.concatenate([[0], np.cumsum(count, dtype=np.int64)])
        self.entry = np.repeat(np.arange(own, len(words)), count[own:-1])
        self.runs = np.empty(len(self.entry), np.uint64)
        left, at = bits[own:], self.first[own : len(words)] - self.first[own]
        while len(left):
            above = left + (left & (~left + _ONE))  # carries through the lowest run
            self.runs[at] = left & ~above
            left = left & above
            more = np.flatnonzero(left)
            left, at = left[more], at[more] + 1

    def labels(self, connectivity: Connectivity) -> tuple[Ints, int]:
        """Return the component of every run, those of the slice before first, and the number of components."""
        parent = np.arange(self.first[-1])
        edges = list(self._edges(connectivity))
        for source, target in edges:
            parent[source] = target  # every edge leads back, so that this is a forest
        parent = _rooted(parent)
        apart: list[tuple[Ints, Ints]] = []
        while edges:
            source, target = edges.pop()
            one, other = parent[source], parent[target]
            open_ = np.flatnonzero(one != other)
            apart.append((one[open_], other[open_]))
        root = parent == np.arange(len(parent))
        number = np.cumsum(root) - 1
        one, other = (number[np.concatenate(side)] for side in zip(*apart, strict=True))
        joined = _joined(one, other, int(root.sum()))
        final = joined == np.arange(len(joined))
        return (np.cumsum(final) - 1)[joined][number[parent]], int(final.sum())

    def meets(self, bits: NDArray[np.uint64]) -> Bools:
        """Return which runs have any of these voxels, given for each word to label."""
        met: Bools = (self.runs & bits[self.entry - self._own]) != 0
        return met

    def _edges(self, connectivity: Connectivity) -> Iterator[tuple[Ints, Ints]]:
        """Yield (runs, runs before them) that touch."""
        w = self._shape[1]
        row_words = -(-self._shape[0] // WORD)
        first, bits, entry_of = self.first, self._bits, _finder(self._words)
        ends, begins_at_0, ends_at_63 = bits & ~(bits >> _ONE), (bits & _ONE).astype(bool), (bits >> _TOP).astype(bool)
        words = self._words[self._own :].astype(np.int64)
        row, column = np.divmod(words, row_words)
        y = row % w
        low = np.flatnonzero(begins_at_0[self._own : -1] & (column > 0))
        high = np.flatnonzero(ends_at_63[self._own : -1] & (column < row_words - 1))
        for dy, dz, grow in ((0, 0, 1), *_ROWS_BEFORE[connectivity]):
            shift = (dy + dz * w) * row_words
            inside = (y + dy >= 0) & (y + dy < w)
            if shift:
                yield from self._above(np.where(inside, entry_of(words + shift), len(bits) - 1), ends, grow)
            if grow:
                mine = low[inside[low]]
                other = entry_of(words[mine] + (shift - 1))
                met = np.flatnonzero(ends_at_63[other])
                yield first[mine[met] + self._own], first[other[met] + 1] - 1
            if grow and shift:
                mine = high[inside[high]]
                other = entry_of(words[mine] + (shift + 1))
                met = np.flatnonzero(begins_at_0[other])
                yield first[mine[met] + self._own + 1] - 1, first[other[met]]

    def _above(self, near: Ints, ends: NDArray[np.uint64], grow: int) -> Iterator[tuple[Ints, Ints]]:
        """Yield (runs, runs in the words `near` theirs) that lie above one another, or `grow` voxels off."""
        for at in range(0, len(self.runs), _COMPARED):
            reach = self.runs[at : at + _COMPARED]
            if grow:
                reach = reach | (reach << _ONE) | (reach >> _ONE)
            beside = near[self.entry[at : at + _COMPARED] - self._own]
            common = self._bits[beside] & reach
            met = np.flatnonzero(common)
            beside, reach, common = beside[met], reach[met], common[met]
            below = (reach & (~reach + _ONE)) - _ONE
            source = met + (at + self.first[self._own])
            target = self.first[beside] + np.bitwise_count(ends[beside] & below)
            more = np.bitwise_count(_starts(common))
            while len(source):
                yield source, target
                left = np.flatnonzero(more > 1)
                source, target, more = source[left], target[left] + 1, more[left] - 1

    def entries(self, labels: Ints, keep: Bools, before: int) -> Bits:
        """Return the words again, with one entry for a word of one label, else one for every run.

        Parameters
        ----------
        labels
            Of every run.
        keep
            Which labels to keep.
        before
            Added to every label.
        """
        first = self.first[self._own : -1] - self.first[self._own]
        entry = self.entry - self._own
        mixed = np.zeros(len(first) - 1, bool)
        mixed[entry[labels != labels[first[entry]]]] = True
        once = mixed[entry]
        once[first[:-1]] = True
        chosen = np.flatnonzero(once & keep[labels])
        entry = entry[chosen]
        bits = np.where(mixed[entry], self.runs[chosen], self._bits[self._own :][entry])
        words = self._words[self._own :][entry]
        return Bits(self._shape, words, (labels[chosen] + before).astype(np.int32), bits)


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


def _first_voxels(piece: Bits, before: int, n: int) -> Ints:
    """Return where each of `n` labels, the first of which is `before`, first appears in C order of (H, W, D)."""
    h, w, d = piece.shape
    row, column = np.divmod(piece.words.astype(np.int64), piece.row_words)
    z, y = np.divmod(row, w)
    lowest = np.bitwise_count((piece.bits & (~piece.bits + _ONE)) - _ONE)
    place = np.full(n, h * w * d)
    label = piece.labels.astype(np.intp) - before  # `at` is fast only where no type has to be changed
    np.minimum.at(place, label, ((column * WORD + lowest) * w + y) * d + z)
    return place


def numbers(
    sizes: Ints, places: Ints, same: list[tuple[Ints, Ints]], min_voxels: int, max_components: int
) -> NDArray[np.int32]:
    """Unite provisional labels and choose the components to keep; return the number of each label, 0 if not kept."""
    one, other = (np.concatenate(side) for side in zip(*same, strict=True)) if same else (places[:0], places[:0])
    final = _joined(one, other, len(sizes))
    size = np.bincount(final, weights=sizes, minlength=len(sizes))
    place = places.copy()
    np.minimum.at(place, final, places)
    kept = np.flatnonzero(size >= max(min_voxels, 1))  # components that were merged into another have no voxels left
    kept = kept[np.lexsort((place[kept], -size[kept]))][:max_components]
    number = np.zeros(len(sizes), np.int32)
    number[kept[np.argsort(place[kept])]] = np.arange(1, len(kept) + 1)
    return number[final]


def _relabelled(piece: Bits, number: NDArray[np.int32]) -> Bits:
    label = number[piece.labels]
    chosen = np.flatnonzero(label)
    return in_order(piece.shape, piece.words[chosen], label[chosen], piece.bits[chosen])
