"""Takes masks out of a container's reach: opened without following anything, bounded, copied.

What an entrant leaves in ``out/`` may be a link, a pipe, a device or huge, and may change while it is looked at. A
mask counts only as the copy that is made here.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import IO

#: Compressed bytes of one mask; the largest real volume, incompressible, as bits.
MAX_MASK_BYTES = 64 * 1024 * 1024

_CHUNK = 1024 * 1024
_REFUSED = "refused.json"


class RefusedFile(Exception):  # noqa: N818 - an outcome, caught a few lines on
    """A file in ``out/`` that is not taken; the message says why."""


def collect_case(out: Path, case: str, findings: Sequence[str], masks: Path, room: int) -> int:
    """Copy the masks of one case into the run's own folder, and note there which files were refused.

    Parameters
    ----------
    out
        The container's output folder.
    case
        The case's name.
    findings
        The findings to look for: ``out/<case>/<finding>.nii.gz``.
    masks
        The run's folder of accepted files; ``masks/<case>/`` is made anew, complete or not at all.
    room
        Bytes that may be taken, all files together. Holes count as what they become here: a sparse file costs its
        maker nothing.

    Returns
    -------
    int
        Bytes that were taken.
    """
    left = room
    refused: dict[str, str] = {}
    incoming = masks / f".incoming-{case}"
    shutil.rmtree(incoming, ignore_errors=True)
    incoming.mkdir(parents=True)
    try:
        folder = os.open(out / case, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        folder = None
    except OSError as error:
        folder = None
        refused = dict.fromkeys(findings, f"out/{case} is no plain folder ({error.strerror})")
    if folder is not None:
        try:
            for finding in findings:
                name = f"{finding}.nii.gz"
                try:
                    left -= _copy(folder, name, incoming / name, left)
                except FileNotFoundError:
                    continue
                except RefusedFile as reason:
                    refused[finding] = f"out/{case}/{name} {reason}"
        finally:
            os.close(folder)
    if refused:
        (incoming / _REFUSED).write_text(json.dumps(refused), encoding="utf-8")
    shutil.rmtree(masks / case, ignore_errors=True)
    incoming.rename(masks / case)
    return room - left


def read_refused(masks: Path, case: str) -> dict[str, str]:
    """Return finding -> why its file was refused, as `collect_case` noted it; a finding without a file is not in it."""
    path = masks / case / _REFUSED
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def _copy(folder: int, name: str, target: Path, room: int) -> int:
    """Copy one file of a folder; return its bytes, or raise RefusedFile."""
    with _open(folder, name) as reading:
        status = os.fstat(reading.fileno())
        if status.st_nlink != 1:
            raise RefusedFile("has another name (a hard link); write each mask for itself")
        if status.st_size > MAX_MASK_BYTES:
            raise RefusedFile(f"has {status.st_size:,} bytes, a mask may have {MAX_MASK_BYTES:,}")
        if status.st_size > room:
            raise RefusedFile("goes beyond what all masks of the run may take together (the declared limit of out/)")
        limit = min(room, MAX_MASK_BYTES)
        written = 0
        with target.open("wb") as writing:
            while chunk := reading.read(_CHUNK):
                written += len(chunk)
                if written > limit:
                    break
                writing.write(chunk)
        if written > limit:
            target.unlink()
            raise RefusedFile(f"grew beyond {limit:,} bytes while it was read")
    return written


def _open(folder: int, name: str) -> IO[bytes]:
    """Open one file of a folder without following or waiting for anything; raise RefusedFile for what is no file."""
    try:
        # O_NONBLOCK: opening a pipe must not wait for somebody to write into it.
        source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        raise
    except OSError as error:
        found = None
        with contextlib.suppress(OSError):
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if found is not None and stat.S_ISLNK(found.st_mode):
            raise RefusedFile("is a symbolic link; write the mask itself") from error
        raise RefusedFile(f"cannot be opened ({error.strerror})") from error
    if not stat.S_ISREG(os.fstat(source).st_mode):
        os.close(source)
        raise RefusedFile("is no regular file")
    return os.fdopen(source, "rb")
