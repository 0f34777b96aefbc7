"""One process at a time for a run and for a training.

The kernel's lock tells whether a process of this host holds a folder. In a folder that several hosts share it may not
tell of the others, so the holder also beats: a file names its host and changes every few seconds. Another host watches
whether it changes; clocks are not compared.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from harness.engines.owners import boot_id
from harness.errors import PrerequisiteError
from harness.foreign import read_json_file
from harness.rows import RunRow
from harness.runs.place import node
from harness.store.database import Store

#: Name of the file that the holder changes, below its folder.
DRIVER = "driver.json"

#: Seconds between two changes of it, and for which another host waits for one.
BEAT_S, WATCH_S = 5.0, 16.0

#: Seconds for which a lock may be taken by a process that only looks whether it is held.
_LOOK_S = 0.5


@contextlib.contextmanager
def only_one(folder: Path, name: str) -> Iterator[None]:
    """Hold a folder for this process; the kernel lets go when the process dies.

    Raises
    ------
    PrerequisiteError
        When another process holds it, on this host or on another, or the file system has no locks.
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
                        f"another process is running {name} now",
                        fix="wait for it: the same command then shows its result",
                    ) from error
            except OSError as error:
                raise PrerequisiteError(
                    f"the file system of {folder} has no locks (flock: {error.strerror}), as Lustre, NFS and FUSE may "
                    "be mounted: two commands could do the same work",
                    fix="choose a --home on a local disk, or have it mounted with locks",
                ) from error
            time.sleep(_LOOK_S / 10)
        _require_no_other_host(folder / DRIVER, name)
        with _beating(folder / DRIVER):
            yield
    finally:
        os.close(handle)


def _require_no_other_host(path: Path, name: str) -> None:
    """Raise PrerequisiteError where a process of another host changes its file."""
    before = _read(path)
    if before.get("boot") in (None, boot_id()):
        return  # of this host: the kernel's lock has told
    deadline = time.monotonic() + WATCH_S
    while time.monotonic() < deadline:
        time.sleep(min(0.2, WATCH_S / 10))
        if _read(path) not in (before, {}):
            raise PrerequisiteError(
                f"process {before.get('pid')} of {before.get('host')} is running {name} now",
                fix="wait for it, or end it there: the same command then shows its result",
            )


@contextlib.contextmanager
def _beating(path: Path) -> Iterator[None]:
    """Change the file every few seconds for as long as the context lasts; then remove it."""
    over = threading.Event()
    about = {"host": node(), "pid": os.getpid(), "boot": boot_id()}

    def beat() -> None:
        number = 0
        while True:
            with contextlib.suppress(OSError):  # a full or lost disk is reported elsewhere
                partial = path.with_name(f".{path.name}.{about['pid']}")
                partial.write_text(json.dumps({**about, "beat": number}), encoding="utf-8")
                partial.replace(path)
            number += 1
            if over.wait(BEAT_S):
                return

    thread = threading.Thread(target=beat, name=f"beat-{path.parent.name}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        with contextlib.suppress(OSError):
            path.unlink()


def _read(path: Path) -> dict[str, object]:
    try:
        found = read_json_file(path)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


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
    # Of a process of another host nothing is known: it may live.
    return False if _read(folder / DRIVER).get("boot") in (None, boot_id()) else None


def as_seen(run: RunRow, store: Store) -> RunRow:
    """Return a row with the state that its lock tells: one that says ``running`` and that nobody holds was interrupted.

    A process that is killed cannot write that it has ended. Where the lock cannot be looked at, the row stays as it is.
    """
    if run.state != "running" or is_held(store.home / "runs" / run.id) is not False:
        return run
    now = store.run(run.id)  # it may have ended well since it was read
    return replace(now, state="interrupted") if now.state == "running" else now
