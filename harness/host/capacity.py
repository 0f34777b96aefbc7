"""What this process may use of its machine: cores and memory.

A machine's figures are not what a job has of it: a scheduler such as Slurm pins a job to some cores, and a control
group (of a job, a pod or a container) limits its processor time and memory.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

#: Where the kernel lists the control groups of this process, and where they are mounted.
MEMBERSHIP = Path("/proc/self/cgroup")
CONTROL = Path("/sys/fs/cgroup")


def usable_cores() -> int:
    """Return the number of processor cores that this process may use, at least 1.

    The fewest of: the cores that it is pinned to (``sched_getaffinity``), and the limits of processor time of its
    control groups (``cpu.max``, or ``cpu.cfs_quota_us`` of version 1), a part of a core counting as one.
    """
    quotas = [quota / period for quota, period in _quotas() if quota > 0 and period > 0]
    return max(1, min([len(os.sched_getaffinity(0)), *map(math.ceil, quotas)]))


def usable_memory() -> int:
    """Return the bytes of memory that this process may use: the machine's, or the least limit of its control groups."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *(limit for limit in _memory_limits() if limit > 0)])


def _quotas() -> Iterator[tuple[int, int]]:
    """Yield (quota, period) in microseconds of every limit of processor time."""
    for folder in _folders("cpu"):
        for numbers in ([_text(folder / "cpu.max")], [_text(folder / f"cpu.cfs_{n}_us") for n in ("quota", "period")]):
            words = " ".join(numbers).split()
            if len(words) == 2 and all(word.isdecimal() for word in words):  # an unlimited group says "max" or "-1"
                yield int(words[0]), int(words[1])


def _memory_limits() -> Iterator[int]:
    for folder in _folders("memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            if (limit := _text(folder / name)).isdecimal():
                yield int(limit)


def _folders(controller: str) -> Iterator[Path]:
    """Yield the folders of this process's control groups, each with all above it: any of them may have a limit.

    A line reads ``number:controllers:path``; version 2 has one, without controllers. Inside a container the path may
    be that of the host, which is not there: then only the mount itself, the container's own group, is left to look at.
    """
    for line in _text(MEMBERSHIP).splitlines():
        _, _, rest = line.partition(":")
        names, _, group = rest.partition(":")
        if names and controller not in names.split(","):
            continue
        roots = [CONTROL / controller, CONTROL / names] if names else [CONTROL, CONTROL / "unified"]
        for root in dict.fromkeys(roots):
            path = PurePosixPath(group.lstrip("/"))
            yield from (root / part for part in (path, *path.parents))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
