"""Average symmetric surface distance, exact: an expanding search on bits, then a k-d tree for what lies far.

Most surface voxels of two instances that match lie within a voxel or two of each other. Offsets are tried in the order
of their length, so that the first hit is the nearest; the few voxels that remain are looked up in a tree. A distance
transform would compute a distance for every voxel of the volume instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness.masks.bits import WORD
from harness.scoring.regions import Surface, grid_points

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Spacing = tuple[float, float, float]
Pooling = Literal["pooled", "directed"]

#: Offsets tried before the tree takes over.
MAX_OFFSETS = 250

#: Points looked up at a time, to stay in the processor's cache and to bound the memory.
_POINTS = 1 << 15

#: Points of a tree, and points looked up in it at a time: larger surfaces are searched part by part.
_TREE_POINTS = 1 << 18

#: Whole words are searched while they hold more voxels than this on average.
_CROWDED = 0.5

#: Rounding must not turn a lower bound into more than what it bounds.
_HAIR = 1 - 1e-9


def average_surface_distance(
    one: Surface, other: Surface, spacing: Spacing, *, pooling: Pooling = "pooled", limit: float = math.inf
) -> float:
    """Return the average symmetric surface distance of two instances.

    ``(sum of d(a, B) over a in A + sum of d(b, A) over b in B) / (|A| + |B|)`` with A and B the surface voxels, and d
    the Euclidean distance of voxel centres (Heimann et al. 2009); ``"directed"`` is the mean of the two means instead.

    Parameters
    ----------
    one, other
        The surfaces; neither is empty.
    spacing
        mm along x, y, z.
    pooling
        How the two directions are averaged.
    limit
        mm. Where the distance is sure to be larger, infinity is returned and the rest of the work saved.

    Returns
    -------
    float
        mm.
    """
    sides = ((one, other), (other, one))
    sizes = [one.count, other.count]
    step = np.array(spacing)
    if _pool([_least(a, b, step) for a, b in sides], sizes, pooling) > limit:
        return math.inf
    searches = [_search(a, b, spacing) for a, b in sides]
    if _pool([found.total + found.beyond * found.n_far * _HAIR for found in searches], sizes, pooling) > limit:
        return math.inf
    totals = [
        found.total + math.fsum(float(_nearest(points, target, step).sum()) for points in found.far())
        for found, (_, target) in zip(searches, sides, strict=True)
    ]
    return _pool(totals, sizes, pooling)


def _pool(totals: list[float], sizes: list[int], pooling: Pooling) -> float:
    if pooling == "pooled":
        return sum(totals) / sum(sizes)
    return sum(total / size for total, size in zip(totals, sizes, strict=True)) / len(sizes)


def _least(source: Surface, target: Surface, step: Floats) -> float:
    """Return a lower bound of the summed distances: those along y or along z to the target's box."""
    least = 0.0
    for axis, profile in enumerate(source.profiles, 1):
        index = source.box[0, axis] + np.arange(len(profile))
        gap = np.maximum(np.maximum(target.box[0, axis] - index, index - target.box[1, axis]), 0)
        least = max(least, float((profile * gap).sum() * step[axis]))
    return least * _HAIR


@dataclass(frozen=True)
class _Found:
    """Summed distance of the points that met their nearest one, the others, and how far those are at least.

    The others are points, and the bits of a grid.
    """

    total: float
    points: Ints
    grid: NDArray[np.uint64]
    origin: Ints
    beyond: float

    @property
    def n_far(self) -> int:
        return len(self.points) + int(np.bitwise_count(self.grid).sum(dtype=np.int64))

    def far(self) -> Iterator[Ints]:
        """Yield the others, some at a time."""
        for first in range(0, len(self.points), _TREE_POINTS):
            yield self.points[first : first + _TREE_POINTS]
        yield from grid_points(self.grid, self.origin, _TREE_POINTS)


def _nearest(points: Ints, target: Surface, step: Floats) -> Floats:
    """Return the distance of each point to the nearest voxel of the target."""
    from scipy.spatial import cKDTree  # imported when first needed, which is seldom

    nearest = np.full(len(points), np.inf)
    for part in target.points(_TREE_POINTS):
        tree = cKDTree(part * step, balanced_tree=False, compact_nodes=False)
        nearest = np.minimum(nearest, tree.query(points * step)[0])
    return nearest


def _search(source: Surface, target: Surface, spacing: Spacing) -> _Found:
    """Try offsets, shortest first, until every point has met the target or the offsets are used up."""
    shells, reach, beyond = _shells(spacing)
    left = source.grid.copy()
    aligned = _Aligned(target, source)
    total = 0.0
    tried = 0
    n = source.count
    while n > _CROWDED * left.size and tried < len(shells):
        distance, offsets = shells[tried]
        for offset in offsets.tolist():
            aligned.strike(left, offset)
        still = int(np.bitwise_count(left).sum(dtype=np.int64))
        total += distance * (n - still)
        n = still
        tried += 1
    if tried == len(shells):
        return _Found(total, np.empty((0, 3), np.int64), left, source.origin, beyond)
    low, high = target.box - np.array([reach, -reach])
    # Padded so that an offset from a near point never leaves the grid: a whole number of bytes along x.
    pad = reach * 2 + np.array([(8 - reach[0] * 2) % 8, 0, 0])
    flags = target.grid.astype("<u8", copy=False).view(np.uint8)
    grid = np.pad(flags, [(pad[2], pad[2]), (pad[1], pad[1]), (pad[0] // 8, pad[0] // 8)])
    strides = np.array([1, grid.shape[2] * 8, grid.shape[2] * 8 * grid.shape[1]])
    bits = grid.reshape(-1)
    unmet = [np.empty((0, 3), np.int64)]
    for points in grid_points(left, source.origin, _POINTS):
        near = ((points >= low) & (points <= high)).all(axis=1)
        unmet.append(points[~near])
        waiting = points[near]
        start = (waiting - target.origin + pad) @ strides
        for distance, offsets in shells[tried:]:
            if not len(start):
                break
            at = start + (offsets @ strides)[:, np.newaxis]
            hit = (bits[at >> 3] >> (at & 7) & 1).any(axis=0)
            if hit.any():
                total += distance * int(np.count_nonzero(hit))
                start, waiting = start[~hit], waiting[~hit]
        unmet.append(waiting)
    return _Found(total, np.concatenate(unmet), np.empty((0, 0, 0), np.uint64), source.origin, beyond)


class _Aligned:
    """The target, to be laid over the source's grid at any offset."""

    def __init__(self, target: Surface, source: Surface) -> None:
        self._grid = target.grid
        shift = target.origin - source.origin
        self._shift = (int(shift[0]) // WORD, int(shift[1]), int(shift[2]))

    def strike(self, left: NDArray[np.uint64], offset: Sequence[int]) -> None:
        """Clear the bits of `left` that meet a voxel of the target at this offset (x, y, z) from them."""
        words, bits = divmod(-offset[0], WORD)  # the target moves against the offset
        column, y, z = self._shift[0] + words, self._shift[1] - offset[1], self._shift[2] - offset[2]
        self._clear(left, (z, y, column), np.uint64(bits), up=True)
        if bits:
            self._clear(left, (z, y, column + 1), np.uint64(WORD - bits), up=False)

    def _clear(self, left: NDArray[np.uint64], at: tuple[int, int, int], bits: np.uint64, *, up: bool) -> None:
        mine, theirs = [], []
        for place, extent, size in zip(at, left.shape, self._grid.shape, strict=True):
            first, last = max(place, 0), min(place + size, extent)
            if first >= last:
                return
            mine.append(slice(first, last))
            theirs.append(slice(first - place, last - place))
        moved = self._grid[tuple(theirs)]
        if bits:
            moved = moved << bits if up else moved >> bits
        left[tuple(mine)] &= ~moved


@lru_cache(maxsize=64)
def _shells(spacing: Spacing) -> tuple[list[tuple[float, Ints]], Ints, float]:
    """Return offsets grouped by length, the largest along each axis, and the length of the next one."""
    step = np.array(spacing)
    radius = (MAX_OFFSETS * math.prod(spacing) * 3 / (4 * math.pi)) ** (1 / 3) + float(step.max())
    extent = np.ceil(radius / step).astype(int)
    axes = [np.arange(-n, n + 1) for n in extent]
    offsets = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    length = np.sqrt(((offsets * step) ** 2).sum(axis=1))
    order = np.argsort(length, kind="stable")
    offsets, length = offsets[order], length[order]
    bounds = np.flatnonzero(np.diff(length, prepend=-1.0))
    bounds = bounds[: np.searchsorted(bounds, MAX_OFFSETS) + 1]
    shells = [(float(length[a]), offsets[a:b].astype(np.int64)) for a, b in pairwise(bounds)]
    reach = np.abs(offsets[: bounds[-1]]).max(axis=0).astype(np.int64)
    return shells, reach, float(length[bounds[-1]])
