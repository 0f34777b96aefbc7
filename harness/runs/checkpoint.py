"""Checkpoints: moved out of a container's reach, stored with the digest of every file, checked before each use."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from harness.errors import DataError
from harness.sandbox.safe_copy import copy_folder

#: Files of a checkpoint, and bytes of its record.
MAX_FILES, MAX_RECORD_BYTES = 1000, 16 * 2**20

#: Name of the record beside a checkpoint.
RECORD = "record.json"
_FOLDER = "checkpoint"


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint.

    Attributes
    ----------
    key
        Digest of the plan of its training.
    folder
        The folder that is mounted.
    sha256
        Digest over names and contents of all of its files.
    record
        The facts of its training.
    """

    key: str
    folder: Path
    sha256: str
    record: dict[str, Any]


def take_checkpoint(out: Path, home: Path, *, limit: int) -> dict[str, dict[str, Any]]:
    """Copy ``out/checkpoint/`` of an ended container to ``checkpoint/`` of the training's folder.

    Links are not followed: only regular files with one name count, and folders of them.

    Parameters
    ----------
    out
        The container's output folder.
    home
        The training's folder; ``checkpoint/`` appears in it whole or not at all.
    limit
        Bytes of all files together.

    Returns
    -------
    dict
        Path inside the checkpoint -> ``{"bytes", "sha256"}``.

    Raises
    ------
    RefusedCheckpoint
        When there is none, it is empty, or it breaks a bound.
    """
    incoming = home / ".incoming-checkpoint"
    shutil.rmtree(incoming, ignore_errors=True)
    incoming.mkdir(parents=True)
    try:
        copied = copy_folder(out, _FOLDER, incoming, limit=limit, max_files=MAX_FILES)
        for path in (incoming, *incoming.rglob("*")):
            # Whatever the umask: the container that predicts with it runs as another user.
            path.chmod(0o755 if path.is_dir() else 0o644)
        shutil.rmtree(home / _FOLDER, ignore_errors=True)
        incoming.rename(home / _FOLDER)
    finally:
        shutil.rmtree(incoming, ignore_errors=True)
    return {name: {"bytes": file.size, "sha256": file.sha256} for name, file in copied.items()}


def write_record(home: Path, key: str, files: dict[str, dict[str, Any]], about: dict[str, Any]) -> Checkpoint:
    """Write the record that marks a training's folder as finished; last, and atomically."""
    record = {"key": key, "sha256": _digest(files), "files": files, **about}
    partial = home / f".partial-{RECORD}"
    partial.write_text(json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(home / RECORD)
    return Checkpoint(key, home / _FOLDER, record["sha256"], record)


def find_checkpoint(home: Path, key: str) -> Checkpoint | None:
    """Return the checkpoint of a training's folder, with every file checked; None where none is finished.

    Raises
    ------
    DataError
        When it belongs to another plan, or a file is missing, added or changed.
    """
    if not (home / RECORD).is_file():
        return None
    fix = f"remove {home} and train again"
    record = _read_record(home / RECORD, fix)
    if record["key"] != key:
        raise DataError(
            f"the checkpoint in {home} belongs to plan {str(record['key'])[:12]}…, not to {key[:12]}…", fix=fix
        )
    folder = home / _FOLDER
    wanted = {name: entry["sha256"] for name, entry in record["files"].items()}
    there = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if not file.is_dir()}
    for name in sorted({*there, *wanted}):
        if name not in there:
            what = "is missing"
        elif name not in wanted:
            what = "was added"
        elif there[name].is_symlink() or _sha256(there[name]) != wanted[name]:
            what = "was changed"
        else:
            continue
        raise DataError(f"checkpoint {home.name[:12]}…: {name} {what} since it was trained", fix=fix)
    if record["sha256"] != _digest(record["files"]):
        raise DataError(f"{home / RECORD} was changed: its digest does not match its files", fix=fix)
    return Checkpoint(key, folder, record["sha256"], record)


def files_of_checkpoint(home: Path) -> list[str]:
    """Return the SHA-256 of every file of a training's checkpoint, by its record; empty where none is finished.

    Raises
    ------
    DataError
        When the record is not valid.
    """
    if not (home / RECORD).is_file():
        return []
    return [file["sha256"] for file in _read_record(home / RECORD, f"remove {home} and train again")["files"].values()]


class _File(BaseModel):
    bytes: int
    sha256: str


class _Record(BaseModel):
    model_config = ConfigDict(extra="allow")

    key: str
    sha256: str
    files: dict[str, _File]


def _read_record(path: Path, fix: str) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return _Record.model_validate_json(file.read(MAX_RECORD_BYTES), strict=True).model_dump()
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not a valid record of a checkpoint", fix=fix) from error


def _digest(files: dict[str, dict[str, Any]]) -> str:
    lines = "".join(f"{name}\0{files[name]['sha256']}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
