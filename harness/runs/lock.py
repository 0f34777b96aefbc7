"""One process at a time for a run and for a training."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from harness.errors import PrerequisiteError


@contextlib.contextmanager
def only_one(folder: Path, name: str) -> Iterator[None]:
    """Hold a folder for this process; the kernel lets go when the process dies.

    Raises
    ------
    PrerequisiteError
        When another process holds it.
    """
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise PrerequisiteError(
                f"another process is running {name} right now",
                fix="wait for it: the same command then shows its result",
            ) from error
        yield
    finally:
        os.close(handle)
