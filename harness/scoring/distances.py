"""Average symmetric surface distance, exact: an expanding search on bits, then a k-d tree for what lies far.

Most surface voxels of two instances that match lie within a voxel or two of each other. Offsets are tried in the order
of their length, so that the first hit is the nearest; the few voxels that remain are looked up in a tree. A distance
transform would compute a distance for every voxel of the volume instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
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

#: Offsets tried in place of trees for few points, one for so many voxels of a target too large for one tree.
MORE_OFFSETS, _FEW = 8_000, 20

#: Of these, so many at a time.
_TRIED = 32

#: A voxel may be so many times longer than it is wide for more offsets: else they reach too far along one axis.
_UNEVEN = 10

#: Words struck at a time, to stay in the processor's cache.
_STRUCK = 1 << 14

#: Points looked up at a time, to stay in the processor's cache and to bound the memory.
_POINTS = 1 << 15

#: Points of a tree, and points looked up in it at a time: larger surfaces are searched part by part.
_TREE_POINTS = 1 << 18

#: Whole words are searched while they hold more voxels than this on average.
_CROWDED = 0.5

#: Rounding must not turn a lower bound into more than what it bounds.
_HAIR = 1 - 1e-9

#: Nor may it make nothing of the last search that a bound allows.
_SLACK = 1e-9


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
    few, many = sorted((one, other), key=lambda surface: surface.count)  # what costs less may show that it is too far
    sides = ((few, many), (many, few))
    sizes = [few.count, many.count]
    step = np.array(spacing)
    least = [_least(a, b, step) for a, b in sides]
    if _pool(least, sizes, pooling) > limit:
        return math.inf
    shares = [sum(sizes)] * 2 if pooling == "pooled" else [2 * size for size in sizes]
    searches = []
    for i, (a, b) in enumerate(sides):
        most = (limit - least[1 - i] / shares[1 - i]) * shares[i]
        searches.append(_search(a, b, spacing, most))
        least[i] = max(least[i], searches[i].least)
        if _pool(least, sizes, pooling) <= limit < math.inf and _is_large(b, step):
            least[i] = max(least[i], _least_further(searches[i], b, spacing, most))
        if _pool(least, sizes, pooling) > limit:
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


def _is_large(target: Surface, step: Floats) -> bool:
    """Return whether more offsets are to be tried before a target's trees."""
    return target.count > _TREE_POINTS and bool(step.max() <= _UNEVEN * step.min())


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
    def least(self) -> float:
        """A lower bound of the sum with the others."""
        far = len(self.points) + int(np.bitwise_count(self.grid).sum(dtype=np.int64))
        return self.total + self.beyond * far * _HAIR

    def far(self) -> Iterator[Ints]:
        """Yield the others, some at a time."""
        for first in range(0, len(self.points), _TREE_POINTS):
            yield self.points[first : first + _TREE_POINTS]
        yield from grid_points(self.grid, self.origin, _TREE_POINTS)


def _nearest(points: Ints, target: Surface, step: Floats) -> Floats:
    """Return the distance of each point to the nearest voxel of the target."""
    from scipy.spatial import cKDTree  # imported when first needed, which is seldom

    nearest = np.full(len(points), np.inf)
    if _is_large(target, step) and _FEW * len(points) <= target.count:
        nearest = _nearest_around(points, target, step)
        if np.isfinite(nearest).all():
            return nearest
    for part in target.points(_TREE_POINTS):
        tree = cKDTree(part * step, balanced_tree=False, compact_nodes=False)
        nearest = np.minimum(nearest, tree.query(points * step)[0])
    return nearest


def _nearest_around(points: Ints, target: Surface, step: Floats) -> Floats:
    """Return what the tree returns, to the last bit, for points near the target; infinity for others."""
    shells, reach, _ = _shells((float(step[0]), float(step[1]), float(step[2])), MORE_OFFSETS)
    around = _Around(target, reach)
    offsets = np.concatenate([offsets for _, offsets in shells])
    near = np.flatnonzero(around.near(points))
    squared = np.full(len(points), np.inf)
    for begin in range(0, len(near), _POINTS):
        which = near[begin : begin + _POINTS]
        for first in range(0, len(offsets), _TRIED):
            some = offsets[first : first + _TRIED]
            tried, whose = np.nonzero(around.hits(points[which], some))
            mine = points[which[whose]]
            away = (mine + some[tried]) * step - mine * step  # rounded as in the tree: either way gives the same bits
            np.minimum.at(squared, which[whose], away[:, 0] ** 2 + away[:, 1] ** 2 + away[:, 2] ** 2)
            beyond = math.sqrt(((some[-1] * step) ** 2).sum()) * _HAIR  # no offset that follows is shorter
            which = which[np.sqrt(squared[which]) >= beyond]
            if not len(which):
                break
        squared[which] = np.inf
    nearest: Floats = np.sqrt(squared)
    return nearest


class _Around:
    """A target's bits, padded so that an offset from a near point never leaves them.

    Parameters
    ----------
    target
        The surface.
    reach
        (3,) the largest offset along x, y, z.
    """

    def __init__(self, target: Surface, reach: Ints) -> None:
        self._low, self._high = target.box - np.array([reach, -reach])
        pad = reach * 2 + np.array([(8 - reach[0] * 2) % 8, 0, 0])  # a whole number of bytes along x
        flags = target.grid.astype("<u8", copy=False).view(np.uint8)
        grid = np.pad(flags, [(pad[2], pad[2]), (pad[1], pad[1]), (pad[0] // 8, pad[0] // 8)])
        self._strides = np.array([1, grid.shape[2] * 8, grid.shape[2] * 8 * grid.shape[1]])
        self._bits = grid.reshape(-1)
        self._origin = target.origin - pad

    def near(self, points: Ints) -> NDArray[np.bool_]:
        """Return which of the points, (n, 3), an offset may lead to the target."""
        near: NDArray[np.bool_] = ((points >= self._low) & (points <= self._high)).all(axis=1)
        return near

    def hits(self, points: Ints, offsets: Ints) -> NDArray[np.uint8]:
        """Return (offsets, points) whether an offset leads from a near point to a voxel of the target."""
        at = (points - self._origin) @ self._strides + (offsets @ self._strides)[:, np.newaxis]
        bit: NDArray[np.uint8] = self._bits[at >> 3] >> (at & 7).astype(np.uint8) & 1
        return bit


def _search(source: Surface, target: Surface, spacing: Spacing, most: float) -> _Found:
    """Try offsets, shortest first, until every point has met the target or the offsets are used up.

    Where the sum is sure to be more than `most`, the rest is not tried.
    """
    shells, reach, beyond = _shells(spacing, MAX_OFFSETS)
    left = source.grid
    total = 0.0
    tried = 0
    n = source.count
    if n > _CROWDED * left.size:
        laid = _Laid(left, source.origin, target, reach)
        while n > _CROWDED * left.size and tried < len(shells):
            distance, offsets = shells[tried]
            if total + distance * n * _HAIR > most * (1 + _SLACK):
                beyond = distance
                break
            still = laid.strike(offsets)
            total += distance * (n - still)
            n = still
            tried += 1
        left = laid.left
        if n > _CROWDED * left.size:
            return _Found(total, np.empty((0, 3), np.int64), left, source.origin, beyond)
    around = _Around(target, reach)
    unmet = [np.empty((0, 3), np.int64)]
    for points in grid_points(left, source.origin, _POINTS):
        near = around.near(points)
        unmet.append(points[~near])
        waiting = points[near]
        for distance, offsets in shells[tried:]:
            if not len(waiting):
                break
            hit = around.hits(waiting, offsets).any(axis=0)
            if hit.any():
                total += distance * int(np.count_nonzero(hit))
                waiting = waiting[~hit]
        unmet.append(waiting)
    return _Found(total, np.concatenate(unmet), np.empty((0, 0, 0), np.uint64), source.origin, beyond)


def _least_further(found: _Found, target: Surface, spacing: Spacing, most: float) -> float:
    """Return a lower bound of the sum, from more offsets, as soon as it is more than `most`."""
    total, n, least = found.total, int(np.bitwise_count(found.grid).sum(dtype=np.int64)), found.least
    if not n:  # few points
        return least
    shells, reach, _ = _shells(spacing, MORE_OFFSETS)
    laid = _Laid(found.grid, found.origin, target, reach)
    for distance, offsets in shells:
        if distance < found.beyond:
            continue
        least = (total + distance * n) * _HAIR
        if not n or least > most * (1 + _SLACK):
            break
        still = laid.strike(offsets)
        total += distance * (n - still)
        n = still
    return least


class _Laid:
    """The source and the target, laid on one grid: rows behind one another, with what an offset can reach around them.

    Every row and every slice is followed by empty words, so that what leaves one does not get into the next.

    Parameters
    ----------
    source, origin
        Bits of the source, and the voxel (x, y, z) of the first.
    target
        The surface.
    reach
        (3,) the largest offset along x, y, z.
    """

    def __init__(self, source: NDArray[np.uint64], origin: Ints, target: Surface, reach: Ints) -> None:
        step, reach = np.array([WORD, 1, 1]), np.array([reach[0] // WORD + 1, reach[1], reach[2] + 1])
        first, theirs = origin // step, target.origin // step
        extent, other = (np.array(grid.shape[::-1]) for grid in (source, target.grid))
        low = np.maximum(np.minimum(first, theirs), first - reach)
        high = np.minimum(np.maximum(first + extent, theirs + other), first + extent + reach)
        shape = (high - low + reach)[::-1] + np.array([reach[2], 0, 0])  # as many empty slices before as behind
        low[2] -= reach[2]
        self._row = int(shape[2])
        self._slice = int(shape[1]) * self._row
        self._margin = int(reach[2]) * self._slice
        inside, outside = np.maximum(low, theirs), np.minimum(high, theirs + other)
        self._target, self._left = (np.zeros(shape, np.uint64) for _ in range(2))
        if (inside < outside).all():
            self._target[_window(inside - low, outside - low)] = target.grid[_window(inside - theirs, outside - theirs)]
        self._mine = _window(first - low, first + extent - low)
        self._left[self._mine] = source
        self._met, self._wide, self._moved = (np.empty(_STRUCK + 2 * self._slice, np.uint64) for _ in range(3))

    @property
    def left(self) -> NDArray[np.uint64]:
        """The source's grid with the voxels that have met no other."""
        return self._left[self._mine]

    def strike(self, offsets: Ints) -> int:
        """Clear the source's voxels that meet one of the target at any of these offsets; return how many are left.

        Parameters
        ----------
        offsets
            (n, 3) along x, y, z; with each also the one that is reversed along x.
        """
        left = self._left.reshape(-1)
        rows: dict[tuple[int, int], list[int]] = {}
        for x, y, z in offsets.tolist():
            if x >= 0:
                rows.setdefault((x, z), []).append(y * self._row)
        still = 0
        for begin in range(self._margin, len(left) - self._margin, _STRUCK):
            here = left[begin : min(begin + _STRUCK, len(left) - self._margin)]
            met = self._met[: len(here)]
            met[:] = 0
            for (x, z), moves in rows.items():
                low, high = min(moves), max(moves)
                first = begin + z * self._slice
                wide = self._beside(slice(first + low, first + high + len(here)), x)
                for move in moves:
                    met |= wide[move - low : move - low + len(here)]
            here &= np.invert(met, out=met)
            still += int(np.bitwise_count(here).sum(dtype=np.int64))
        return still

    def _beside(self, words: slice, x: int) -> NDArray[np.uint64]:
        """Return the target's voxels `x` to either side of some words; where x is 0, those in them."""
        target = self._target.reshape(-1)
        if not x:
            return target[words]
        n = words.stop - words.start
        wide, moved = self._wide[:n], self._moved[:n]
        whole, bits = divmod(x, WORD)
        for side, near, far in ((-1, np.left_shift, np.right_shift), (1, np.right_shift, np.left_shift)):
            first = words.start + side * whole
            near(target[first : first + n], np.uint64(bits), out=wide if side < 0 else moved)
            if side > 0:
                wide |= moved
            if bits:
                far(target[first + side : first + side + n], np.uint64(WORD - bits), out=moved)
                wide |= moved
        return wide


def _window(low: Ints, high: Ints) -> tuple[slice, ...]:
    """Return the slices of a grid (z, y, x) between two places (x, y, z)."""
    return tuple(slice(a, b) for a, b in zip(low[::-1].tolist(), high[::-1].tolist(), strict=True))


@lru_cache(maxsize=64)
def _shells(spacing: Spacing, most: int) -> tuple[list[tuple[float, Ints]], Ints, float]:
    """Return about `most` offsets grouped by length, the largest along each axis, and the length of the next one."""
    step = np.array(spacing)
    radius = (most * math.prod(spacing) * 3 / (4 * math.pi)) ** (1 / 3) + float(step.max())
    extent = np.ceil(radius / step).astype(int)
    axes = [np.arange(-n, n + 1) for n in extent]
    offsets = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    length = np.sqrt(((offsets * step) ** 2).sum(axis=1))
    order = np.argsort(length, kind="stable")
    offsets, length = offsets[order], length[order]
    bounds = np.flatnonzero(np.diff(length, prepend=-1.0))
    bounds = bounds[: np.searchsorted(bounds, most) + 1]
    shells = [(float(length[a]), offsets[a:b].astype(np.int64)) for a, b in pairwise(bounds)]
    reach = np.abs(offsets[: bounds[-1]]).max(axis=0).astype(np.int64)
    return shells, reach, float(length[bounds[-1]])
