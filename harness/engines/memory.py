"""What the kernel knows of a container's control group: its peak of memory, what it ended for it, what files it holds.

The group is found through a process of the container, whichever driver of whichever engine has made it, and is gone
with the container: what was read last is what is known.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")

#: Where a container has its output folder: as the kernel names what is open in it, on the host as well.
_OUT = "/bench/out/"
_GROUPS = Path("/sys/fs/cgroup")


class MemoryGroup:
    """The control group of a container, of either version.

    Parameters
    ----------
    pid
        A process of the container, as this host counts; 0 where none is known: nothing is ever read.

    Attributes
    ----------
    peak_bytes
        The largest use of memory so far, as last read; None where it cannot be read.
    kills
        Processes that the kernel has ended for the group's limit, as last read.
    """

    def __init__(self, pid: int) -> None:
        self.peak_bytes: int | None = None
        self.kills = 0
        self._peak, self._events = _files(pid)

    def sample(self) -> None:
        """Read both figures again."""
        with contextlib.suppress(OSError, ValueError):
            self.peak_bytes = max(self.peak_bytes or 0, int(self._peak.read_text(encoding="ascii")))
        with contextlib.suppress(OSError):
            if found := re.search(r"^oom_kill (\d+)$", self._events.read_text(encoding="ascii"), re.MULTILINE):
                self.kills = max(self.kills, int(found[1]))

    def held_bytes(self, device: int) -> int:
        """Return the bytes of the files without a name that its processes hold open in ``out/``, each counted once.

        Files that were removed while they were open are in no folder, but fill the disk until they are closed. What
        was mounted to be read does not count, though somebody may have replaced it meanwhile.

        Parameters
        ----------
        device
            Number of the disk, as in ``os.stat(folder).st_dev``.
        """
        held: dict[int, int] = {}
        for pid in self._processes():
            for path in _open_files(pid):
                with contextlib.suppress(OSError):  # closed meanwhile, or not ours to see
                    if not str(path.readlink()).startswith(_OUT):
                        continue
                    status = path.stat()
                    if status.st_dev == device and not status.st_nlink and stat.S_ISREG(status.st_mode):
                        held[status.st_ino] = status.st_blocks * 512
        return sum(held.values())

    def _processes(self) -> list[int]:
        with contextlib.suppress(OSError, ValueError):
            return [int(line) for line in (self._peak.parent / "cgroup.procs").read_text(encoding="ascii").split()]
        return []


def _open_files(pid: int) -> Iterator[Path]:
    """Yield what a process has open or mapped: links to files, whatever their names were."""
    for kind in ("fd", "map_files"):
        with contextlib.suppress(OSError):  # ended, or another user's
            yield from (_PROC / str(pid) / kind).iterdir()


def grouped_apart(pid: int) -> int:
    """Return a process below `pid` whose memory is counted apart from that of this process; 0 where there is none."""
    here, waiting = _files(os.getpid()), [pid]
    while waiting:
        one = waiting.pop()
        if (there := _files(one)) != here and there[0].exists():
            return one
        with contextlib.suppress(OSError, ValueError):
            children = (_PROC / str(one) / "task" / str(one) / "children").read_text(encoding="ascii")
            waiting += [int(child) for child in children.split()]
    return 0


def _files(pid: int) -> tuple[Path, Path]:
    """Return the kernel's files with the peak and with the events of a process's group; such as do not exist."""
    try:
        lines = (_PROC / str(pid) / "cgroup").read_text(encoding="utf-8").splitlines() if pid > 0 else []
    except OSError:
        lines = []
    groups = {controllers: path for _, controllers, path in (line.split(":", 2) for line in lines)}
    for controllers, path in groups.items():
        if "memory" in controllers.split(","):
            folder = _GROUPS / "memory" / path.lstrip("/")
            return folder / "memory.max_usage_in_bytes", folder / "memory.oom_control"
    folder = _GROUPS / groups[""].lstrip("/") if "" in groups else Path("/nonexistent")
    return folder / "memory.peak", folder / "memory.events"
