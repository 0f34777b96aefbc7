"""The component that holds most of a dense mask, flooded slice by slice and 64 voxels at a time.

Noise and random blocks are one component but for a small rest. The largest component of some slices is a part of it,
and from there it is spread to the neighbouring voxels of the mask, to and fro along z. What is reached is connected;
what is not reached may be, so that the rest is labelled and joined to it where it touches.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.masks.bits import WORD, Bits, Shape
from harness.scoring.components import Connectivity, Core

Words = NDArray[np.uint64]

#: Slices labelled to begin with.
SLICES = 12

#: The share of those slices that their largest component has at least, where the rest is likely to be small.
_SHARE = 0.25

#: Of the voxels that this share promises, so many are reached by the first pass to and fro where it is worth going on.
_REACHED = 0.5

#: Every so many voxels of a slab are looked at for its largest component.
_SAMPLED = 97

#: A pass costs as much as labelling this share of a dense mask.
_SMALL = 1e-3

#: Passes go on while each leaves less than this share of what the one before has left.
_WORTH = 0.85

#: How often each slice spreads within itself in one pass.
_STEPS = 2

_ONE = np.uint64(1)
_TOP = np.uint64(WORD - 1)


@dataclass(frozen=True)
class Flooded:
    """A mask in two parts.

    Attributes
    ----------
    core
        Voxels of one component, perhaps not all of it.
    rest
        The others.
    beside
        (n,) uint64: the voxels of each entry of `rest` that touch the core.
    """

    core: Bits
    rest: Bits
    beside: Words

    def described(self) -> Core:
        """Return what labelling the rest needs to know of the core."""
        return Core(self.core.count, _first_voxel(self.core), self.beside)


def flooded(words: Words, shape: Shape, connectivity: Connectivity) -> Flooded | None:
    """Flood the largest component of a mask; None where no component is likely to hold most of it.

    Parameters
    ----------
    words
        (D, W, words of a row) the mask.
    shape
        Voxels (H, W, D).
    connectivity
        Neighbours of a voxel: 6, 18 or 26.
    """
    d, _, columns = words.shape
    first = _densest(words)
    seed = _largest(words[first : first + SLICES], connectivity)
    if seed is None:
        return None
    solid = _padded(words)
    wet = np.zeros_like(solid)
    wet[first : first + len(seed)] = _padded(seed)
    spread = _Spread(columns + 1, solid.shape[1], connectivity)
    up, down = range(d), range(d - 1, -1, -1)
    spread.along(up[first:], solid, wet)
    spread.along(down, solid, wet)
    left = total = _count(solid)
    here = slice(first, first + len(seed))
    if _count(wet) * _count(solid[here]) < _REACHED * total * _count(seed):  # it winds too much to be followed so
        return None
    for order in (up, down, up, down):
        still = total - _count(wet)
        if still < _SMALL * total or still > _WORTH * left:
            break
        left = still
        spread.along(order, solid, wet)
    solid &= ~wet
    touched = spread.touched(solid, wet)
    at, bits = _compact(solid, columns)
    rest = Bits(shape, at, _ones(len(at)), bits)
    beside = touched.reshape(-1, columns + 1)[:, :-1].reshape(-1)[at]
    del solid, touched
    at, bits = _compact(wet, columns)
    return Flooded(Bits(shape, at, _ones(len(at)), bits), rest, beside)


class _Spread:
    """Spread voxels to their neighbours, slice by slice.

    Parameters
    ----------
    row, size
        Words of a row and of a slice; the last word of every row is empty.
    connectivity
        Neighbours of a voxel.
    """

    def __init__(self, row: int, size: int, connectivity: Connectivity) -> None:
        self._row = row
        self._connectivity = connectivity
        self._reach, self._beside, self._moved = (np.empty(size, np.uint64) for _ in range(3))

    def along(self, order: Iterable[int], solid: Words, wet: Words) -> None:
        """Flood each slice of `solid` from the slice before it in this order, then from its own voxels."""
        before: Words | None = None
        for z in order:
            mine, here = solid[z], wet[z]
            if before is not None:
                here |= self._across(before) & mine
            for _ in range(_STEPS):
                np.bitwise_and(self._within(here), mine, out=here)
            before = here

    def touched(self, dry: Words, wet: Words) -> Words:
        """Return the voxels of `dry` that have a neighbour in `wet`."""
        found = np.zeros_like(dry)
        for z in range(len(dry)):
            for other in range(max(z - 1, 0), min(z + 2, len(dry))):
                found[z] |= self._within(wet[z]) if other == z else self._across(wet[other])
        found &= dry
        return found

    def _within(self, voxels: Words) -> Words:
        """Return the voxels of a slice and their neighbours in it."""
        return self._plus(voxels) if self._connectivity == 6 else self._square(voxels)

    def _across(self, voxels: Words) -> Words:
        """Return the neighbours of a slice's voxels in the next slice."""
        if self._connectivity == 6:
            return voxels
        return self._plus(voxels) if self._connectivity == 18 else self._square(voxels)

    def _plus(self, voxels: Words) -> Words:
        return self._rows(self._widened(voxels), voxels)

    def _square(self, voxels: Words) -> Words:
        wide = self._widened(voxels)
        self._beside[:] = wide
        return self._rows(wide, self._beside)

    def _rows(self, found: Words, voxels: Words) -> Words:
        """Add voxels to the rows beside theirs."""
        found[self._row :] |= voxels[: -self._row]
        found[: -self._row] |= voxels[self._row :]
        return found

    def _widened(self, voxels: Words) -> Words:
        """Return voxels and those beside them along x."""
        reach, moved = self._reach, self._moved
        np.left_shift(voxels, _ONE, out=reach)
        np.right_shift(voxels, _ONE, out=moved)
        reach |= moved
        reach |= voxels
        np.right_shift(voxels[:-1], _TOP, out=moved[1:])
        reach[1:] |= moved[1:]
        np.left_shift(voxels[1:], _TOP, out=moved[1:])
        reach[:-1] |= moved[1:]
        return reach


def _count(words: Words) -> int:
    """Return the number of voxels."""
    return int(np.bitwise_count(words).sum(dtype=np.int64))


def _padded(words: Words) -> Words:
    """Return slices (z, words) with an empty word behind every row, so that nothing is carried to the next row."""
    d, w, columns = words.shape
    found = np.zeros((d, w, columns + 1), np.uint64)
    found[:, :, :-1] = words
    return found.reshape(d, -1)


def _densest(words: Words) -> int:
    """Return the first of the neighbouring slices that hold the most voxels."""
    held = np.append(0, np.cumsum(np.bitwise_count(words).sum(axis=(1, 2), dtype=np.int64)))
    n = min(SLICES, len(words))
    return int(np.argmax(held[n:] - held[:-n]))


def _largest(words: Words, connectivity: Connectivity) -> Words | None:
    """Return the component of some slices (z, y, words of x) that is likely to be the largest, if it has much."""
    import cc3d  # imported when first needed, which is seldom

    if len(words) == 1:  # of one row alone the library may fail
        return None
    little = np.ascontiguousarray(words).astype("<u8", copy=False)
    voxels = np.unpackbits(little.view(np.uint8).reshape(-1), bitorder="little").reshape(*words.shape[:2], -1)
    labels = cc3d.connected_components(voxels.T, connectivity=connectivity, binary_image=True).T.reshape(-1)
    sample = labels[::_SAMPLED]
    seen = np.bincount(sample[sample > 0], minlength=1)
    if seen.max() < _SHARE * seen.sum() or not seen.any():
        return None
    packed = np.packbits(labels == int(seen.argmax()), bitorder="little").view("<u8")
    return packed.astype(np.uint64, copy=False).reshape(words.shape)


def _compact(padded: Words, columns: int) -> tuple[NDArray[np.int32], Words]:
    """Return the numbers, and the bits, of the words that hold anything."""
    flat = padded.reshape(-1, columns + 1)[:, :-1].reshape(-1)
    at = np.flatnonzero(flat)
    return at.astype(np.int32), flat[at]


def _ones(n: int) -> NDArray[np.int32]:
    return np.broadcast_to(np.int32(1), n)


def _first_voxel(mask: Bits) -> int:
    """Return where the first voxel of a mask is in C order of (H, W, D)."""
    _, w, d = mask.shape
    row, column = np.divmod(mask.words, np.int32(mask.row_words))
    mine = np.flatnonzero(column == column.min())
    lowest = np.bitwise_count((mask.bits[mine] & (~mask.bits[mine] + _ONE)) - _ONE)
    mine = mine[lowest == lowest.min()]
    z, y = np.divmod(row[mine].astype(np.int64), w)
    return (int(column[mine[0]]) * WORD + int(lowest.min())) * w * d + int((y * d + z).min())
