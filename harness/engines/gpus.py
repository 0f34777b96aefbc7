"""The GPUs that a run may use, and leases that no two processes can hold at once."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import islice
from pathlib import Path

from harness.engines.allocation import Allocation, allocate, select
from harness.engines.nvidia import Gpu, ask_driver
from harness.errors import PrerequisiteError
from harness.host.sizes import gpu_size

_LEASES = Path(tempfile.gettempdir()) / "groundbench-gpus"


def granted_gpus() -> Allocation:
    """Return the GPUs that this process may use: of those that the driver lists, what the environment grants."""
    driver = ask_driver()
    if not driver.gpus:
        return Allocation(problem=driver.problem)
    return allocate(driver.gpus, os.environ)


def require_gpus(count: int, ids: Sequence[str] = (), *, memory_mb: int = 0) -> list[Gpu]:
    """Return the GPUs that a lease of `count`, or of those in `ids`, may choose from, whether leased or not.

    Parameters
    ----------
    count
        Number of GPUs; ignored when `ids` names them.
    ids
        Their numbers, UUIDs or prefixes of these.
    memory_mb
        Memory that each must have, MiB; free, if other programs use the GPU. One whose memory the driver does not
        count is not refused.

    Returns
    -------
    list of Gpu
        Those that no other program uses first, otherwise in the driver's order.

    Raises
    ------
    PrerequisiteError
        When fewer are granted to this process, work, or have the memory.
    UsageError
        When an id does not exist.
    """
    wanted = len(ids) or count
    if not wanted:
        return []
    return enough(granted_gpus(), wanted, ids, memory_mb=memory_mb)


def enough(allocation: Allocation, wanted: int, ids: Sequence[str] = (), *, memory_mb: int = 0) -> list[Gpu]:
    """Return those of an allocation that can be used, the idle ones first; raises as :func:`require_gpus` does."""
    if not allocation.listed:
        raise _lack(wanted, allocation.problem, "`nvidia-smi` must list the GPUs: install or repair the NVIDIA driver")
    found = select(ids, allocation) if ids else list(allocation.gpus)
    if len(found) < wanted:
        raise _lack(wanted, _granted(allocation), "ask the scheduler for more, or set the variable")
    unfit = {gpu.id: reason for gpu in found if (reason := _unfit(gpu, memory_mb))}
    fit = [gpu for gpu in found if gpu.id not in unfit]
    if len(fit) < wanted:
        each = f", with at least {gpu_size(memory_mb)} as the model needs" if memory_mb else ""
        raise _lack(
            wanted,
            f"{len(fit)} of {len(found)} can be used: {'; '.join(unfit.values())}",
            "name others with --gpu-ids, or wait until they are free; `nvidia-smi` shows who uses them",
            each=each,
        )
    return sorted(fit, key=lambda gpu: gpu.occupied)


def _granted(allocation: Allocation) -> str:
    here = f"{len(allocation.listed)} GPU{'' if len(allocation.listed) == 1 else 's'}"
    if allocation.problem:
        return allocation.problem
    if allocation.by:
        return f"{allocation.by} grants {len(allocation.gpus)} of this machine's {here}"
    return f"this machine has {here}"


def _unfit(gpu: Gpu, memory_mb: int) -> str:
    """Return why a GPU cannot be used, with the numbers; empty when nothing is known against it."""
    if gpu.broken:
        return f"{gpu}: nvidia-smi says {gpu.said}"
    if gpu.memory_mb is None or not memory_mb:
        return ""
    if gpu.memory_mb < memory_mb:
        return f"{gpu} has {gpu_size(gpu.memory_mb)}"
    if gpu.occupied and gpu.free_mb is not None and gpu.free_mb < memory_mb:
        return f"{gpu} has {gpu_size(gpu.free_mb)} of {gpu_size(gpu.memory_mb)} free, other programs use the rest"
    return ""


def _lack(wanted: int, reason: str, fix: str, *, each: str = "") -> PrerequisiteError:
    return PrerequisiteError(
        f"{wanted} GPU{'s' if wanted > 1 else ''} requested{each}: {reason}",
        fix=f"{fix}; without --gpus the model runs on the CPU",
        lacking="gpu",
    )


@contextmanager
def lease(count: int, ids: Sequence[str] = (), *, memory_mb: int = 0, wait_s: float = 0.0) -> Iterator[list[Gpu]]:
    """Hold GPUs for as long as the context lasts; the kernel frees them when the process dies.

    Parameters
    ----------
    count
        Number of GPUs; ignored when `ids` names them.
    ids
        Their numbers, UUIDs or prefixes of these.
    memory_mb
        Memory that each must have, MiB, as in :func:`require_gpus`.
    wait_s
        Seconds to wait for other processes to release theirs.

    Yields
    ------
    list of Gpu
        The leased GPUs.

    Raises
    ------
    PrerequisiteError
        When fewer are granted, work, or have the memory, or other runs hold them.
    UsageError
        When an id does not exist.
    """
    candidates = require_gpus(count, ids, memory_mb=memory_mb)
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
    path, flags = _LEASES / f"{gpu.id.replace('/', '_')}.lock", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
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
