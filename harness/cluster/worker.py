"""``bench worker``: one Dask worker that runs one shard at a time, with the GPUs that it was given.

It leaves when it is told to, or when its scheduler is gone, but not before its shard has ended: what a container has
computed is kept. A worker that is told to leave ends after the case in flight, or half a minute later.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import tempfile
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.cluster.config import DaskCluster
from harness.cluster.session import CONNECT_S, certificates, find_scheduler, prove, require_dask, security_of
from harness.cluster.tasks import Here, begin
from harness.engines.gpus import granted_gpus, require_gpus
from harness.engines.nvidia import Gpu
from harness.errors import PrerequisiteError, UsageError
from harness.runs.place import node

if TYPE_CHECKING:
    from distributed import Security, Worker

#: What a worker offers: one shard at a time, and the GPUs for its containers.
SLOT, GPU = "SLOT", "GPU"

#: Seconds from the request to leave until the case in flight is ended.
GRACE_S = 30.0

#: Seconds for each step of taking leave; what takes longer is left behind.
_LEAVE_S = 10.0

_TICK_S = 0.2


def choose_gpus(ids: tuple[str, ...]) -> list[Gpu]:
    """Return the GPUs of a worker, and hide the others from this process.

    Parameters
    ----------
    ids
        As given; none: the one that the environment grants, if it grants one.

    Raises
    ------
    UsageError
        When several are granted and none is named.
    PrerequisiteError
        When one that is named cannot be used.
    """
    found = require_gpus(len(ids), ids) if ids else list(granted_gpus().gpus)
    if not ids and len(found) > 1:
        raise UsageError(
            f"{len(found)} GPUs are granted here, and a worker runs one shard at a time",
            fix="start one worker for each: `bench worker --gpu-ids 0 ...`, `bench worker --gpu-ids 1 ...`",
        )
    if found:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(gpu.id for gpu in found)
    return found


def serve(cluster: DaskCluster, gpus: list[Gpu], here: Here, log: Callable[[str], None]) -> None:
    """Work for a scheduler until it is gone, or this process is told to leave.

    Parameters
    ----------
    cluster
        The scheduler's address, and the shared folder as this host sees it.
    gpus
        Those of :func:`choose_gpus`.
    here
        This worker; a signal sets its request to end.
    log
        Shows one line.

    Raises
    ------
    PrerequisiteError
        When the scheduler cannot be reached, or is gone.
    """
    require_dask()
    address = find_scheduler(cluster)
    folder = certificates(cluster, address, make=False)
    prove(cluster, address, folder)
    begin(here)
    if asyncio.run(_serve(address, security_of(folder), here, gpus, log)):
        return
    if here.running is not None:
        log(f"the scheduler at {address} is gone; this worker leaves after its shard")
    patience = _Patience(here)
    while patience.tick():
        time.sleep(_TICK_S)
    raise PrerequisiteError(f"the scheduler at {address} is gone", fix="start it again, and then this worker")


class _Patience:
    """Lets the case in flight end for half a minute after the request to leave; then it must end now."""

    def __init__(self, here: Here) -> None:
        self._here = here
        self._asked: float | None = None

    def tick(self) -> bool:
        """Return whether a shard still runs; once none does, none begins."""
        if self._here.stop.soon.is_set():
            self._asked = self._asked or time.monotonic()
            if time.monotonic() - self._asked > GRACE_S:
                self._here.stop.now.set()
        return not self._here.leave()


async def _serve(
    address: str, security: Security | None, here: Here, gpus: list[Gpu], log: Callable[[str], None]
) -> bool:
    """Work until the scheduler is gone, or the request to leave; return whether it was the latter."""
    with tempfile.TemporaryDirectory(prefix="groundbench-dask-", ignore_cleanup_errors=True) as folder:
        worker = await _connected(address, security, gpus, folder)
        offers = ", ".join(map(str, gpus)) or "no GPU"
        log(f"{worker.name} waits for shards from {address}: {offers}; shared folder {here.shared}")
        ended = asyncio.create_task(worker.finished())
        while not ended.done() and not here.stop.soon.is_set():
            await asyncio.wait([ended], timeout=_TICK_S)
        if ended.done():
            return False
        log("leaving" if here.running is None else "leaving after the case in flight")
        patience = _Patience(here)
        while patience.tick() and not ended.done():
            await asyncio.sleep(_TICK_S)
        until = time.monotonic() + _LEAVE_S / 2
        while worker.data and not ended.done() and time.monotonic() < until:
            await asyncio.sleep(_TICK_S)  # the driver fetches the shard's report
        with contextlib.suppress(Exception):  # whatever hangs is left behind
            await asyncio.wait_for(worker.close(timeout=2, executor_wait=False, reason="leaving"), _LEAVE_S)
        return True


async def _connected(address: str, security: Security | None, gpus: list[Gpu], folder: str) -> Worker:
    """Return a worker that has registered with its scheduler."""
    from distributed import Worker

    for name in ("distributed.worker", "distributed.core", "distributed.comm"):
        logging.getLogger(name).setLevel(logging.ERROR)
    resources = {SLOT: 1.0, **({GPU: float(len(gpus))} if gpus else {})}
    try:
        return await asyncio.wait_for(
            Worker(
                address,
                name=f"{node()}-{os.getpid()}",
                nthreads=1,
                resources=resources,
                security=security,
                memory_limit=0,
                dashboard=False,
                dashboard_address="127.0.0.1:0",  # what Dask always opens stays on this host
                local_directory=folder,
                death_timeout=CONNECT_S,
            ),
            3 * CONNECT_S,
        )
    except (OSError, TimeoutError) as error:
        raise PrerequisiteError(
            f"the scheduler at {address} did not take this worker: {str(error) or 'no answer'}", fix="see its log"
        ) from error
