"""Connected components of a dense mask: slabs of slices labelled by a compiled library, repeated slabs only once.

Where a mask has many runs, labelling voxels costs less than labelling runs. A slab is labelled together with the slice
before it, so that the labels of neighbouring slabs are compared on the same voxels. Stripes, checkerboards and solid
blocks repeat themselves: of equal slabs one is labelled, and the others refer to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.masks.bits import WORD, Bits, Shape, in_order, positions
from harness.scoring.components import Connectivity, numbers
from harness.scoring.regions import Slab

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Words = NDArray[np.uint64]

#: Runs, or words, from which on a mask is labelled here: specks cost less as runs, and solid bodies have few.
MIN_RUNS, MIN_WORDS = 1_600_000, 500_000

#: Slices of a slab where slabs repeat themselves, and where they do not.
SLICES = (4, 12)

#: Entries of components that may yet be dropped: where there are more, slabs are labelled twice.
MAX_ENTRIES = 1 << 23

#: A component with this share of a slab's foreground is taken out whole, before the runs of the others are listed.
_LARGE = 0.2

#: Every so many words of a mask are counted, and voxels of a slab are looked at for large components.
_SAMPLED = 97

_ONE = np.uint64(1)
_TOP = np.uint64(WORD - 1)


def is_dense(mask: Bits) -> bool:
    """Return whether labelling voxels is likely to cost less than labelling runs."""
    bits = mask.flat.bits
    some = bits[::_SAMPLED]
    runs = int(np.bitwise_count(some & ~(some << _ONE)).sum(dtype=np.int64))
    solid = 5 * runs < 6 * len(some)
    return runs * len(bits) >= MIN_RUNS * len(some) or (solid and len(bits) >= MIN_WORDS)


def slabs(mask: Bits, *, connectivity: Connectivity, min_voxels: int, max_components: int) -> list[Slab]:
    """Label the components that :func:`harness.scoring.components.components` would return, slab by slab."""
    grid = _Grid(mask.flat)
    held: dict[int, _Runs] = {}
    sizes: list[Ints] = []
    places: list[Ints] = []
    spans: list[slice] = []  # where the numbers of each slab's components lie
    same: list[tuple[Ints, Ints]] = []
    for part in _labelled(grid, connectivity, min_voxels, max_components):
        held[part.kind] = part.runs
        before = spans[-1].stop if spans else 0
        if part.met is not None and _is_identity(part.met, len(sizes[-1]), len(part.sizes)):  # they are the same
            sizes[-1] = sizes[-1] + part.sizes
            places[-1] = np.minimum(places[-1], part.places + part.first)
            spans.append(spans[-1])
            continue
        sizes.append(part.sizes)
        places.append(part.places + part.first)
        if part.met is not None:
            same.append((part.met[0] + spans[-1].start, part.met[1] + before))
        spans.append(slice(before, before + len(part.sizes)))
    number = numbers(np.concatenate(sizes), np.concatenate(places), same, min_voxels, max_components)
    every = np.arange(number.max(initial=0), dtype=np.int32)
    found = []
    for kind, runs in held.items():
        mine = [(i, number[spans[i]]) for i, other in enumerate(grid.kinds) if other == kind]
        names = np.append(np.int32(0), mine[0][1])
        if len(mine) > 1:  # what it is called differs from slab to slab
            names = np.arange(len(names), dtype=np.int32)
            names[1:][~np.any([one > 0 for _, one in mine], axis=0)] = 0
        if not names.any():
            continue
        bits = runs.bits(grid[mine[0][0]][1:], grid.shape, names)
        here = np.zeros(1 + int(names.max()), bool)  # others only touch the slab from before it
        here[bits.labels] = True
        for i, one in mine:
            number_of = one[: len(here) - 1] - 1 if len(mine) > 1 else every[: len(here) - 1]
            found.append(Slab(i * grid.slices, bits, np.where(here[1:], number_of, -1)))
    return sorted((slab for slab in found if len(slab.bits.words)), key=lambda slab: slab.first)


class _Grid:
    """The words of a mask, slab by slab; slabs that are equal, with the slice before them, are of one kind.

    Attributes
    ----------
    shape, slices
        Of the volume, and slices in a slab.
    kinds
        The kind of every slab, numbered from 0.
    """

    def __init__(self, mask: Bits) -> None:
        self.shape = mask.shape
        _, w, d = mask.shape
        row_words = mask.row_words
        self._words = np.zeros((d + 1, w, row_words), np.uint64)  # an empty slice before the first
        self._words.reshape(-1)[mask.words + w * row_words] = mask.bits
        self.slices = SLICES[0]
        known: dict[bytes, int] = {}
        self.kinds = [known.setdefault(self[i].tobytes(), len(known)) for i in range(-(-d // self.slices))]
        if 2 * len(known) > len(self.kinds):
            self.slices = SLICES[1]
            self.kinds = list(range(-(-d // self.slices)))

    def __getitem__(self, i: int) -> Words:
        return self._words[i * self.slices : (i + 1) * self.slices + 1]


@dataclass(frozen=True)
class _Labelled:
    """One slab and its components, without those that are too small and reach no other slab.

    Attributes
    ----------
    first, kind
        Its first slice, and its kind.
    runs
        Which component, from 1, each of its runs belongs to.
    sizes, places
        Of each: voxels, and the first in C order of (H, W, D) if the slab began at 0.
    met
        Which components of the slab before, and of this, are one; numbered from 0. None for the first.
    """

    first: int
    kind: int
    runs: _Runs
    sizes: Ints
    places: Ints
    met: tuple[Ints, Ints] | None


def _labelled(grid: _Grid, connectivity: Connectivity, min_voxels: int, max_components: int) -> Iterator[_Labelled]:
    """Yield the slabs in their order; of every kind only one is labelled."""
    largest = np.empty(0, np.int64)  # of the components that cannot grow
    left = Counter(grid.kinds)
    known: dict[int, _Kind] = {}
    met: dict[tuple[int, int], tuple[Ints, Ints]] = {}
    before: tuple[int, _Kind] | None = None
    for i, number in enumerate(grid.kinds):
        kind = known.get(number)
        if kind is None:
            least = min_voxels if len(largest) < max_components else max(min_voxels, int(largest[0]))
            kind = _Kind(grid[i], grid.shape, connectivity, least)
            largest = np.sort(np.append(largest, kind.sizes[kind.closed]))[-max_components:]
        left[number] -= 1
        if left[number]:
            known[number] = kind
        pairs = None
        if before is not None:
            pairs = met.get((before[0], number))
            if pairs is None:
                pairs = met[before[0], number] = _met(before[1].last, kind.before, len(kind.sizes))
        yield _Labelled(i * grid.slices, number, kind.runs, kind.sizes, kind.places, pairs)
        before = number, kind


class _Kind:
    """One slab, labelled with the slice before it.

    Attributes
    ----------
    runs, sizes, places
        As in :class:`_Labelled`.
    closed
        Which of them reach no other slab.
    before, last
        The labels of every voxel of the slice before, and of the last.
    """

    def __init__(self, words: Words, shape: Shape, connectivity: Connectivity, min_voxels: int) -> None:
        import cc3d  # imported when first needed, which is seldom

        little = words.astype("<u8", copy=False).view(np.uint8)
        voxels = np.unpackbits(little.reshape(-1), bitorder="little").reshape(*words.shape[:2], -1)
        found, n = cc3d.connected_components(voxels.T, connectivity=connectivity, return_N=True, binary_image=True)
        labels = found.T
        may_grow = np.zeros(int(n) + 1, bool)
        may_grow[labels[0]] = may_grow[labels[-1]] = True
        words, labels_of = words[1:].reshape(-1), labels[1:].reshape(-1)
        large = _large(labels_of)
        rest = words.copy()
        for _, mine in large:
            rest &= ~mine
        word, begin, end = _runs_of(rest)
        run = labels_of[word * WORD + begin]
        size = np.bincount(run, weights=end - begin + 1, minlength=int(n) + 1).astype(np.int64)
        for label, mine in large:
            size[label] += np.bitwise_count(mine).sum(dtype=np.int64)
        kept = may_grow | (size >= min_voxels)
        kept[0] = False
        compact = np.cumsum(kept, dtype=np.int32)
        compact[~kept] = 0
        self.sizes: Ints = size[kept]
        self.closed: Bools = ~may_grow[kept]
        run = compact[run]
        self.runs = _Runs(
            run.astype(np.uint16 if len(self.sizes) < 1 << 16 else np.uint32),
            [(int(compact[label]), mine) for label, mine in large],
        )
        chosen = np.flatnonzero(run)
        self.places = np.full(len(self.sizes), np.iinfo(np.int64).max >> 1)
        place = _place(word[chosen], begin[chosen], shape)
        np.minimum.at(self.places, run[chosen] - np.intp(1), place)
        for label, mine in self.runs.large:
            word, begin, _ = _runs_of(mine)
            self.places[label - 1] = min(self.places[label - 1], int(_place(word, begin, shape).min()))
        self.before, self.last = compact[labels[0]].reshape(-1), compact[labels[-1]].reshape(-1)


@dataclass(frozen=True)
class _Runs:
    """The components of a slab, as little as is needed to find them again.

    Attributes
    ----------
    labels
        Of every run that is in no large component, in their order; 0 for what was dropped.
    large
        Large components, each with its words.
    """

    labels: NDArray[np.unsignedinteger]
    large: list[tuple[int, Words]]

    def bits(self, words: Words, shape: Shape, names: NDArray[np.int32]) -> Bits:
        """Return the components by their names, but for those named 0, given the words of the slab."""
        rest = words.reshape(-1).copy()
        at: list[Ints] = [np.empty(0, np.int64)]
        label: list[NDArray[np.int32]] = [np.empty(0, np.int32)]
        bits: list[Words] = [np.empty(0, np.uint64)]
        for one, mine in self.large:
            rest &= ~mine
            if names[one]:
                at.append(np.flatnonzero(mine))
                label.append(np.full(len(at[-1]), names[one], np.int32))
                bits.append(mine[at[-1]])
        named = names[self.labels]
        chosen = np.flatnonzero(named)
        if len(chosen):
            word, begin, end = (column[chosen] for column in _runs_of(rest))
            at.append(word)
            label.append(named[chosen])
            bits.append((~np.uint64(0) >> (_TOP - (end - begin).astype(np.uint64))) << begin.astype(np.uint64))
        words_of, labels, voxels = np.concatenate(at).astype(np.int32), np.concatenate(label), np.concatenate(bits)
        if self.large:
            order = np.argsort(words_of, kind="stable")
            words_of, labels, voxels = words_of[order], labels[order], voxels[order]
        return in_order((shape[0], shape[1], len(words)), words_of, labels, voxels)


def _large(labels: NDArray[np.unsignedinteger]) -> list[tuple[int, Words]]:
    """Return the labels that fill a large share of the voxels, each with its words."""
    sample = labels[::_SAMPLED]
    seen = np.bincount(sample[sample > 0], minlength=1)
    found = np.flatnonzero(seen > max(_LARGE * seen.sum(), WORD)).tolist()
    return [
        (one, np.packbits(labels == one, bitorder="little").view("<u8").astype(np.uint64, copy=False)) for one in found
    ]


def _runs_of(words: Words) -> tuple[Ints, Ints, Ints]:
    """Return word, first and last bit of every run."""
    used = np.flatnonzero(words)
    bits = words[used]
    entry, begin = positions(bits & ~(bits << _ONE))
    end = positions(bits & ~(bits >> _ONE))[1]
    return used[entry], begin, end


def _place(word: Ints, bit: Ints, shape: Shape) -> Ints:
    """Return where a voxel of a slab is in C order of (H, W, D) if the slab begins at 0."""
    row, column = np.divmod(word, -(-shape[0] // WORD))
    z, y = np.divmod(row, shape[1])
    return ((column * WORD + bit) * shape[1] + y) * shape[2] + z


def _is_identity(met: tuple[Ints, Ints], n: int, m: int) -> bool:
    """Return whether every component of a slab goes on as the one of the same number in the next."""
    return n == m == len(met[0]) and np.array_equal(*met) and len(met[0]) == len(np.unique(met[0]))


def _met(one: NDArray[np.int32], other: NDArray[np.int32], n: int) -> tuple[Ints, Ints]:
    """Return the pairs of labels, from 0, of the same voxels; there are `n` on the other side."""
    at = np.flatnonzero(other)
    pairs = (one[at] - np.int64(1)) * n + (other[at] - 1)
    pairs = np.unique(pairs[np.append(True, pairs[1:] != pairs[:-1])] if len(pairs) else pairs)
    return pairs // max(n, 1), pairs % max(n, 1)
