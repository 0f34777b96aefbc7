"""A checkpoint that travels with its row: its record in the text folder, its files beside, held against it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.errors import DataError
from harness.rows import RunRow
from harness.runs.checkpoint import MAX_FILES, RECORD, find_checkpoint, write_record
from harness.sandbox.safe_copy import RefusedCheckpoint, copy_folder
from harness.submissions.record import SubmittedTraining
from harness.submissions.text_files import shown


def compare_training(run: RunRow, training: SubmittedTraining) -> Iterator[str]:
    """Name what of a training's record does not go with its plan, its files or the row."""
    plan = training.record.get("plan")
    if hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest() != training.key:
        yield "its key is not the digest of its plan"
    lines = "".join(f"{name}\0{training.files[name].get('sha256')}\n" for name in sorted(training.files))
    if hashlib.sha256(lines.encode()).hexdigest() != training.sha256:
        yield "its digest is not that of its files"
    if run.plan.get("checkpoint") != training.sha256:
        yield "the row predicted with another checkpoint"


def import_checkpoint(training: SubmittedTraining, place: Path, home: Path) -> Path:
    """Copy the files of a checkpoint into a home, where runs of the same training find it; returns its folder.

    Parameters
    ----------
    training
        Its record, out of a text folder that was verified.
    place
        The folder of its files. Links in it are refused; what is too much is not read.
    home
        The home; a checkpoint of the same training that is there stays.

    Raises
    ------
    DataError
        A file is missing, too much, or another one.
    """
    target = home / "checkpoints" / training.key
    if find_checkpoint(target, training.key) is not None:
        return target
    incoming = home / "checkpoints" / f".incoming-{training.key}"
    shutil.rmtree(incoming, ignore_errors=True)
    (incoming / "checkpoint").mkdir(parents=True)
    try:
        limit = sum(int(file["bytes"]) for file in training.files.values())
        whole = place.resolve()
        copied = copy_folder(whole.parent, whole.name, incoming / "checkpoint", limit=limit, max_files=MAX_FILES)
        stated = {name: file["sha256"] for name, file in training.files.items()}
        if other := sorted(stated.items() ^ {(name, file.sha256) for name, file in copied.items()}):
            raise DataError(
                f"{place}: {shown(other[0][0])} is not the file of the record", fix="get it again", path=place
            )
        for path in (incoming / "checkpoint", *(incoming / "checkpoint").rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)  # the container that predicts with it runs as another user
        files: dict[str, dict[str, Any]] = training.model_dump()["files"]
        write_record(incoming, training.key, files, training.record)
        incoming.rename(target)
    except RefusedCheckpoint as error:
        raise DataError(
            f"{place} {error}", fix=f"give the folder of the files that {RECORD} lists", path=place
        ) from error
    finally:
        shutil.rmtree(incoming, ignore_errors=True)
    return target
