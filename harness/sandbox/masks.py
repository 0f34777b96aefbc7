"""Copies a case's masks out of a container's reach; only these copies are scored."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from harness.sandbox.safe_copy import Bound, RefusedFile, copy_file

#: Compressed bytes of one mask; the largest real volume, incompressible, as bits.
MAX_MASK_BYTES = 64 * 1024 * 1024

_REFUSED = "refused.json"


def collect_case(out: Path, case: str, findings: Sequence[str], masks: Path, room: int) -> None:
    """Copy the masks of one case into the run's own folder, and record the refused files there.

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
        Bytes that may be copied, all files of the case together. Holes count at their full size in the copy: a sparse
        file costs its maker nothing.
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
        refused = dict.fromkeys(findings, f"out/{case} is not a plain folder ({error.strerror})")
    if folder is not None:
        try:
            for finding in findings:
                name = f"{finding}.nii.gz"
                bounds = (
                    Bound(MAX_MASK_BYTES, f"has {{size}} bytes, a mask may have {MAX_MASK_BYTES:,}"),
                    Bound(left, "exceeds the limit of all masks of the case together (the declared limit of out/)"),
                )
                try:
                    left -= copy_file(folder, name, incoming / name, kind="mask", bounds=bounds).size
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


def read_refused(masks: Path, case: str) -> dict[str, str]:
    """Return finding -> reason why its file was refused, as recorded by `collect_case`, for findings with a file."""
    path = masks / case / _REFUSED
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}
