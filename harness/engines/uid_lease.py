"""A user of its own for each run: what the kernel counts by user, one run cannot use up for another.

Watches of files (inotify), pipes, queues and keys are counted by user on the whole host, whatever the container. Where
the harness is root it leases a number for as long as its process lives; no person has such a number.
"""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from functools import cache
from pathlib import Path
from typing import Final

from harness.errors import PrerequisiteError

#: The first user of containers, and how many there are.
FIRST: Final = 10001
MANY: Final = 256


def leased_uid() -> int:
    """Return the user of this process's containers, the same for as long as it lives.

    Raises
    ------
    PrerequisiteError
        As many runs are going on as there are users, or the folder of locks belongs to somebody else.
    """
    return _leased(_folder(), os.getpid())


def _folder() -> Path:
    place = Path("/run/lock")
    return (place if os.access(place, os.W_OK) else Path(tempfile.gettempdir())) / "groundbench-uids"


@cache
def _leased(folder: Path, process: int) -> int:
    del process  # a process that was forked leases its own
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise PrerequisiteError(f"{folder} is not a folder that only this user can write to", fix="have it removed")
    for uid in range(FIRST, FIRST + MANY):
        lock = os.open(folder / str(uid), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        return uid  # the lock is held until the process ends
    raise PrerequisiteError(
        f"{MANY} runs are going on here: each has a user of its own", fix="wait until one has ended"
    )
