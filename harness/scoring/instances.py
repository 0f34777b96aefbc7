"""Instances: which labelled entities were found, by overlap and by distance."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness.masks.bits import Bits
from harness.rows import InstanceCounts, InstanceRow, Matches
from harness.scoring.components import components
from harness.scoring.distances import Spacing, average_surface_distance
from harness.scoring.profiles import InstanceRule
from harness.scoring.regions import Regions, Slab
from harness.scoring.slabs import is_dense, slabs

Ints = NDArray[np.int64]

#: Entries of a mask looked up in the other at a time, to bound the memory.
_ENTRIES = 1 << 16

#: Voxels of a box from which on a surface is made only where the distance is not sure to be too large without it.
_LARGE_BOX = 1 << 20

#: Rounding must not make a bound of what it bounds.
_HAIR = 1e-9

#: A candidate pair: what it is sorted by, lowest first, then entity and component.
Pair = tuple[float, float, int, int]


def count_instances(
    entities: Regions, prediction: Bits, rule: InstanceRule, *, spacing: Spacing | None, focal: bool | None
) -> tuple[InstanceCounts, tuple[InstanceRow, ...]]:
    """Match the components of a prediction with the entities of the ground truth.

    Parameters
    ----------
    entities
        Those of the ground truth; a label in several pieces is one entity. What is computed of them is kept with them.
    prediction
        Foreground.
    rule
        Connectivity, filters and thresholds.
    spacing
        mm along x, y, z.
    focal
        Distances are those of centroids (focal) or of surfaces (non-focal).

    Returns
    -------
    InstanceCounts, tuple of InstanceRow
        The counts, and one row an instance, entities first, which sum to them.
    """
    parts = _parts(prediction, rule)
    shared = shared_voxels(entities, parts)
    pairs = match(_overlap_pairs(entities, parts, shared, rule.match_dice))
    near = None
    if spacing is not None and focal is not None:
        near = _by_distance(entities, parts, pairs, rule, spacing, focal=focal)
    counts = InstanceCounts(
        kept_voxels=int(parts.sizes.sum()),
        kept_intersection=int(shared.sum()),
        overlap=_counted(len(pairs), entities, parts),
        matched_dice=math.fsum(-key for key, *_ in pairs),
        distance=None if near is None else _counted(len(near), entities, parts),
    )
    return counts, _rows(entities, parts, pairs, near, spacing)


def missed_rows(entities: Regions, spacing: Spacing | None) -> tuple[InstanceRow, ...]:
    """Return the rows of a finding without a valid mask: every entity was missed."""
    return _rows(entities, None, [], None, spacing)


def _rows(
    entities: Regions, parts: Regions | None, pairs: list[Pair], near: list[Pair] | None, spacing: Spacing | None
) -> tuple[InstanceRow, ...]:
    """List the entities, then the components."""
    voxel = None if spacing is None else math.prod(spacing)
    sides: list[tuple[Literal["truth", "prediction"], Regions, Regions | None, str, str]] = [
        ("truth", entities, parts, "found", "missed")
    ]
    if parts is not None:
        sides.append(("prediction", parts, entities, "true", "false"))
    rows = []
    for place, (side, mine, others, hit, miss) in enumerate(sides):
        by_overlap = {pair[2 + place]: pair for pair in pairs}
        by_distance = None if near is None else {pair[2 + place]: pair for pair in near}
        for i, (label, size) in enumerate(zip(mine.labels.tolist(), mine.sizes.tolist(), strict=True)):
            pair, close = by_overlap.get(i), None if by_distance is None else by_distance.get(i)
            rows.append(
                InstanceRow(
                    side=side,
                    label=label,
                    voxels=size,
                    mm3=None if voxel is None else size * voxel,
                    status=miss if pair is None else hit,
                    matched=_label(others, pair, 3 - place),
                    dice=None if pair is None else -pair[0],
                    distance_status=None if by_distance is None else miss if close is None else hit,
                    distance_matched=_label(others, close, 3 - place),
                    distance_mm=None if close is None else close[0],
                )
            )
    return tuple(rows)


def _label(regions: Regions | None, pair: Pair | None, place: int) -> int | None:
    """Return the label of one side of a pair; None where there is no pair."""
    return None if regions is None or pair is None else int(regions.labels[int(pair[place])])


def match(pairs: Iterable[Pair]) -> list[Pair]:
    """Choose pairs greedily, best first and one to one; ties go to the lower entity, then to the lower component."""
    taken: list[Pair] = []
    entities: set[int] = set()
    parts: set[int] = set()
    for pair in sorted(pairs):
        *_, entity, part = pair
        if entity not in entities and part not in parts:
            taken.append(pair)
            entities.add(entity)
            parts.add(part)
    return taken


def _counted(tp: int, entities: Regions, parts: Regions) -> Matches:
    return Matches(tp=tp, fp=len(parts) - tp, fn=len(entities) - tp)


def _parts(prediction: Bits, rule: InstanceRule) -> Regions:
    """Return the components of a prediction that a rule keeps."""
    limits = {"min_voxels": rule.min_voxels, "max_components": rule.max_components}
    if is_dense(prediction):
        return Regions(prediction, slabs(prediction, connectivity=rule.connectivity, **limits))
    return Regions(components(prediction, connectivity=rule.connectivity, **limits))


def shared_voxels(entities: Regions, parts: Regions) -> Ints:
    """Return (entities, components) voxels that are in both."""
    table = np.zeros(len(entities) * len(parts), np.int64)
    slice_words = parts.mask.row_words * parts.mask.shape[1]
    (whole,) = (piece for slab in entities.slabs for piece in slab.content.pieces())
    shared: dict[int, list[tuple[Slab, Bits]]] = {}  # slabs of one content, each with its entries of the entities
    for slab in parts.slabs:
        base = slab.first * slice_words
        ends = np.searchsorted(whole.words, [base, base + slab.content.shape[2] * slice_words])
        mine = whole.within(*ends)
        if len(mine.words):
            shared.setdefault(id(slab.content), []).append((slab, mine))
    for together in shared.values():
        for theirs in together[0][0].content.pieces():
            for slab, mine in together:
                for i, j in _meetings(mine.words - np.int32(slab.first * slice_words), theirs.words):
                    part = slab.number[theirs.labels[j] - 1]
                    count = np.bitwise_count(mine.bits[i] & theirs.bits[j])
                    count[part < 0] = 0
                    cell = (mine.labels[i] - np.intp(1)) * len(parts) + np.maximum(part, 0)
                    table += np.bincount(cell, weights=count, minlength=len(table)).astype(np.int64)
    return table.reshape(len(entities), len(parts))


def _meetings(one: NDArray[np.int32], other: NDArray[np.int32]) -> Iterator[tuple[Ints, Ints]]:
    """Yield the places of equal words in two ascending lists, some at a time."""
    few, many = (one, other) if len(one) < len(other) else (other, one)
    for begin in range(0, len(few), _ENTRIES):
        words = few[begin : begin + _ENTRIES]
        first = np.searchsorted(many, words)
        spans = np.searchsorted(many, words, "right") - first
        j = np.repeat(np.arange(len(spans)), spans)
        i = np.arange(len(j)) - np.repeat(np.cumsum(spans) - spans - first, spans)
        yield (j + begin, i) if few is one else (i, j + begin)


def _overlap_pairs(entities: Regions, parts: Regions, shared: Ints, least: float) -> list[Pair]:
    """Return the pairs that overlap enough, by their Dice and, where it is equal, by their size.

    The organisers' evaluator sorts by ``(2 i + s) / (a + b + s)``: of two pairs of the same Dice, the smaller one has
    the larger smoothed Dice.
    """
    i, j = np.nonzero(shared)
    sizes = entities.sizes[i] + parts.sizes[j]
    values = 2 * shared[i, j] / sizes
    good = values >= least
    columns = (-values[good], sizes[good].astype(np.float64), i[good], j[good])
    return list(zip(*(column.tolist() for column in columns), strict=True))


def _by_distance(
    entities: Regions, parts: Regions, overlapping: list[Pair], rule: InstanceRule, spacing: Spacing, *, focal: bool
) -> list[Pair]:
    limit = rule.distance_spacings * max(spacing)
    if rule.distance_match == "dice":
        candidates = [(i, j) for *_, i, j in overlapping]
    else:
        candidates = _near(entities, parts, spacing, limit)
    step = np.array(spacing)
    pairs: list[Pair] = []
    part, surface = -1, None
    for i, j in sorted(candidates, key=lambda pair: pair[1]):  # so that one surface of a component is held at a time
        if focal:
            value = float(np.sqrt((((entities.centroids[i] - parts.centroids[j]) * step) ** 2).sum()))
        elif _surely_far(entities, parts, (i, j), rule, spacing):
            continue
        else:
            if surface is None or part != j:
                part, surface = j, parts.surface(j, keep=False)
            value = average_surface_distance(entities.surface(i), surface, spacing, pooling=rule.assd, limit=limit)
        if value <= limit:
            pairs.append((value, 0.0, i, j))
    return match(pairs)


def _surely_far(entities: Regions, parts: Regions, pair: tuple[int, int], rule: InstanceRule, spacing: Spacing) -> bool:
    """Return whether the surfaces of an entity and a large component are too far apart on average.

    Wherever it has voxels, at a y or at a z, at least one and at most all of them are on its surface. So even without
    its surface, the distances from there to the entity's box bound the average from below.
    """
    i, j = pair
    limit = rule.distance_spacings * max(spacing)
    low, high = parts.boxes[j]
    if np.prod(high - low + 1) < _LARGE_BOX:
        return False
    own, most = (entities.sizes[i], limit) if rule.assd == "pooled" else (0, 2 * limit)
    for axis, profiles in enumerate(parts.profiles, 1):
        voxels = profiles[j]
        at = np.flatnonzero(voxels)
        first, last = entities.boxes[i][:, axis]
        over = np.maximum(np.maximum(first - at, at - last), 0) * spacing[axis] - most
        if (over * np.where(over > 0, 1, voxels[at])).sum() > most * own * (1 + _HAIR) + _HAIR:
            return True
    return False


def _near(entities: Regions, parts: Regions, spacing: Spacing, limit: float) -> list[tuple[int, int]]:
    """Return the pairs whose boxes are no farther apart than any distance that matters."""
    if not len(entities) or not len(parts):
        return []
    one, other = entities.boxes[:, np.newaxis], parts.boxes[np.newaxis]
    gap = np.maximum(np.maximum(one[:, :, 0] - other[:, :, 1], other[:, :, 0] - one[:, :, 1]), 0)
    distance = np.sqrt(((gap * np.array(spacing)) ** 2).sum(axis=-1))
    i, j = np.nonzero(distance <= limit)
    return list(zip(i.tolist(), j.tolist(), strict=True))
