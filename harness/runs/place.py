"""What the host that runs a shard offers it: engine, GPUs, cores, memory, and a folder of its own on a local disk.

Everything is found where the shard runs, never on the host that dealt it. A container's folder is named by who made
it: this host, this boot and PID namespace, this process. Only its owner removes it, or, once the owner is seen to be
dead, another process of the same host and namespace.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.engines import choose_engine
from harness.engines.base import Engine
from harness.engines.gpus import lease
from harness.engines.nvidia import Gpu
from harness.engines.owners import boot_id, owner_lives, pid_namespace, process_start
from harness.host.capacity import usable_cores, usable_memory
from harness.images.identity import LABEL
from harness.sandbox.folder import remove_tree

#: What stands before the rest of a folder's name: host, namespace, process, its start.
_OWNED = re.compile(r"(?P<node>[A-Za-z0-9-]+)\.(?P<space>[0-9a-f]{12})\.(?P<pid>\d+)\.(?P<start>\d+)\.")


@dataclass(frozen=True)
class Place:
    """What a host offers one shard.

    Attributes
    ----------
    engine
        The engine of this host.
    scratch
        A folder on a local disk, in which the shard makes one of its own.
    gpus
        The GPUs that are held for it; empty for none.
    per_gpu
        Containers that share each of them, itself included.
    cores, memory_bytes
        What this process may use: all of the host, or what a scheduler or a container grants.
    node
        Name of the host.
    deadline
        When the shard must have ended, on this host's monotonic clock, seconds; None for no limit.
    """

    engine: Engine
    scratch: Path
    gpus: tuple[Gpu, ...] = ()
    per_gpu: int = 1
    cores: int = 1
    memory_bytes: int = 0
    node: str = ""
    deadline: float | None = None

    @property
    def gpu_ids(self) -> tuple[str, ...]:
        """The ids of its GPUs."""
        return tuple(gpu.id for gpu in self.gpus)


def offer(
    engine: Engine, scratch: Path, *, gpus: Sequence[Gpu] = (), per_gpu: int = 1, deadline_s: float | None = None
) -> Place:
    """Return what this host offers.

    Parameters
    ----------
    engine, scratch, gpus, per_gpu
        As in :class:`Place`; the GPUs are held by the caller.
    deadline_s
        Seconds from now; None for no limit.
    """
    return Place(
        engine=engine,
        scratch=scratch,
        gpus=tuple(gpus),
        per_gpu=per_gpu,
        cores=usable_cores(),
        memory_bytes=usable_memory(),
        node=node(),
        deadline=None if deadline_s is None else time.monotonic() + deadline_s,
    )


@contextlib.contextmanager
def take_place(
    engine: str,
    scratch: Path,
    *,
    gpus: int = 0,
    memory_mb: int = 0,
    wait_s: float = 0.0,
    deadline_s: float | None = None,
) -> Iterator[Place]:
    """Hold a place on this host, for a shard that was handed in from elsewhere.

    Parameters
    ----------
    engine
        Name of the engine, never ``auto``.
    scratch
        Folder on a local disk; it is made, and what dead processes left in it is removed.
    gpus, memory_mb, wait_s
        GPUs to hold, of those that the scheduler or CUDA's variables grant; see :func:`harness.engines.gpus.lease`.
    deadline_s
        Seconds from now until the shard must have ended; None for no limit.

    Raises
    ------
    BenchError
        When the engine does not answer, or fewer GPUs are granted or free.
    OSError
        When the folder cannot be made.
    """
    until = None if deadline_s is None else time.monotonic() + deadline_s
    with lease(gpus, memory_mb=memory_mb, wait_s=wait_s) as held:
        found = choose_engine(engine, trusted=True)
        scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
        sweep(scratch)
        found.reap()
        left = None if until is None else until - time.monotonic()
        yield offer(found, scratch, gpus=held, deadline_s=left)


def node() -> str:
    """Return the name of this host, as far as it can stand in the name of a file."""
    return re.sub(r"[^A-Za-z0-9-]+", "-", platform.node().partition(".")[0])[:40] or "host"


@contextlib.contextmanager
def own_folder(scratch: Path, name: str) -> Iterator[Path]:
    """Make a folder that only this process removes, for as long as the context lasts.

    Parameters
    ----------
    scratch
        The folder in which it is made.
    name
        What it is for.
    """
    pid = os.getpid()
    owner = f"{node()}.{_space()}.{pid}.{process_start(pid) or 0}"
    folder = scratch / f"{owner}.{name[:100]}.{secrets.token_hex(4)}"
    folder.mkdir(parents=True, mode=0o700)
    try:
        yield folder
    finally:
        with contextlib.suppress(OSError):  # what cannot be removed now is swept later
            remove_tree(folder)


def sweep(scratch: Path) -> list[str]:
    """Remove the folders of processes of this host that are seen to have died; return their names."""
    removed = []
    for folder in _folders(scratch):
        if abandoned(folder.name):
            with contextlib.suppress(OSError):
                remove_tree(folder)
                removed.append(folder.name)
    return removed


def abandoned(name: str) -> bool:
    """Return whether the owner of a folder of this name is seen to have died; False where it cannot be seen."""
    owner = _OWNED.match(name)
    if owner is None or owner["start"] == "0" or (owner["node"], owner["space"]) != (node(), _space()):
        return False
    labels = {"pid": owner["pid"], "start": owner["start"], "boot": boot_id(), "pidns": pid_namespace()}
    return owner_lives({f"{LABEL}.{key}": value for key, value in labels.items()}) is False


def _folders(scratch: Path) -> Iterable[Path]:
    try:
        return [path for path in scratch.iterdir() if path.is_dir() and not path.is_symlink()]
    except OSError:
        return []


def _space() -> str:
    """Return the identity of this boot and PID namespace, within which a process number names one process."""
    return hashlib.sha256(f"{boot_id()} {pid_namespace()}".encode()).hexdigest()[:12]
