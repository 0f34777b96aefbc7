"""GPUs of this machine: discovery, and leases that no two processes can hold at once."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from harness.errors import PrerequisiteError, UnknownName

_LEASES = Path(tempfile.gettempdir()) / "groundbench-gpus"


@dataclass(frozen=True)
class Gpu:
    """One GPU: its stable id, its name and its memory in MiB."""

    id: str
    name: str
    memory_mb: int


def discover_gpus() -> list[Gpu]:
    """Return the GPUs that the NVIDIA driver of this machine reports, in its order; empty without a driver."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    try:
        answer = subprocess.run(
            [tool, "--query-gpu=uuid,name,memory.total", "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    rows = [[cell.strip() for cell in line.split(",")] for line in answer.stdout.splitlines() if line.strip()]
    return [Gpu(id=row[0], name=row[1], memory_mb=int(float(row[2]))) for row in rows if len(row) == 3]


def require_gpus(count: int, ids: Sequence[str] = ()) -> list[Gpu]:
    """Return the GPUs that a lease of `count`, or of those in `ids`, may choose from, whether they are free or not.

    Parameters
    ----------
    count
        Number of GPUs; ignored when `ids` names them.
    ids
        Their ids.

    Raises
    ------
    PrerequisiteError
        When this machine has fewer.
    UsageError
        When an id does not exist.
    """
    wanted = len(ids) or count
    found = discover_gpus() if wanted else []
    if len(found) < wanted:
        here = "no GPU" if not found else f"{len(found)} GPU{'s' if len(found) > 1 else ''}"
        raise PrerequisiteError(
            f"{wanted} GPU{'s' if wanted > 1 else ''} requested, this machine has {here}",
            fix="leave --gpus out to run on the CPU, or install the NVIDIA driver and its container toolkit "
            "(`nvidia-smi` must list the GPUs)",
            lacking="gpu",
        )
    known = {gpu.id: gpu for gpu in found}
    for name in ids:
        if name not in known:
            raise UnknownName("GPU", name, known)
    return [known[name] for name in ids] or found


@contextmanager
def lease(count: int, ids: Sequence[str] = (), *, wait_s: float = 0.0) -> Iterator[list[Gpu]]:
    """Hold GPUs for as long as the context lasts; the kernel frees them when the process dies.

    Parameters
    ----------
    count
        Number of GPUs; ignored when `ids` names them.
    ids
        Their ids.
    wait_s
        Seconds to wait for other processes to release theirs.

    Yields
    ------
    list of Gpu
        The leased GPUs.

    Raises
    ------
    PrerequisiteError
        When the machine has fewer, or others hold them.
    UsageError
        When an id does not exist.
    """
    candidates = require_gpus(count, ids)
    wanted = len(ids) or count
    if wanted == 0:
        yield []
        return
    deadline = time.monotonic() + wait_s
    while True:
        with ExitStack() as held:
            # Lazily, so that no more are locked than requested.
            leased = list(islice((gpu for gpu in candidates if _lock(gpu, held)), wanted))
            if len(leased) == wanted:
                yield leased
                return
        if time.monotonic() >= deadline:
            raise PrerequisiteError(
                f"{wanted} GPU{'s' if wanted > 1 else ''} requested, {len(leased)} free: other runs hold the others",
                fix="wait for them to end, or request fewer",
                lacking="gpu",
            )
        time.sleep(0.5)


def _lock(gpu: Gpu, held: ExitStack) -> bool:
    """Add the lock of one GPU to `held`; False when another process has it."""
    _LEASES.mkdir(exist_ok=True)
    with suppress(PermissionError):
        _LEASES.chmod(0o1777)  # whatever the umask: users of one machine share its GPUs
    path, flags = _LEASES / f"{gpu.id}.lock", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        handle = os.open(path, flags)  # another user's file may be opened here, but not with O_CREAT
    except FileNotFoundError:
        handle = os.open(path, flags | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return False
    held.callback(os.close, handle)
    return True
