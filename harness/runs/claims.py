"""What is stated of a row, and what that keeps it from: what nobody has said is never taken for the favourable case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.errors import DataError
from harness.registry.declaration import Prompt
from harness.rows import RunRow
from harness.runs.checkpoint import files_of_checkpoint
from harness.status import UNKNOWN
from harness.store.database import Store
from harness.store.trainings import Trainings

#: How the reasons begin why a row has no rank of which this is not stated.
PROMPT_NOT_STATED, TRAINING_NOT_STATED = "prompt not stated", "training not stated"

#: How the reason begins of a row whose engine did not isolate its model.
NOT_ISOLATED = "not isolated"

#: How the reason begins of a row that was trained or selected on the split that it is scored on.
SEEN = "trained on the split that it is scored on"


def exposure_of(record: Mapping[str, Any]) -> str:
    """Return what the weights of a row were trained on elsewhere, by its record: splits joined by ``+``, or a word.

    ``"none"`` where it is stated that they were trained on none of ours, ``"unknown"`` where nobody has said.
    """
    said = record.get("exposure")
    of = said.get("of") if isinstance(said, Mapping) else None
    return of if isinstance(of, str) and of else UNKNOWN


def trained_here(store: Store) -> dict[str, str]:
    """Return SHA-256 -> key of the training, of every file that a training of this home has made.

    A file that a training began with, and passed on unchanged, is not one of them.
    """
    found: dict[str, str] = {}
    trainings = Trainings(store)
    for folder in sorted((store.home / "checkpoints").glob("*/")):
        begun = trainings.find(folder.name)
        given = set(weights_loaded(begun.plan)) if begun else set()
        found |= {digest: folder.name for digest in _digests(folder) if digest not in given}
    return found


def _digests(folder: Path) -> list[str]:
    try:
        return files_of_checkpoint(folder)
    except DataError:  # `find_checkpoint` refuses it where it is used
        return []


def weights_loaded(plan: object) -> list[str]:
    """Return the digests of the weights that a plan loads; none of what is no plan."""
    weights = plan.get("weights") if isinstance(plan, Mapping) else None
    return [*weights["files"].values()] if isinstance(weights, Mapping) and "files" in weights else []


def claimed(run: RunRow, made: Mapping[str, str]) -> RunRow:
    """Return a row with the reasons why what is stated of it, or is not, keeps it from a rank.

    Parameters
    ----------
    run
        The row.
    made
        As :func:`trained_here`: weights among them were trained on the training split, whatever is declared of them.
    """
    loaded = weights_loaded(run.plan)
    keys = sorted({made[digest] for digest in loaded if digest in made})
    if keys and not {"train"} & set(exposure_of(run.record).split("+")):
        said = {"of": "train", "origin": f"by digest: its weights are of the training {keys[0][:12]} of this home"}
        run = replace(run, record={**run.record, "exposure": said})
    reasons = list(dict.fromkeys([*run.unrankable, *_lacking(run)]))
    return replace(run, unrankable=reasons, rankable=run.rankable and not reasons)


def _lacking(run: RunRow) -> list[str]:
    if any(reason.startswith("known answer") for reason in run.unrankable):
        return []  # it is no model
    where = "its plugin" if run.kind == "measured" else "its card"
    splits = set(exposure_of(run.record).split("+")) | ({"train"} if run.fine_tuned else set())
    reasons = [] if run.prompt in [*Prompt] else [f"{PROMPT_NOT_STATED}: {where} does not say what it was given"]
    if splits == {UNKNOWN}:
        reasons.append(f"{TRAINING_NOT_STATED}: {where} does not say whether it was trained on this data")
    if run.split in splits:
        reasons.append(f"{SEEN}: {run.split}")
    return reasons
