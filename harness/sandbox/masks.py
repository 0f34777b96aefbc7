"""Copies a case's masks out of a container's reach; only these copies are scored.

They are collected under a name that nobody else uses, and get the case's own name when its outcome is known: of two
who collect the same case at once, neither sees the other's files.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.foreign import read_json_file
from harness.sandbox.safe_copy import Bound, RefusedFile, copy_file

#: Compressed bytes of one mask; the largest real volume, incompressible, as bits.
MAX_MASK_BYTES = 64 * 1024 * 1024

_REFUSED = "refused.json"


@dataclass(frozen=True)
class Collected:
    """The masks of one case, collected.

    Attributes
    ----------
    name
        Name of their folder below the run's ``masks/``.
    sha256
        Finding -> digest of its file, for those that were delivered and accepted.
    """

    name: str
    sha256: Mapping[str, str]


def collect_case(
    out: Path, case: str, findings: Mapping[str, str] | Sequence[str], masks: Path, room: int, *, inside: str = ""
) -> Collected:
    """Copy the masks of one case into the run's own folder, and record the refused files there.

    Parameters
    ----------
    out
        The container's output folder.
    case
        The case's own name.
    findings
        The findings to look for: name of the file without its ending -> the finding's own name, or own names alone.
    masks
        The run's folder of accepted files; a new folder is made in it, which :func:`accept` gives the case's name.
    room
        Bytes that may be copied, all files of the case together. Holes count at their full size in the copy: a sparse
        file costs its maker nothing.
    inside
        The case's name inside the container; empty: its own.
    """
    left = room
    refused: dict[str, str] = {}
    accepted: dict[str, str] = {}
    incoming = masks / f".incoming-{case}-{secrets.token_hex(4)}"
    masks.mkdir(exist_ok=True)  # not what it lies in: a shared folder that is gone is not made anew on the disk below
    incoming.mkdir()
    named = findings if isinstance(findings, Mapping) else dict(zip(findings, findings, strict=True))
    try:
        folder = os.open(out / (inside or case), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        folder = None
    except OSError as error:
        folder = None
        refused = dict.fromkeys(named.values(), f"out/{case} is not a plain folder ({error.strerror})")
    if folder is not None:
        try:
            for file, finding in named.items():
                name = f"{finding}.nii.gz"
                bounds = (
                    Bound(MAX_MASK_BYTES, f"has {{size}} bytes, a mask may have {MAX_MASK_BYTES:,}"),
                    Bound(left, "exceeds the limit of all masks of the case together (the declared limit of out/)"),
                )
                try:
                    copied = copy_file(folder, f"{file}.nii.gz", incoming / name, kind="mask", bounds=bounds)
                except FileNotFoundError:
                    continue
                except RefusedFile as reason:
                    refused[finding] = f"out/{case}/{name} {reason}"
                else:
                    left -= copied.size
                    accepted[finding] = copied.sha256
        finally:
            os.close(folder)
    if refused:
        (incoming / _REFUSED).write_text(json.dumps(refused), encoding="utf-8")
    return Collected(incoming.name, accepted)


def accept(masks: Path, case: str, name: str) -> bool:
    """Give a case's collected masks its name, whoever comes first: who collected them, or who reads the outcome.

    Parameters
    ----------
    masks
        The run's folder of masks.
    case, name
        The case, and the folder of :func:`collect_case`.

    Returns
    -------
    bool
        Whether the case has masks now.
    """
    try:
        (masks / name).rename(masks / case)
    except FileNotFoundError:
        return (masks / case).is_dir()
    return True


def drop(masks: Path, name: str) -> None:
    """Remove collected masks that nobody needs, or those of a case that is done again."""
    shutil.rmtree(masks / name, ignore_errors=True)


def read_refused(masks: Path, case: str) -> dict[str, str]:
    """Return finding -> reason why its file was refused, as recorded by `collect_case`, for findings with a file."""
    path = masks / case / _REFUSED
    return dict(read_json_file(path)) if path.is_file() else {}
