"""Masks that a reader should be warned of: those of the truth, and those of another row.

Masks are compared by what is stored of them: the digests of their files or, where a file was packed anew, how many
voxels each has and shares with the truth. Whoever changes a copy a little is not found; that is why masks made
elsewhere are never ranked among rows that were run here.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harness.rows import RunRow
from harness.store.database import Store

#: Mean Dice of the masks of a row above which they are as good as the truth itself.
AS_THE_TRUTH = 0.98

#: Fewest masks that are called the same for their numbers of voxels alone.
_ENOUGH = 3


@dataclass(frozen=True)
class Likeness:
    """What is said of the masks of a row.

    Attributes
    ----------
    warnings
        To be shown with the row.
    contradiction
        Why what is stated of it cannot be; empty where nothing speaks against it.
    """

    warnings: tuple[str, ...] = ()
    contradiction: str = ""


@dataclass(frozen=True)
class MaskTraits:
    """What the masks of a row are known by.

    Attributes
    ----------
    keys
        What two rows with the same masks have in common: a digest of the masks' own, one of their numbers of voxels.
    mean
        Their mean Dice; 0 without a mask.
    """

    keys: tuple[str, ...] = ()
    mean: float = 0.0


def traits_of(store: Store, run_id: str) -> MaskTraits:
    """Return what the masks of a stored row are known by."""
    masks = store.masks(run_id)
    if not masks:
        return MaskTraits()
    digests = [(one.case, one.finding, one.sha256) for one in masks]
    counts = [(one.case, one.finding, one.voxels, one.intersection) for one in masks]
    return MaskTraits(
        keys=(
            *([_digest(digests)] if all(one.sha256 for one in masks) else ()),
            *([_digest(counts)] if len(masks) >= _ENOUGH else ()),
        ),
        mean=math.fsum(one.dice for one in masks) / len(masks),
    )


def likenesses(
    store: Store, runs: Sequence[RunRow], traits: Callable[[RunRow], MaskTraits] | None = None
) -> dict[str, Likeness]:
    """Return what is to be said of the masks of each of some rows.

    Parameters
    ----------
    store
        The results database.
    runs
        Rows of one split of one data set, each compared with all others that have ended.
    traits
        What the masks of a row are known by; by default as :func:`traits_of` reads it.
    """
    read = traits or (lambda run: traits_of(store, run.id))
    masks = {run.id: read(run) for run in runs if run.state == "done"}
    alike: dict[str, list[RunRow]] = {}
    for run in runs:
        for key in masks.get(run.id, MaskTraits()).keys:
            alike.setdefault(key, []).append(run)
    return {run.id: _of(run, masks[run.id], alike) if run.id in masks else Likeness() for run in runs}


def _digest(rows: Sequence[tuple[object, ...]]) -> str:
    return hashlib.sha256(repr(rows).encode("utf-8", "surrogatepass")).hexdigest()


def _of(run: RunRow, masks: MaskTraits, alike: Mapping[str, Sequence[RunRow]]) -> Likeness:
    if _is_known_answer(run):
        return Likeness()
    others = {one.id: one for key in masks.keys for one in alike[key] if _is_source(one, run)}
    warnings = [f"its masks are those of {one.id}{_whose(one)}" for one in others.values()]
    if masks.mean > AS_THE_TRUTH:
        warnings.append(f"its masks are as good as the truth itself: their mean Dice is above {AS_THE_TRUTH}")
    boxed = [one.id for one in others.values() if one.level.headline and one.prompt == "box" != run.prompt]
    said = f"its masks are those of {boxed[0]}, which was prompted with boxes" if boxed else ""
    return Likeness(tuple(warnings), said)


def _is_source(one: RunRow, run: RunRow) -> bool:
    """Return whether a row with the same masks is one that they may have been taken from."""
    if one.id == run.id or one.made_by == run.made_by:
        return False
    earlier = (one.created, one.id) < (run.created, run.id)
    return earlier if one.level.headline == run.level.headline else one.level.headline


def _is_known_answer(run: RunRow) -> bool:
    return any(reason.startswith("known answer") for reason in run.unrankable)


def _whose(run: RunRow) -> str:
    if _is_known_answer(run):
        return ", which reads the truth"
    return ", which was prompted with boxes" if run.prompt == "box" else ""
