"""What a trained checkpoint is derived from, and whether it may be shared: not unless everything allows it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from harness.dataset import Dataset
from harness.errors import PrerequisiteError, UsageError
from harness.registry.licences import against_sharing
from harness.registry.pinned import Weights
from harness.runs.checkpoint import Checkpoint
from harness.status import Answer, of_parts

#: Whether a checkpoint of an earlier version may be shared.
NOT_RECORDED: Final = {
    "answer": str(Answer.UNKNOWN),
    "because": ["its training did not record what it is derived from"],
}

#: Name of the file beside a checkpoint that was exported.
ORIGIN: Final = "origin.json"

#: What is told of the training of an exported checkpoint: no case, no path, no machine.
_TOLD: Final = ("plugin", "plugin_version", "variant", "params", "image", "fingerprints", "seed")


def derived(weights: Iterable[Weights], data: Dataset) -> dict[str, Any]:
    """Return the part of a checkpoint's record about its origin.

    Parameters
    ----------
    weights
        The files that the training starts from.
    data
        The data set whose cases it is trained on and chosen by.

    Returns
    -------
    dict
        ``derived_from``, each work (a repository, a file, the data set) with its name, licence and note, and for the
        data set what its terms say of what is ``derived``; and ``share``, as of :func:`shareable`.
    """
    files = dict.fromkeys((file.repo or file.origin, file.licence, file.note) for file in weights)
    works = [{"name": name, "licence": licence, "note": note} for name, licence, note in files]
    works.append(_work_of(data))
    return {"derived_from": works, "share": shareable(works)}


def shareable(works: Sequence[dict[str, str]]) -> dict[str, Any]:
    """Return whether what is derived from some works may be shared.

    Returns
    -------
    dict
        The ``answer``: yes only where every licence allows it, no two of them exclude each other, nobody asks for more,
        and the terms of the data set allow what is derived from it; and the reasons against it (``because``).
    """
    against = against_sharing((work["name"], work["licence"]) for work in works)
    against += [(Answer.UNKNOWN, f"{work['name']}: {work['note']}") for work in works if work["note"]]
    for work in works:
        if (said := work.get("derived", Answer.YES)) != Answer.YES:
            against.append((Answer(said), f"the terms of the {work['name']} say of what is derived: {said}"))
    answer = of_parts([answer for answer, _ in against] or [Answer.YES])
    return {"answer": str(answer), "because": [reason for _, reason in against]}


def export_checkpoint(checkpoint: Checkpoint, folder: Path, today: Dataset | None = None) -> Path:
    """Copy a checkpoint that may be shared, with what it is derived from and under which licences.

    Parameters
    ----------
    checkpoint
        The checkpoint, whose files were checked.
    folder
        Where it goes; made, or empty.
    today
        Its data set, whose terms of today take the place of those that the training recorded.

    Returns
    -------
    Path
        The file that names its origin. The names of cases and what the machine was stay here.

    Raises
    ------
    PrerequisiteError
        It may not be shared, or nobody knows whether it may.
    UsageError
        The folder holds something.
    """
    works = checkpoint.record.get("derived_from")
    if works is not None and today is not None:
        works = [work for work in works if "derived" not in work] + [_work_of(today)]
    share = NOT_RECORDED if works is None else shareable(works)
    if share["answer"] != Answer.YES:
        raise PrerequisiteError(
            f"the checkpoint {checkpoint.key[:12]}… may not be shared: {'; '.join(share['because'])}",
            fix="keep it on machines of yours; where the owner of its data allows it, state that in the terms "
            '("derived": "yes") and name the data set with --dataset; two licences that exclude each other need the '
            "consent of an owner of one of them",
        )
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty", fix="name a new folder")
    shutil.copytree(checkpoint.folder, folder, dirs_exist_ok=True)
    plan = checkpoint.record.get("plan", {})
    origin = {
        "schema": 1,
        "sha256": checkpoint.sha256,
        "derived_from": works,
        "training": {name: plan[name] for name in _TOLD if name in plan},
    }
    path = folder / ORIGIN
    path.write_text(json.dumps(origin, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def _work_of(data: Dataset) -> dict[str, str]:
    terms = data.terms
    licence = terms.licence or "not stated"
    return {"name": f"data set {data.name}", "licence": licence, "note": "", "derived": str(terms.derived)}
