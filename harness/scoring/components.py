"""Connected components of a sparse mask: union-find on runs of voxels.

A run is a stretch of foreground along the first axis. Runs are few where voxels are many, and two of them touch when
they overlap in neighbouring rows, which two binary searches tell for all runs at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from harness.masks.bits import WORD, Bits

Connectivity = Literal[6, 18, 26]
Ints = NDArray[np.int64]

#: Runs labelled at a time: bounds the memory, whatever the mask holds.
CHUNK_RUNS = 1 << 16

#: Slices labelled at a time at least, since one more is labelled twice.
CHUNK_SLICES = 3

#: The neighbouring rows before a row: rows along y, slices along z, and the voxels along x that a step may add.
_ROWS_BEFORE: dict[Connectivity, tuple[tuple[int, int, int], ...]] = {
    6: ((-1, 0, 0), (0, -1, 0)),
    18: ((-1, 0, 1), (0, -1, 1), (-1, -1, 0), (1, -1, 0)),
    26: ((-1, 0, 1), (0, -1, 1), (-1, -1, 1), (1, -1, 1)),
}


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
    places: list[Ints] = []
    same: list[tuple[Ints, Ints]] = []  # provisional labels of one component
    carried = np.empty(0, np.int64)  # labels of the slice that the next chunk begins with, run by run
    n = 0
    for own, reach in _chunks(mask):
        runs = _Runs(mask.words[own.start : reach], mask.bits[own.start : reach], mask.row_words)
        starts, ends = runs.starts, runs.ends
        labels, found = _connect(runs, mask.shape, connectivity)
        mine = int(np.searchsorted(starts, (mask.words[own.stop - 1] + 1) * WORD))
        size = np.bincount(labels[:mine], weights=(ends - starts + 1)[:mine], minlength=found).astype(np.int64)
        may_grow = np.zeros(found, bool)
        may_grow[labels[: len(carried)]] = may_grow[labels[mine:]] = True
        keep = np.flatnonzero((may_grow | (size >= min_voxels))[labels[:mine]])
        piece = _entries(starts[keep], ends[keep], labels[keep], mask)
        sizes.append(size)
        places.append(_first_voxels(piece, found))
        pieces.append(Bits(piece.shape, piece.words, piece.labels + np.int32(n), piece.bits))
        pairs = np.unique(carried * found + labels[: len(carried)])  # as many runs as a slice has, few pairs
        same.append((pairs // found, pairs % found + n))
        carried = labels[mine:] + n
        n += found
    if not n:
        return mask
    label = _numbers(np.concatenate(sizes), np.concatenate(places), same, min_voxels, max_components)
    for i, piece in enumerate(pieces):  # one by one, so that no two copies of the whole mask are ever held
        pieces[i] = _relabelled(piece, label)
    return _stacked(mask, pieces)


def _chunks(mask: Bits) -> Iterator[tuple[slice, int]]:
    """Yield the entries of whole slices, and the end of the slice after them, which both chunks label."""
    slice_words = mask.row_words * mask.shape[1]
    bounds = np.searchsorted(mask.words, np.arange(mask.shape[2] + 1) * slice_words)
    bounds = np.unique(bounds)  # slices that hold nothing connect nothing; see `_connect`
    begun = np.bitwise_count(mask.bits & ~(mask.bits << np.uint64(1)))  # runs in every word
    runs = np.cumsum(np.append(0, np.add.reduceat(begun, bounds[:-1], dtype=np.int64) if len(bounds) > 1 else []))
    first = 0
    while first < len(bounds) - 1:
        last = max(first + CHUNK_SLICES, int(np.searchsorted(runs, runs[first] + CHUNK_RUNS, "right")) - 1)
        last = min(last, len(bounds) - 1)
        yield slice(int(bounds[first]), int(bounds[last])), int(bounds[min(last + 1, len(bounds) - 1)])
        first = last


class _Runs:
    """The runs of some words, counted in padded rows of whole words.

    Attributes
    ----------
    starts, ends
        First and last voxel of every run, ascending.
    """

    def __init__(self, words: Ints, bits: NDArray[np.uint64], row_words: int) -> None:
        one, top = np.uint64(1), np.uint64(WORD - 1)
        joined = (words[1:] == words[:-1] + 1) & (words[1:] % row_words != 0)
        before, after = np.zeros_like(bits), np.zeros_like(bits)
        before[1:] = (bits[:-1] >> top) * joined
        after[:-1] = (bits[1:] << top) * joined
        first = bits & ~((bits << one) | before)
        last = bits & ~((bits >> one) | after)
        self.starts, self.ends = _voxels(words, first), _voxels(words, last)
        self._words = words
        # For a rank in constant time: entries before each word, runs before each entry, and the bits themselves.
        self._origin = int(words[0])
        held = np.zeros(int(words[-1]) - self._origin + 3, np.int32)
        held[words - self._origin + 1] = 1
        self._entries = np.cumsum(held, dtype=np.int32)
        self._first, self._last = np.append(first, np.uint64(0)), np.append(last, np.uint64(0))
        self._starts_before = np.concatenate([[0], np.cumsum(np.bitwise_count(first), dtype=np.int64)])
        self._ends_before = np.concatenate([[0], np.cumsum(np.bitwise_count(last), dtype=np.int64)])

    def started_up_to(self, voxels: Ints) -> Ints:
        """Count the runs that start at or before each voxel."""
        return self._rank(voxels + 1, self._first, self._starts_before)

    def ended_before(self, voxels: Ints) -> Ints:
        """Count the runs that end before each voxel."""
        return self._rank(voxels, self._last, self._ends_before)

    def _rank(self, voxels: Ints, bits: NDArray[np.uint64], before: Ints) -> Ints:
        word = np.clip((voxels // WORD) - self._origin, 0, len(self._entries) - 2)
        inside = voxels - (word + self._origin) * WORD  # 64 and more behind the last word, below 0 before the first
        entry = self._entries[word]
        held = self._entries[word + 1] > entry
        mask = (np.uint64(1) << np.clip(inside, 0, WORD - 1).astype(np.uint64)) - np.uint64(1)
        rank: Ints = before[entry] + np.bitwise_count(bits[entry] & mask) * held
        return rank


def _voxels(words: Ints, bits: NDArray[np.uint64]) -> Ints:
    """Return the set bits as voxels, ascending: the lowest of every word, then the next lowest, and sort."""
    taken = []
    while len(left := np.flatnonzero(bits)):
        words, bits = words[left], bits[left]
        below = bits - np.uint64(1)
        taken.append(words * WORD + np.bitwise_count(~bits & below))
        bits = bits & below
    return np.sort(np.concatenate(taken))


def _connect(runs: _Runs, shape: tuple[int, int, int], connectivity: Connectivity) -> tuple[Ints, int]:
    """Return the component of every run and the number of components."""
    starts, ends = runs.starts, runs.ends
    width = -(-shape[0] // WORD) * WORD
    row = starts // width
    y = row % shape[1]
    low, high = row * width, row * width + (width - 1)
    first, count = [], []
    for dy, dz, grow in _ROWS_BEFORE[connectivity]:
        shift = (dy + dz * shape[1]) * width
        begin = runs.ended_before(np.maximum(starts - grow, low) + shift)
        stop = runs.started_up_to(np.minimum(ends + grow, high) + shift)
        inside = (y + dy >= 0) & (y + dy < shape[1])
        first.append(begin)
        count.append((stop - begin) * inside)
    firsts, counts = np.stack(first, axis=1).reshape(-1), np.stack(count, axis=1).reshape(-1)
    ends_at = np.cumsum(counts, dtype=np.int32)  # 32 bits, as SciPy's sparse arrays take
    targets = np.arange(int(counts.sum()), dtype=np.int32)
    targets -= np.repeat(ends_at - (counts + firsts).astype(np.int32), counts)
    pointers = np.append(np.int32(0), ends_at[len(first) - 1 :: len(first)])
    return _united((np.ones(len(targets), np.int8), targets, pointers), len(starts))


def _united(edges: Any, n: int) -> tuple[Ints, int]:
    """Return the component of each of `n` nodes, and how many there are, from edges as SciPy's sparse arrays take."""
    # Imported when first needed: it takes longer to load than a mask to read.
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    count, labels = connected_components(csr_array(edges, shape=(n, n)), directed=False)
    return labels.astype(np.int64), int(count)


def _entries(starts: Ints, ends: Ints, labels: Ints, mask: Bits) -> Bits:
    """Cut runs into words again, one entry a label and word."""
    first, last = starts // WORD, ends // WORD
    spans = last - first + 1
    run = np.repeat(np.arange(len(starts)), spans)
    word = np.arange(len(run)) - np.repeat(np.cumsum(spans) - spans - first, spans)
    low = np.where(word == first[run], starts[run] % WORD, 0).astype(np.uint64)
    high = np.where(word == last[run], ends[run] % WORD, WORD - 1).astype(np.uint64)
    ones = np.uint64(2**WORD - 1)
    bits = (ones << low) & (ones >> (np.uint64(WORD - 1) - high))
    return _merged(mask, word, labels[run], bits)


def _merged(mask: Bits, words: Ints, labels: NDArray[Any], bits: NDArray[np.uint64]) -> Bits:
    """Sort by word and label, and unite the entries that share both."""
    if not len(words):
        return Bits(mask.shape, words, labels.astype(np.int32), bits)
    key = words * (int(labels.max()) + 1) + labels
    order = np.argsort(key, kind="stable")
    first = np.flatnonzero(np.diff(key[order], prepend=-1))
    united = np.bitwise_or.reduceat(bits[order], first)
    return Bits(mask.shape, words[order][first], labels[order][first].astype(np.int32), united)


def _stacked(mask: Bits, pieces: list[Bits]) -> Bits:
    if len(pieces) == 1:
        return pieces[0]
    words = np.concatenate([piece.words for piece in pieces])
    labels = np.concatenate([piece.labels for piece in pieces])
    return Bits(mask.shape, words, labels, np.concatenate([piece.bits for piece in pieces]))


def _first_voxels(piece: Bits, n: int) -> Ints:
    """Return where each of `n` labels first appears in C order of (H, W, D)."""
    h, w, d = piece.shape
    row, column = np.divmod(piece.words, piece.row_words)
    z, y = np.divmod(row, w)
    lowest = np.bitwise_count((piece.bits & (~piece.bits + np.uint64(1))) - np.uint64(1))
    place = np.full(n, h * w * d)
    label = piece.labels.astype(np.intp)  # `at` is fast only where no type has to be changed
    np.minimum.at(place, label, ((column * WORD + lowest) * w + y) * d + z)
    return place


def _numbers(
    sizes: Ints, places: Ints, same: list[tuple[Ints, Ints]], min_voxels: int, max_components: int
) -> NDArray[np.int32]:
    """Unite provisional labels and choose the components to keep; return the number of each label, 0 if not kept."""
    one, other = (np.concatenate(side) for side in zip(*same, strict=True))
    final, total = _united((np.ones(len(one)), (one, other)), len(sizes))
    size = np.bincount(final, weights=sizes, minlength=total)
    place = np.full(total, np.iinfo(np.int64).max)
    np.minimum.at(place, final, places)
    kept = np.flatnonzero(size >= min_voxels)
    kept = kept[np.lexsort((place[kept], -size[kept]))][:max_components]
    number = np.zeros(total, np.int32)
    number[kept[np.argsort(place[kept])]] = np.arange(1, len(kept) + 1)
    return number[final]


def _relabelled(piece: Bits, number: NDArray[np.int32]) -> Bits:
    label = number[piece.labels]
    chosen = np.flatnonzero(label)
    return _merged(piece, piece.words[chosen], label[chosen], piece.bits[chosen])
