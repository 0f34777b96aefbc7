"""Who owns a container, and whether its owner lives: judged only where the owner's process could be seen.

A container carries its harness's process, the boot of its machine and its PID namespace. In the same namespace the
kernel says whether the process lives. From anywhere else (another host on one daemon, a development container) it
cannot be seen, and a lease decides: the owner renews it while it watches, and a container whose lease is long over has
nobody who will come for it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from harness.images.identity import LABEL

#: Seconds between two renewals of a lease.
RENEW_S = 30.0

#: Seconds without a renewal after which a container is without an owner, wherever that may have been.
STALE_S = 600.0

#: The file that every container of a run has mounted; the time of its last change is the lease.
LEASE = "job.json"

#: States of a process that has ended: a zombie is one whose parent has not asked yet how it ended.
_ENDED = ("Z", "X")

_PROC = Path("/proc")


def own_labels(run: str) -> tuple[tuple[str, str], ...]:
    """Return the labels that tie a container to this process: pid, start time, boot and PID namespace."""
    pid = os.getpid()
    return (
        (LABEL, "1"),
        (f"{LABEL}.run", run),
        (f"{LABEL}.pid", str(pid)),
        (f"{LABEL}.start", process_start(pid)),
        (f"{LABEL}.boot", boot_id()),
        (f"{LABEL}.pidns", pid_namespace()),
    )


def owner_lives(labels: Mapping[str, str]) -> bool | None:
    """Return whether the process of these labels is running; None where it cannot be seen from here.

    Parameters
    ----------
    labels
        Labels of a container; those of an earlier version lack the namespace, and nothing is known of their owner.
    """
    pid, start, boot, pidns = (labels.get(f"{LABEL}.{key}", "") for key in ("pid", "start", "boot", "pidns"))
    if not (pid.isdigit() and start and boot and pidns) or (boot, pidns) != (boot_id(), pid_namespace()):
        return None
    seen = _state_and_start(int(pid))
    if seen is not None:
        return seen[1] == start and seen[0] not in _ENDED
    try:
        os.kill(int(pid), 0)  # nothing is sent
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return None  # a process that /proc hides (`hidepid`): the owner, or a later one of its number


def renew(root: Path) -> None:
    """Renew the lease of the container whose job is in the folder `root`."""
    with contextlib.suppress(OSError):  # a full or lost disk is reported elsewhere
        os.utime(root / LEASE)


def process_start(pid: int) -> str:
    """Return when process `pid` started, in kernel ticks since boot; empty where /proc does not show it."""
    seen = _state_and_start(pid)
    return "" if seen is None else seen[1]


def _state_and_start(pid: int) -> tuple[str, str] | None:
    try:
        stat = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return fields[0], fields[19]


def boot_id() -> str:
    """Return the identity of the machine's present boot; empty where the kernel reports none."""
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def pid_namespace() -> str:
    """Return the identity of this process's PID namespace; empty where /proc does not show that namespace."""
    try:
        # In a new namespace without a /proc of its own the numbers there are those of other processes.
        if os.readlink(_PROC / "self") != str(os.getpid()):  # noqa: PTH115 - a Path would normalise it
            return ""
        return os.readlink(_PROC / "self/ns/pid")  # noqa: PTH115
    except OSError:
        return ""
