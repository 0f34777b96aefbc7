"""Instances: which labelled entities were found, by overlap and by distance."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness.masks.bits import Bits
from harness.rows import InstanceCounts, InstanceRow, Matches
from harness.scoring.components import components
from harness.scoring.distances import Spacing, average_surface_distance
from harness.scoring.profiles import InstanceRule
from harness.scoring.regions import Regions

Ints = NDArray[np.int64]

#: Entries of a mask looked up in the other at a time, to bound the memory.
_ENTRIES = 1 << 16

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
    found = components(
        prediction,
        connectivity=rule.connectivity,
        min_voxels=rule.min_voxels,
        max_components=rule.max_components,
    )
    parts = Regions(found)
    shared = _shared_voxels(entities, parts)
    pairs = match(_overlap_pairs(entities, parts, shared, rule.match_dice))
    near = None
    if spacing is not None and focal is not None:
        near = _by_distance(entities, parts, pairs, rule, spacing, focal=focal)
    counts = InstanceCounts(
        kept_voxels=found.count,
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


def _shared_voxels(entities: Regions, parts: Regions) -> Ints:
    """Return (entities, components) voxels that are in both."""
    mine, theirs = entities.mask, parts.mask
    table = np.zeros(len(entities) * len(parts), np.int64)
    for begin in range(0, len(theirs.words), _ENTRIES):
        here = slice(begin, begin + _ENTRIES)
        words = theirs.words[here]
        first = np.searchsorted(mine.words, words)
        spans = np.searchsorted(mine.words, words, "right") - first
        j = np.repeat(np.arange(len(spans)), spans)
        i = np.arange(len(j)) - np.repeat(np.cumsum(spans) - spans - first, spans)
        count = np.bitwise_count(mine.bits[i] & theirs.bits[here][j])
        cell = entities.number[i] * len(parts) + parts.number[here][j]
        table += np.bincount(cell, weights=count, minlength=len(table)).astype(np.int64)
    return table.reshape(len(entities), len(parts))


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
    for i, j in candidates:
        if focal:
            value = float(np.sqrt((((entities.centroids[i] - parts.centroids[j]) * step) ** 2).sum()))
        else:
            value = average_surface_distance(
                entities.surface(i), parts.surface(j), spacing, pooling=rule.assd, limit=limit
            )
        if value <= limit:
            pairs.append((value, 0.0, i, j))
    return match(pairs)


def _near(entities: Regions, parts: Regions, spacing: Spacing, limit: float) -> list[tuple[int, int]]:
    """Return the pairs whose boxes are no farther apart than any distance that matters."""
    if not len(entities) or not len(parts):
        return []
    one, other = entities.boxes[:, np.newaxis], parts.boxes[np.newaxis]
    gap = np.maximum(np.maximum(one[:, :, 0] - other[:, :, 1], other[:, :, 0] - one[:, :, 1]), 0)
    distance = np.sqrt(((gap * np.array(spacing)) ** 2).sum(axis=-1))
    i, j = np.nonzero(distance <= limit)
    return list(zip(i.tolist(), j.tolist(), strict=True))
