"""A finished checkpoint whose training files are not here: predicting needs the checkpoint, not what it learnt from.

A checkpoint is found by the plan of its training, and the plan by the content of train and val. Where their files are
absent (they take terabytes, or lie on another machine), the record beside the checkpoint has to say what it was trained
on. It is used if everything else of the plan is the same, and if it was trained on the cases that this data set's index
lists under train and val; what those files held is then known from the record alone, which is said.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from harness.dataset.cases import Case
from harness.errors import DataError
from harness.foreign import read_json_file
from harness.runs.checkpoint import RECORD, Checkpoint, find_checkpoint
from harness.runs.params import decisive
from harness.runs.plan import RunRequest
from harness.runs.training.finetune import SPLITS, TrainingPlan, check_apart


def finished_elsewhere(request: RunRequest, home: Path) -> list[Path]:
    """Return the folders of checkpoints that may serve; empty where the files of train and val are here.

    Parameters
    ----------
    request
        Asks for a fine-tuned variant.
    home
        Its ``checkpoints/`` is searched for trainings of this variant, with these parameters, on these cases.

    Raises
    ------
    DataError
        The index puts a case or a patient both into train or val and into the split that will be predicted.
    """
    listed = _listed(request)
    if all(case.ct is not None and case.truth is not None for case in listed):
        return []
    found = [folder for folder, record in _finished(home) if _serves(record, request, listed)]
    if found:
        check_apart(request, listed)
    return found


def checkpoint_of(plan: TrainingPlan, folders: list[Path], log: Callable[[str], None]) -> Checkpoint:
    """Return the checkpoint whose training is that of `plan`, but for the content of files that are not here.

    Raises
    ------
    DataError
        None is, several are, or a file of it was changed.
    """
    asked = _but_for_data(plan.identity)
    same = [folder for folder in folders if _but_for_data(_read(folder)["plan"]) == asked]
    if len(same) != 1:
        known = "another image, weight or seed" if not same else f"{len(same)} versions of their files"
        raise DataError(
            f"{plan.request.dataset.name} lacks files of train and val, and the finished checkpoints are of {known}",
            fix="get the files of train and val, so that the right checkpoint is known or trained",
        )
    found = find_checkpoint(same[0], same[0].name)
    assert found is not None  # noqa: S101 - its record was read
    log("warning: the files of train and val are not here; the checkpoint's record says what it was trained on")
    return found


def _listed(request: RunRequest) -> tuple[Case, ...]:
    return tuple(case for split in SPLITS for case in request.dataset.splits.get(split, ()))


def _finished(home: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the trainings that ended well and whose record is that of their plan."""
    for path in sorted((home / "checkpoints").glob(f"*/{RECORD}")):
        record = _read(path.parent)
        digest = hashlib.sha256(json.dumps(record.get("plan"), sort_keys=True).encode()).hexdigest()
        if record.get("key") == digest == path.parent.name:
            yield path.parent, record


def _serves(record: dict[str, Any], request: RunRequest, listed: tuple[Case, ...]) -> bool:
    plan = record["plan"]
    asked = (request.plugin.name, request.variant.name, decisive(request.params))
    cases = {split: sorted(case.id for case in listed if case.split == split) for split in SPLITS}
    return (plan["plugin"], plan["variant"], plan["params"]) == asked and record.get("cases") == cases


def _but_for_data(identity: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in identity.items() if name != "fingerprints"}


def _read(folder: Path) -> dict[str, Any]:
    try:
        record = read_json_file(folder / RECORD)
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}
