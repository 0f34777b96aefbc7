"""Checkpoints: taken out of a container's reach, kept with the digest of every file, and checked before each use."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from harness.errors import DataError

#: Files of a checkpoint, folders inside folders of it, and bytes of its record.
MAX_FILES, MAX_DEPTH, MAX_RECORD_BYTES = 1000, 8, 16 * 2**20

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,199}")
_CHUNK = 1024 * 1024
_RECORD = "record.json"
_FOLDER = "checkpoint"


class RefusedCheckpoint(Exception):  # noqa: N818 - an outcome, caught where training is judged
    """What a container left as its checkpoint is not taken; the message says why."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that is there and whole.

    Attributes
    ----------
    key
        Digest of the plan of its training.
    folder
        What is mounted.
    sha256
        Digest over names and contents of all of its files.
    record
        What is known of its training.
    """

    key: str
    folder: Path
    sha256: str
    record: dict[str, Any]


def take_checkpoint(out: Path, home: Path, *, limit: int) -> dict[str, dict[str, Any]]:
    """Copy ``out/checkpoint/`` of an ended container to ``checkpoint/`` of the training's folder.

    Nothing is followed: only regular files with one name count, and folders of them.

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
    files: dict[str, dict[str, Any]] = {}
    left = limit
    try:
        for name, handle, status in _regular_files(out, _FOLDER, ""):
            if len(files) == MAX_FILES:
                raise RefusedCheckpoint(f"holds more than {MAX_FILES:,} files")
            if status.st_size > left:
                raise RefusedCheckpoint(f"holds more than {limit / 2**20:,.0f} MiB")
            target = incoming / name
            target.parent.mkdir(parents=True, exist_ok=True)
            size, digest = _copy(handle, target, left)
            left -= size
            files[name] = {"bytes": size, "sha256": digest}
        if not files:
            raise RefusedCheckpoint("is empty")
        for path in (incoming, *incoming.rglob("*")):
            # Whatever the umask: whoever predicts with it is another user.
            path.chmod(0o755 if path.is_dir() else 0o644)
        shutil.rmtree(home / _FOLDER, ignore_errors=True)
        incoming.rename(home / _FOLDER)
    finally:
        shutil.rmtree(incoming, ignore_errors=True)
    return files


def write_record(home: Path, key: str, files: dict[str, dict[str, Any]], about: dict[str, Any]) -> Checkpoint:
    """Write the record that makes a training's folder a finished one; last, and atomically."""
    record = {"key": key, "sha256": _digest(files), "files": files, **about}
    partial = home / f".partial-{_RECORD}"
    partial.write_text(json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(home / _RECORD)
    return Checkpoint(key, home / _FOLDER, record["sha256"], record)


def find_checkpoint(home: Path, key: str) -> Checkpoint | None:
    """Return the checkpoint of a training's folder, every file of it checked; None where none is finished.

    Raises
    ------
    DataError
        When it is of another plan, or a file is missing, added or changed.
    """
    if not (home / _RECORD).is_file():
        return None
    fix = f"remove {home} and train again"
    record = _read_record(home / _RECORD, fix)
    if record["key"] != key:
        raise DataError(
            f"the checkpoint in {home} is of another plan: {str(record['key'])[:12]}…, wanted is {key[:12]}…", fix=fix
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
        raise DataError(f"{home / _RECORD} was changed: its digest is not that of its files", fix=fix)
    return Checkpoint(key, folder, record["sha256"], record)


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
        raise DataError(f"{path} cannot be read: it is no record of a checkpoint", fix=fix) from error


def _digest(files: dict[str, dict[str, Any]]) -> str:
    lines = "".join(f"{name}\0{files[name]['sha256']}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _regular_files(
    parent: Path | int, name: str, prefix: str, depth: int = 0
) -> Iterator[tuple[str, int, os.stat_result]]:
    """Yield (path, open handle, status) of every file below a folder, in order; each handle is closed afterwards."""
    if depth > MAX_DEPTH:
        raise RefusedCheckpoint(f"is nested deeper than {MAX_DEPTH} folders")
    with _folder(parent, name) as folder:
        for inner in sorted(os.listdir(folder)):  # noqa: PTH208 - a handle, not a path
            path = f"{prefix}{inner}"
            if not _NAME.fullmatch(inner):
                raise RefusedCheckpoint(f"holds {path!r}, which is no plain name")
            found = os.stat(inner, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode):
                yield from _regular_files(folder, inner, f"{path}/", depth + 1)
                continue
            if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
                raise RefusedCheckpoint(f"holds {path!r}, which is no regular file with one name")
            handle = os.open(inner, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
            try:
                yield path, handle, os.fstat(handle)
            finally:
                os.close(handle)


@contextmanager
def _folder(parent: Path | int, name: str) -> Iterator[int]:
    where = {"dir_fd": parent} if isinstance(parent, int) else {}
    path = name if isinstance(parent, int) else os.fspath(parent / name)
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, **where)
    except FileNotFoundError as error:
        raise RefusedCheckpoint("is not there: the container wrote no out/checkpoint/") from error
    except OSError as error:
        raise RefusedCheckpoint(f"holds {name!r}, which is no plain folder ({error.strerror})") from error
    try:
        yield handle
    finally:
        os.close(handle)


def _copy(handle: int, target: Path, most: int) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    with target.open("wb") as writing:
        while chunk := os.read(handle, _CHUNK):
            size += len(chunk)
            if size > most:
                raise RefusedCheckpoint("grew beyond its bound while it was read")
            digest.update(chunk)
            writing.write(chunk)
    return size, digest.hexdigest()
