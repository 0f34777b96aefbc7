"""Box prompts: simulated from the ground truth, one for each entity (paper, section 4.1).

A box encloses one entity and is then widened by a random number of voxels along the two in-plane axes, "to simulate
imprecise box annotations"; :class:`~harness.registry.declaration.BoxRule` has the readings of that sentence. An entity
is a label of the truth: one in several pieces has one box. Only the boxes reach a container, never the mask that they
are made from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from harness.dataset.cases import Case
from harness.dataset.voxels import Labelled, labelled, read_header
from harness.errors import DataError
from harness.registry.protocol import BoxRule

#: ``[x0, y0, z0, x1, y1, z1]``: array indices along the CT's axes, the upper ends excluded.
Box = list[int]

#: Voxels by which a side of a box is displaced along an in-plane axis, at most (paper, section 4.1).
SHIFT: Final = 5

#: The rules in words, beside the data and the seed part of a run's identity. Change a rule's words with the rule.
BOX_RULES: Final[Mapping[BoxRule, str]] = {
    BoxRule.WIDENED: f"box per label, axes 0 and 1 widened on both sides by one draw of 0..{SHIFT} voxels, clipped",
    BoxRule.WIDENED_BY_SIDE: f"box per label, each side on axes 0 and 1 widened by 0..{SHIFT} voxels, clipped",
    BoxRule.MOVED: f"box per label, moved by -{SHIFT}..{SHIFT} voxels along axes 0 and 1, clipped; version 1",
}

#: A finding with more labels than this is not a plausible annotation.
MAX_ENTITIES: Final = 10_000

_LOW, _HIGH = slice(0, 3), slice(3, 6)


def simulate_boxes(case: Case, *, rule: BoxRule, mask_flip: tuple[int, ...] = (), seed: int) -> dict[str, list[Box]]:
    """Make the box prompts of a case's findings from its ground truth.

    The mask is read once, as a stream; only one box per entity is kept. The draw of a box depends
    on the seed, the case, the finding and the label alone, so neither the order nor the number of cases matters.

    Parameters
    ----------
    case
        A case with ground truth.
    rule
        How a box is made from the tight one.
    mask_flip
        In-plane axes (0 and 1) along which the mask is reversed against the CT (``Dataset.mask_flip``).
    seed
        Seed of the run.

    Returns
    -------
    dict of str to list of list of int
        Finding id -> boxes in the order of their labels; an empty list for a finding without a voxel.

    Raises
    ------
    DataError
        The ground truth is missing, cannot be read, is on another grid than the CT, or contains no valid labels.
    """
    tight = entity_boxes(case)
    boxes = {}
    for finding in case.findings:
        flipped = {label: _flipped(box, case.shape, mask_flip) for label, box in tight[finding.index].items()}
        boxes[finding.id] = [
            _displaced(flipped[label], case.shape, rule, (seed, case.id, finding.id, label))
            for label in sorted(flipped)
        ]
    return boxes


def entity_boxes(case: Case) -> list[dict[int, Box]]:
    """Return, for every channel of a case's mask, label -> the smallest box around it, in the mask's array order."""
    if case.truth is None:
        raise DataError(
            f"case {case.id} lacks the ground truth from which boxes are made", fix="choose a split with masks"
        )
    header = read_header(case.truth)
    if len(header.shape) != 4 or header.shape[1:] != case.shape or header.shape[0] < len(case.findings):
        raise DataError(
            f"{case.truth} has shape {header.shape}; {len(case.findings)} findings on the CT's grid make "
            f"{(len(case.findings), *case.shape)}",
            fix="`bench data validate` lists the details",
        )
    channels = header.shape[0]
    found: list[dict[int, npt.NDArray[np.int64]]] = [{} for _ in range(channels)]
    for part in labelled(case.truth, channels):
        if part.label.min() < 1:
            raise DataError(f"{case.truth} contains negative labels", fix="number the entities of a finding from 1")
        for channel, label, box in _extents(part, case.shape):
            known = found[channel].get(label)
            if known is None:
                if len(found[channel]) == MAX_ENTITIES:
                    raise DataError(
                        f"{case.truth}: channel {channel} contains more than {MAX_ENTITIES} labels",
                        fix="number the entities of a finding 1, 2, 3, ...",
                    )
                found[channel][label] = box
            else:
                np.minimum(known[_LOW], box[_LOW], out=known[_LOW])
                np.maximum(known[_HIGH], box[_HIGH], out=known[_HIGH])
    return [{label: box.tolist() for label, box in entities.items()} for entities in found]


def _extents(part: Labelled, shape: tuple[int, int, int]) -> list[tuple[int, int, npt.NDArray[np.int64]]]:
    """Return (channel, label, box) of every entity in one stretch of a mask."""
    rest, x = np.divmod(part.voxel, shape[0])
    z, y = np.divmod(rest, shape[1])
    order = np.lexsort((part.label, part.channel))
    channel, label = part.channel[order], part.label[order].astype(np.int64)
    first = np.flatnonzero((np.diff(channel, prepend=-1) != 0) | (np.diff(label, prepend=0) != 0))
    low = [np.minimum.reduceat(axis[order], first) for axis in (x, y, z)]
    high = [np.maximum.reduceat(axis[order], first) + 1 for axis in (x, y, z)]
    return list(zip(channel[first].tolist(), label[first].tolist(), np.stack([*low, *high], axis=1), strict=True))


def _flipped(box: Box, shape: tuple[int, int, int], axes: tuple[int, ...]) -> Box:
    """Return the box of a mask with these axes reversed."""
    flipped = list(box)
    for axis in axes:
        flipped[axis], flipped[axis + 3] = shape[axis] - box[axis + 3], shape[axis] - box[axis]
    return flipped


def _displaced(box: Box, shape: tuple[int, int, int], rule: BoxRule, entity: tuple[object, ...]) -> Box:
    """Displace a box's sides in plane by the draws that belong to its entity; at least a voxel stays in the volume."""
    displaced = list(box)
    for axis in (0, 1):
        if rule is BoxRule.WIDENED:
            low, high = -_draw(0, *entity), _draw(0, *entity)
        elif rule is BoxRule.WIDENED_BY_SIDE:
            low, high = -_draw(0, *entity, axis, "low"), _draw(0, *entity, axis, "high")
        else:
            low = high = _draw(-SHIFT, *entity, axis)
        displaced[axis] = min(max(box[axis] + low, 0), shape[axis] - 1)
        displaced[axis + 3] = min(max(box[axis + 3] + high, displaced[axis] + 1), shape[axis])
    return displaced


def _draw(least: int, *names: object) -> int:
    """Return a uniform whole number from `least` to SHIFT that depends on `names` alone, the same on every machine."""
    digest = hashlib.sha256("\0".join(map(str, names)).encode()).digest()
    return int.from_bytes(digest[:8], "big") % (SHIFT - least + 1) + least
