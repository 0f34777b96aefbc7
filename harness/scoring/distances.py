"""Average symmetric surface distance, exact: an expanding search on bits, then a k-d tree for what lies far.

Most surface voxels of two instances that match lie within a voxel or two of each other. Offsets are tried in the order
of their length, so that the first hit is the nearest; the few voxels that remain are looked up in a tree. A distance
transform would compute a distance for every voxel of the volume instead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness.scoring.regions import Surface

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Spacing = tuple[float, float, float]
Pooling = Literal["pooled", "directed"]

#: Offsets tried before the tree takes over.
MAX_OFFSETS = 250

#: Points searched at a time, to stay in the processor's cache.
_POINTS = 1 << 15

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
    if _pool([found.total + found.beyond * len(found.far) * _HAIR for found in searches], sizes, pooling) > limit:
        return math.inf
    totals = []
    for found, (_, target) in zip(searches, sides, strict=True):
        total = found.total
        if len(found.far):
            total += math.fsum(np.asarray(target.tree(step).query(found.far * step)[0]).tolist())
        totals.append(total)
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
    """Summed distance of the points that found their nearest one, the others, and how far those are at least."""

    total: float
    far: Ints
    beyond: float


def _search(source: Surface, target: Surface, spacing: Spacing) -> _Found:
    """Try offsets, shortest first, until every point has met the target or the offsets are used up."""
    shells, reach, beyond = _shells(spacing)
    low, high = target.box - np.array([reach, -reach])
    near = ((source.points >= low) & (source.points <= high)).all(axis=1)
    far = source.points[~near]
    # Padded so that an offset from a near point never leaves the grid: a whole number of bytes along x.
    pad = reach * 2 + np.array([(8 - reach[0] * 2) % 8, 0, 0])
    flags = target.grid.astype("<u8", copy=False).view(np.uint8)
    grid = np.pad(flags, [(pad[2], pad[2]), (pad[1], pad[1]), (pad[0] // 8, pad[0] // 8)])
    strides = np.array([1, grid.shape[2] * 8, grid.shape[2] * 8 * grid.shape[1]])
    bits = grid.reshape(-1)
    start = (source.points[near] - target.origin + pad) @ strides
    total = 0.0
    unmet = []
    for first in range(0, len(start), _POINTS):
        left = start[first : first + _POINTS]
        for distance, offsets in shells:
            if not len(left):
                break
            at = left + (offsets @ strides)[:, np.newaxis]
            hit = (bits[at >> 3] >> (at & 7) & 1).any(axis=0)
            if hit.any():
                total += distance * int(np.count_nonzero(hit))
                left = left[~hit]
        unmet.append(left)
    z, rest = np.divmod(np.concatenate([np.empty(0, np.int64), *unmet]), strides[2])
    y, x = np.divmod(rest, strides[1])
    points = np.stack([x, y, z], axis=1) - pad + target.origin
    return _Found(total, np.concatenate([far, points]), beyond)


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
