"""Connected components of a dense mask: slabs of slices labelled by a compiled library, repeated slabs only once.

Where a mask has many runs, labelling voxels costs less than labelling runs. A slab is labelled together with the slice
before it, so that the labels of neighbouring slabs are compared on the same voxels. Stripes, checkerboards and solid
blocks repeat themselves: of equal slabs one is labelled, and the others refer to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness.masks.bits import WORD, Bits, Shape, in_order, positions, set_bits
from harness.scoring.components import Connectivity, components_beside, numbers
from harness.scoring.flood import Flooded, flooded
from harness.scoring.regions import Entries, Slab
from harness.scoring.streaks import Ends, Streaks

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Words = NDArray[np.uint64]
Axis = Literal[0, 1, 2]

AXES: tuple[Axis, ...] = (0, 1, 2)

#: Runs, or words, from which on a mask is labelled here: specks cost less as runs, and solid bodies have few.
MIN_RUNS, MIN_WORDS = 1_600_000, 500_000

#: Slices of a slab where slabs repeat themselves, and where they do not.
SLICES = (4, 24)

#: Entries of components that may yet be dropped: where there are more, slabs are labelled twice.
MAX_ENTRIES = 1 << 23

#: A component that is likely to have so many runs in a slab is taken out whole, before the others' runs are listed.
_LARGE = 1 << 16

#: Runs along x are listed unless those along y or z are so many times fewer: only along x are they in pairs.
_FEWER = 2

#: Runs along x are cut into voxels where they have fewer on average.
_SHORT = 1.4

#: Pairs of labels of two slabs that are marked in a table, which costs less than sorting them.
_TABLE = 1 << 22

#: Every so many words of a mask are counted, and voxels of a slab are looked at for large components.
_SAMPLED = 97

_ONE = np.uint64(1)
_TOP = np.uint64(WORD - 1)


def is_dense(mask: Bits) -> bool:
    """Return whether labelling voxels is likely to cost less than labelling runs."""
    bits = mask.flat.bits
    if not len(bits):
        return False
    some = bits[::_SAMPLED]
    runs = int(np.bitwise_count(some & ~(some << _ONE)).sum(dtype=np.int64))
    solid = 5 * runs < 6 * len(some)
    return runs * len(bits) >= MIN_RUNS * len(some) or (solid and len(bits) >= MIN_WORDS)


def slabs(mask: Bits, *, connectivity: Connectivity, min_voxels: int, max_components: int) -> list[Slab]:
    """Label the components that :func:`harness.scoring.components.components` would return, slab by slab."""
    grid = _Grid(mask.flat)
    parts = None if grid.repeats else flooded(grid.words, grid.shape, connectivity)
    if parts is not None and not is_dense(parts.rest):
        return _whole(parts, connectivity, min_voxels, max_components)
    del parts
    return _slab_by_slab(grid, connectivity, min_voxels, max_components)


def _slab_by_slab(grid: _Grid, connectivity: Connectivity, min_voxels: int, max_components: int) -> list[Slab]:
    """Label slab by slab, and unite what goes on from one to the next."""
    held: dict[int, _Runs] = {}
    sizes: list[Ints] = []
    places: list[Ints] = []
    spans: list[slice] = []  # where the numbers of each slab's components lie
    same: list[tuple[Ints, Ints]] = []
    for part in _labelled(grid, connectivity, min_voxels, max_components):
        held[part.kind] = part.runs
        before = spans[-1].stop if spans else 0
        if part.goes_on:
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
    for kind in list(held):
        runs = held.pop(kind)
        mine = [(i, number[spans[i]]) for i, other in enumerate(grid.kinds) if other == kind]
        names = np.append(np.int32(0), mine[0][1])
        if len(mine) > 1:  # what it is called differs from slab to slab
            names = np.arange(len(names), dtype=np.int32)
            names[1:][~np.any([one > 0 for _, one in mine], axis=0)] = 0
        if not names.any():
            continue
        for content in runs.contents(names):
            here = np.zeros(1 + int(names.max()), bool)  # others only touch the slab from before it
            here[content.labels + 1] = True
            for i, one in mine:
                number_of = one[: len(here) - 1] - 1 if len(mine) > 1 else every[: len(here) - 1]
                found.append(Slab(i * grid.slices, content, np.where(here[1:], number_of, -1)))
    return sorted(found, key=lambda slab: slab.first)


def _whole(parts: Flooded, connectivity: Connectivity, min_voxels: int, max_components: int) -> list[Slab]:
    """Label what a flood has left; return it and what was flooded, which overlap in place."""
    rest, number = components_beside(
        parts.rest,
        parts.described(),
        connectivity=connectivity,
        min_voxels=min_voxels,
        max_components=max_components,
    )
    labels = np.arange(rest.labels.max(initial=0), dtype=np.int32)
    found = [Slab(0, Entries(rest), labels)] if len(labels) else []
    return found + ([Slab(0, Entries(parts.core), np.array([number - 1], np.int32))] if number else [])


class _Grid:
    """The words of a mask, slab by slab; slabs that are equal, with the slice before them, are of one kind.

    Attributes
    ----------
    shape, slices
        Of the volume, and slices in a slab.
    kinds
        The kind of every slab, numbered from 0.
    repeats
        Whether most slabs are equal to others.
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
        self.repeats = 2 * len(known) <= len(self.kinds)
        if not self.repeats:
            self.slices = SLICES[1]
            self.kinds = list(range(-(-d // self.slices)))

    @property
    def words(self) -> Words:
        """All slices."""
        return self._words[1:]

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
    goes_on
        Whether every component of the slab before goes on as the one of the same number in this.
    """

    first: int
    kind: int
    runs: _Runs
    sizes: Ints
    places: Ints
    met: tuple[Ints, Ints] | None
    goes_on: bool


def _labelled(grid: _Grid, connectivity: Connectivity, min_voxels: int, max_components: int) -> Iterator[_Labelled]:
    """Yield the slabs in their order; of every kind only one is labelled."""
    largest = np.empty(0, np.int64)  # of the components that cannot grow
    left = Counter(grid.kinds)
    known: dict[int, _Kind] = {}
    met: dict[tuple[int, int], tuple[tuple[Ints, Ints], bool]] = {}
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
        pairs, goes_on = None, False
        if before is not None:
            if (before[0], number) not in met:
                pairs = _met(before[1].last, kind.before)
                met[before[0], number] = pairs, _is_identity(pairs, len(before[1].sizes), len(kind.sizes))
            pairs, goes_on = met[before[0], number]
            if not (left[before[0]] and left[number]):
                del met[before[0], number]
        yield _Labelled(i * grid.slices, number, kind.runs, kind.sizes, kind.places, pairs, goes_on)
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
        The labels of the slice before, and of the last.
    """

    def __init__(self, words: Words, shape: Shape, connectivity: Connectivity, min_voxels: int) -> None:
        import cc3d  # imported when first needed, which is seldom

        little = words.astype("<u8", copy=False).view(np.uint8)
        voxels = np.unpackbits(little.reshape(-1), bitorder="little").reshape(*words.shape[:2], -1)
        found, n = cc3d.connected_components(voxels.T, connectivity=connectivity, return_N=True, binary_image=True)
        del voxels
        labels = found.T
        own = labels[1:].reshape(-1)
        self.before, self.last = _Edge(labels[0]), _Edge(labels[-1])
        may_grow = np.zeros(int(n) + 1, bool)
        for edge in (self.before, self.last):
            may_grow[edge.at(edge.differ)] = True
        rest = words[1:]
        axis, begin = _fewest(rest)
        large = _large(own, begin)
        if large:
            rest = rest & ~np.bitwise_or.reduce([mine for _, mine in large])
            axis, begin = _fewest(rest)
        at = _at(begin)
        end = at if begin is rest else _at(_turned(rest, axis, -1))
        narrow = np.int32 if own.size < 1 << 31 else np.int64
        first = Ends(at.astype(narrow), own[at].astype(np.intp))  # what labels index and count is fast in this type
        last = first if end is at else Ends(end.astype(narrow), first.labels if axis == 0 else own[end])
        sizes = _lengths(axis, first, last, shape, int(n) + 1)
        for label, mine in large:
            sizes[label] += np.bitwise_count(mine).sum(dtype=np.int64)
        kept = may_grow | (sizes >= min_voxels)
        kept[0] = False
        compact = np.cumsum(kept, dtype=np.int32)
        compact[~kept] = 0
        self.sizes: Ints = sizes[kept]
        self.closed: Bools = ~may_grow[kept]
        spans = None if axis or last is first else (last.at - first.at).astype(np.uint8)  # less than a word
        first, spans = _named(first, compact, spans)
        ended = _packed(_named(last, compact)[0], len(self.sizes)) if axis else None
        self.places = np.full(len(self.sizes), np.iinfo(np.int64).max >> 1)
        place = _place(first.at, shape).astype(np.int64)
        np.minimum.at(self.places, first.labels - np.intp(1), place)  # `at` is fast only where no type is changed
        for label, mine in large:
            if kept[label]:
                self.places[compact[label] - 1] = min(self.places[compact[label] - 1], _first_place(mine, shape))
        self.runs = _Runs(
            (shape[0], shape[1], len(rest)),
            axis,
            _packed(first, len(self.sizes)),
            ended,
            spans,
            [(int(compact[label]), *_sparse(mine)) for label, mine in large if kept[label]],
        )
        self.before.numbers = self.last.numbers = compact


class _Edge:
    """The labels of a slice that two slabs share.

    Attributes
    ----------
    differ
        Which voxels have another label than the one before them along y.
    numbers
        The component of every label, from 1; 0 for none.
    """

    def __init__(self, labels: NDArray[np.unsignedinteger]) -> None:
        self._labels = labels.copy()  # not the whole slab's
        self.differ: Bools = np.ones(labels.shape, bool)
        np.not_equal(labels[1:], labels[:-1], out=self.differ[1:])
        self.numbers = np.empty(0, np.int32)

    def at(self, chosen: Bools) -> NDArray[np.unsignedinteger]:
        """Return the labels of the chosen voxels that have one."""
        return self._labels.reshape(-1)[np.flatnonzero(chosen & (self._labels > 0))]


@dataclass(frozen=True)
class _Runs:
    """The components of a slab, as little as is needed to find them again.

    Attributes
    ----------
    shape
        Voxels (H, W, slices).
    axis
        Which way the runs go.
    first, last
        Of the runs that are in no large component, packed; the last of those along x is not kept, but
    spans
        how far each of those reaches, unless all are single voxels. They are cut at words, and in order.
    large
        Large components, each with its words and their bits.
    """

    shape: Shape
    axis: Axis
    first: Ends
    last: Ends | None
    spans: NDArray[np.uint8] | None
    large: list[tuple[int, NDArray[np.int32], Words]]

    def contents(self, names: NDArray[np.int32]) -> list[Entries | Streaks]:
        """Return the components by their names, but for those named 0."""
        found: list[Entries | Streaks] = []
        for one, at, bits in self.large:
            if names[one]:
                found.append(Entries(Bits(self.shape, at, np.broadcast_to(names[one], len(at)), bits)))
        first, spans = _named(_unpacked(self.first), names, self.spans)
        if not len(first.at):
            return found
        if self.axis and self.last:
            last, _ = _named(_unpacked(self.last), names)
            found.append(Streaks(self.shape, self.axis, first, last))
        else:
            x = (first.at & (WORD - 1)).astype(np.uint64)
            bits = _ONE << x if spans is None else (~np.uint64(0) >> (_TOP - spans)) << x
            words, labels = (first.at >> 6).astype(np.int32), first.labels.astype(np.int32)
            found.append(Entries(in_order(self.shape, words, labels, bits)))
        return found


def _named(
    ends: Ends, names: NDArray[np.int32], spans: NDArray[np.uint8] | None = None
) -> tuple[Ends, NDArray[np.uint8] | None]:
    """Name the runs, without those that are named 0."""
    named = names[ends.labels]
    chosen = np.flatnonzero(named > 0)
    return Ends(ends.at[chosen], named[chosen]), None if spans is None else spans[chosen]


def _packed(ends: Ends, n: int) -> Ends:
    """Return ends of `n` labels in few bytes: how far each is from the one before."""
    gaps = np.diff(ends.at, prepend=0)
    narrow, few = (np.uint16 if most < 1 << 16 else np.uint32 for most in (int(gaps.max(initial=0)), n))
    return Ends(gaps.astype(narrow), ends.labels.astype(few))


def _unpacked(ends: Ends) -> Ends:
    """Return what was packed."""
    return Ends(np.cumsum(ends.at, dtype=np.int32), ends.labels)


def _large(labels: NDArray[np.unsignedinteger], begin: Words) -> list[tuple[int, Words]]:
    """Return the labels that are likely to have many of the runs that begin there, each with its voxels."""
    runs = int(np.bitwise_count(begin).sum(dtype=np.int64))
    if runs < _LARGE:
        return []
    sample = labels[::_SAMPLED]
    seen = np.bincount(sample[sample > 0], minlength=1)
    found = np.flatnonzero(seen * runs > max(_LARGE * seen.sum(), WORD * runs)).tolist()
    packed = [np.packbits(labels == one, bitorder="little").view("<u8") for one in found]
    return [
        (one, mine.astype(np.uint64, copy=False).reshape(begin.shape)) for one, mine in zip(found, packed, strict=True)
    ]


def _fewest(words: Words) -> tuple[Axis, Words]:
    """Return along which axis there are the fewest runs, and the first voxel of each.

    Where those along x have little more than one voxel, every voxel is one: its end need not be looked for.
    """
    starts = [_turned(words, axis, 1) for axis in AXES]
    counts = [int(np.bitwise_count(one).sum(dtype=np.int64)) for one in starts]
    axis = AXES[int(np.argmin(counts))]
    if _FEWER * counts[axis] > counts[0]:
        axis = 0
    if axis == 0 and _SHORT * counts[0] > int(np.bitwise_count(words).sum(dtype=np.int64)):
        return 0, words
    return axis, starts[axis]


def _turned(words: Words, axis: Axis, step: Literal[1, -1]) -> Words:
    """Return the first voxel of every run, or with step -1 the last; runs along x are cut at words."""
    if axis == 0:
        return words & ~(words << _ONE if step > 0 else words >> _ONE)
    found = words.copy()
    within, beside = (slice(1, None), slice(None, -1))[::step]
    if axis == 1:
        found[:, within] &= ~words[:, beside]
    else:
        found[within] &= ~words[beside]
    return found


def _at(words: Words) -> Ints:
    """Return the places of all voxels, in order."""
    flat = words.reshape(-1)
    used = np.flatnonzero(flat)
    if 2 * len(used) > len(flat):
        return set_bits(flat)
    entry, bit = positions(flat[used])
    return (used << 6)[entry] + bit


def _lengths(axis: Axis, first: Ends, last: Ends, shape: Shape, n: int) -> Ints:
    """Return the voxels of each of `n` labels: over its runs, where one ends less where it begins."""
    if last is first:
        return np.bincount(first.labels, minlength=n)
    if axis == 0:
        return np.bincount(first.labels, last.at - first.at + 1, n).astype(np.int64)
    row = -(-shape[0] // WORD) * WORD
    begin, end = first.at // row, last.at // row
    begin, end = (begin % shape[1], end % shape[1]) if axis == 1 else (begin // shape[1], end // shape[1])
    more, less = np.bincount(last.labels, end + 1, n), np.bincount(first.labels, begin, n)
    return (more - less).astype(np.int64)


def _place(at: NDArray[np.integer], shape: Shape) -> NDArray[np.integer]:
    """Return where voxels of a slab are in C order of (H, W, D) if the slab begins at 0."""
    width = -(-shape[0] // WORD) * WORD
    row = at // width
    z = row // shape[1]
    place: NDArray[np.integer] = ((at - row * width) * shape[1] + row - z * shape[1]) * shape[2] + z
    return place


def _first_place(words: Words, shape: Shape) -> int:
    """Return where the first voxel in C order of (H, W, D) is there if the slab begins at 0."""
    rows = np.bitwise_or.reduce(words, axis=(0, 1))
    column = int(np.flatnonzero(rows)[0])
    bit = rows[column] & (~rows[column] + _ONE)
    z, y = np.nonzero(words[:, :, column] & bit)
    return ((column * WORD + int(np.bitwise_count(bit - _ONE))) * shape[1] * shape[2]) + int((y * shape[2] + z).min())


def _sparse(words: Words) -> tuple[NDArray[np.int32], Words]:
    """Return the words that hold anything, and their bits."""
    at = np.flatnonzero(words)
    return at.astype(np.int32), words.reshape(-1)[at]


def _is_identity(met: tuple[Ints, Ints], n: int, m: int) -> bool:
    """Return whether every component of a slab goes on as the one of the same number in the next."""
    return n == m == len(met[0]) and np.array_equal(*met) and len(met[0]) == len(np.unique(met[0]))


def _met(one: _Edge, other: _Edge) -> tuple[Ints, Ints]:
    """Return the pairs of components, from 0, of the same voxels."""
    differ = one.differ | other.differ
    n = len(other.numbers)
    pairs = one.at(differ) * np.int64(n) + other.at(differ)
    if (span := n * len(one.numbers)) < _TABLE:
        table = np.zeros(span, bool)
        table[pairs] = True
        pairs = np.flatnonzero(table)
    else:
        pairs = np.unique(pairs)
    first, second = np.divmod(pairs, n)
    return one.numbers[first] - np.int64(1), other.numbers[second] - np.int64(1)
