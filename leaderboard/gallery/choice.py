"""Which axial slices of a case are shown, when not all of them can be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from leaderboard.gallery.parts import Layer, Parts
from leaderboard.gallery.scans import Ints

#: Most slices of a case that are shown.
SLICES = 96

_BEYOND = 2  # slices above and below a mask that belong to it
_HALF = SLICES // 2  # slices for the references; parts that are false or missed come next


def choose_slices(findings: Sequence[Sequence[Layer]], depth: int) -> list[int]:
    """Choose the axial slices of a case, from the head downwards; all of them where there are few.

    First comes the one of each finding that shows most of its first mask, then slices spread evenly over the first
    masks and a little beyond them, then one for each part that is false or missed, the largest first, then slices
    spread evenly over all masks.

    Parameters
    ----------
    findings
        The masks of each finding: the reference first where there is one; no first mask is empty.
    depth
        Slices of the scan.
    """
    if depth <= SLICES:
        return list(range(depth))[::-1]
    chosen = dict.fromkeys(_fullest(layers[0], depth) for layers in findings)
    _spread(chosen, _near([layers[0] for layers in findings], depth), _HALF)
    for part in sorted(_wrong(findings), key=lambda part: -part[0]):
        if len(chosen) == SLICES:
            break
        if not any(int(z) in chosen for z in part[1]):
            chosen[int(part[1][0])] = None
    _spread(chosen, _near([layer for layers in findings for layer in layers], depth), SLICES)
    return sorted(chosen, reverse=True)


def _fullest(layer: Layer, depth: int) -> int:
    return int(np.bincount(layer.points[:, 2], minlength=depth).argmax())


def _near(layers: Iterable[Layer], depth: int) -> Ints:
    """Return the slices that show one of some masks, and those just beside them."""
    shown = np.zeros(depth, bool)
    for layer in layers:
        shown |= np.bincount(layer.points[:, 2], minlength=depth) > 0
    beside = np.flatnonzero(shown)[:, None] + np.arange(-_BEYOND, _BEYOND + 1)
    return np.unique(beside[(beside >= 0) & (beside < depth)])


def _spread(chosen: dict[int, None], near: Ints, most: int) -> None:
    """Add some of the slices `near`, evenly spread, until there are `most`."""
    rest = np.array([z for z in near if int(z) not in chosen], np.int64)
    free = min(len(rest), most - len(chosen))
    if free > 0:
        chosen |= dict.fromkeys(rest[np.rint(np.linspace(0, len(rest) - 1, free)).astype(int)].tolist())


def _wrong(findings: Sequence[Sequence[Layer]]) -> Iterable[tuple[int, Ints]]:
    """Yield voxels and slices of every part that is false or missed."""
    for layers in findings:
        for layer in layers:
            kinds: list[Parts | None] = [layer.false, layer.missed]
            for kind in kinds:
                if kind is not None:
                    yield from ((part.voxels, part.slices) for part in kind.listed)
