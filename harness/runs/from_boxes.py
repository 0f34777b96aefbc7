"""Masks that follow from the truth's boxes: a model asked by text cannot have made them.

The controls fill the box of an entity, or the ellipsoid in it. How many voxels that makes is known from the truth
alone, so masks made elsewhere are recognised without the masks of a control beside them. Whoever changes such masks a
little is not found.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import product

import numpy as np

from harness.dataset.boxes import SHIFT, Box, entity_boxes
from harness.dataset.cases import Case
from harness.rows import FindingRow
from harness.status import Status

#: Natural logarithms of odds against chance: those that are enough, and those after which no further truth is read. A
#: mask of n voxels has one of k right numbers by chance about k times in n.
_ENOUGH, _AMPLE = 16.0, 60.0


def made_from_boxes(cases: Iterable[Case], found: Mapping[str, Sequence[FindingRow]]) -> str:
    """Return what every mask of a finding with one entity is, in words; empty where they are no such shapes.

    Parameters
    ----------
    cases
        Cases with ground truth. It is read until the first mask that is no such shape, of a few cases otherwise.
    found
        Case -> scored masks.

    Raises
    ------
    DataError
        A ground truth cannot be read.
    """
    open_, odds = {"box": 0, "ellipsoid": 0}, 0.0
    for case in cases:
        voxels = {row.finding: row.pred_voxels for row in found.get(case.id, ()) if row.status == Status.OK}
        if not any(voxels.values()):
            continue
        boxes = entity_boxes(case)
        for finding in case.findings:
            count, of_entities = voxels.get(finding.id) or 0, [*boxes[finding.index].values()]
            if not count or len(of_entities) != 1:
                continue
            sizes = _sizes(of_entities[0], case.shape)
            open_ = {shape: n + 1 for shape, n in open_.items() if any(_voxels(shape, size) == count for size in sizes)}
            odds += max(0.0, math.log(count / len(sizes)))
            if not open_:
                return ""
        if odds >= _AMPLE:
            break
    if odds < _ENOUGH:
        return ""
    shape, compared = max(open_.items(), key=lambda one: one[1])
    filled = {"box": "their box", "ellipsoid": "the ellipsoid in their box"}[shape]
    return f"its masks follow from the truth's boxes: all {compared} that were compared fill {filled}"


def _sizes(box: Box, shape: tuple[int, int, int]) -> set[tuple[int, int, int]]:
    """Return the sizes that a box may have by the rules: widened alike on all sides in plane, or moved as a whole."""

    def length(axis: int, low: int, high: int) -> int:
        begin = min(max(box[axis] + low, 0), shape[axis] - 1)
        return min(max(box[axis + 3] + high, begin + 1), shape[axis]) - begin

    moves = range(-SHIFT, SHIFT + 1)
    widened = {(length(0, -by, by), length(1, -by, by)) for by in range(SHIFT + 1)}
    moved = product({length(0, by, by) for by in moves}, {length(1, by, by) for by in moves})
    return {(x, y, box[5] - box[2]) for x, y in widened.union(moved)}


@functools.lru_cache(maxsize=1024)
def _voxels(shape: str, size: tuple[int, int, int]) -> int:
    """Return how many voxels of a box of this size a control fills."""
    if shape == "box":
        return int(np.prod(size))
    x, y, z = (((np.arange(length) + 0.5) / length * 2 - 1) ** 2 for length in size)
    plane = x[:, None] + y
    return sum(int(np.count_nonzero(plane + depth <= 1)) for depth in z)
