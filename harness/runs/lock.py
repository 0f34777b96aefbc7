"""One process at a time for a run and for a training."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from harness.errors import PrerequisiteError
from harness.rows import RunRow
from harness.store.database import Store

#: Seconds for which a lock may be taken by a process that only looks whether it is held.
_LOOK_S = 0.5


@contextlib.contextmanager
def only_one(folder: Path, name: str) -> Iterator[None]:
    """Hold a folder for this process; the kernel lets go when the process dies.

    Raises
    ------
    PrerequisiteError
        When another process holds it, or the file system has no locks.
    """
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        deadline = time.monotonic() + _LOOK_S
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise PrerequisiteError(
                        f"another process is running {name} right now",
                        fix="wait for it: the same command then shows its result",
                    ) from error
            except OSError as error:
                raise PrerequisiteError(
                    f"the file system of {folder} has no locks (flock: {error.strerror}), as Lustre, NFS and FUSE may "
                    "be mounted: two commands could do the same work",
                    fix="choose a --home on a local disk, or have it mounted with locks",
                ) from error
            time.sleep(_LOOK_S / 10)
        yield
    finally:
        os.close(handle)


def is_held(folder: Path) -> bool | None:
    """Return whether a process holds a run's or a training's folder; None where its lock cannot be looked at."""
    try:
        with (folder / "lock").open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    except OSError:  # no permission, or a file system without locks
        return None
    return False


def as_seen(run: RunRow, store: Store) -> RunRow:
    """Return a row with the state that its lock tells: one that says ``running`` and that nobody holds was interrupted.

    A process that is killed cannot write that it has ended. Where the lock cannot be looked at, the row stays as it is.
    """
    if run.state != "running" or is_held(store.home / "runs" / run.id) is not False:
        return run
    now = store.run(run.id)  # it may have ended well since it was read
    return replace(now, state="interrupted") if now.state == "running" else now
