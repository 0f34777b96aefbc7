"""The verb ``finetune``: what an adapter is handed to train with, and the processes that train together."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Mapping

from groundbench_sdk.records import Job, Rejected

if TYPE_CHECKING:
    from groundbench_sdk.events import Events

#: Names of failures that the harness knows; anything else is ``error``.
FAILURES = ("nan_loss", "out_of_memory", "stalled_loader", "error")


class TrainingFailed(Exception):  # noqa: N818 - an outcome
    """Training cannot go on.

    Parameters
    ----------
    kind
        One of `FAILURES`.
    reason
        One sentence for people.
    """

    def __init__(self, kind: str, reason: str) -> None:
        if kind not in FAILURES:
            raise ValueError("no failure is named {!r}; known: {}".format(kind, ", ".join(FAILURES)))
        super().__init__(reason)
        self.kind, self.reason = kind, reason


class Training:
    """Where a training keeps its state, tells how it goes, and leaves its checkpoint.

    Attributes
    ----------
    state : Path
        Folder that is there again, as it was left, when a training that was interrupted goes on. What lies in it
        must be written atomically.
    rank, world : int
        Which of how many processes this is; only rank 0 tells and delivers.
    """

    def __init__(self, out: Path, events: Events, rank: int = 0, world: int = 1) -> None:
        self._out, self._events = out, events
        self.rank, self.world = rank, world
        self.state = out / "state"
        self.state.mkdir(exist_ok=True)

    def event(
        self,
        step: int,
        steps: int,
        losses: Mapping[str, float],
        *,
        epoch: float | None = None,
        val_dice: float | None = None,
    ) -> None:
        """Tell how far training is; silence for longer than the model's ``stall_timeout_s`` ends it.

        Parameters
        ----------
        step, steps
            Optimiser steps done, and to be done in all.
        losses
            Finite means since the last event, by name.
        epoch
            Passes over the training cases so far.
        val_dice
            Mean Dice over the findings of the validation cases, where it was measured just now.
        """
        if self.rank == 0:
            self._events.emit("train", step=step, steps=steps, losses=dict(losses), epoch=epoch, val_dice=val_dice)

    def checkpoint(self, write: Callable[[Path], None]) -> None:
        """Deliver the checkpoint: `write` fills an empty folder, which then takes its place whole.

        Parameters
        ----------
        write
            Called with the folder; writes regular files only. Called on rank 0 alone.
        """
        if self.rank != 0:
            return
        partial, final = self._out / ".partial-checkpoint", self._out / "checkpoint"
        shutil.rmtree(str(partial), ignore_errors=True)
        partial.mkdir()
        write(partial)
        shutil.rmtree(str(final), ignore_errors=True)
        partial.rename(final)


def processes_of(job: Job) -> int:
    """Return how many processes train together: one a GPU; on the CPU the parameter ``processes``, else one.

    Raises
    ------
    Rejected
        When the parameter is no whole number from 1.
    """
    if job.devices != ["cpu"]:
        return len(job.devices)
    wanted = job.params.get("processes", 1)
    if not isinstance(wanted, int) or isinstance(wanted, bool) or wanted < 1:
        raise Rejected(f"the parameter processes must be a whole number from 1, not {wanted!r}")
    return wanted


def place_of() -> tuple[int, int]:
    """Return (rank, world) of this process, as torchrun's environment tells; (0, 1) outside it."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def start_together(job: Job, adapter: str) -> None:
    """Replace this process by torchrun, which starts one process a device; return where one is enough.

    They meet on the loop-back interface, the only one there is. An image without torch trains in one process, which
    has all devices.

    Parameters
    ----------
    job
        Says how many.
    adapter
        ``"module:Class"``, as in ``python -m groundbench_sdk module:Class``.
    """
    count = processes_of(job)
    if count == 1 or "WORLD_SIZE" in os.environ or importlib.util.find_spec("torch") is None:
        return
    os.environ.update(GLOO_SOCKET_IFNAME="lo", NCCL_SOCKET_IFNAME="lo")
    os.environ["OMP_NUM_THREADS"] = str(max(1, job.threads // count))
    port = 20000 + (os.getpid() * 7919 + int(time.time() * 1000)) % 20000
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--nnodes", "1", "--nproc-per-node", str(count)),
        *("--master-addr", "127.0.0.1", "--master-port", str(port), "--max-restarts", "0"),
        *("-m", "groundbench_sdk", adapter),
    ]
    sys.stdout.flush()
    os.execv(sys.executable, command)  # noqa: S606 - no shell wanted


def failure_of(error: BaseException) -> TrainingFailed:
    """Name what ended a training."""
    if isinstance(error, TrainingFailed):
        return error
    said = f"{type(error).__name__}: {error}"[:2000].encode("utf-8", "replace").decode()
    if type(error).__name__ == "OutOfMemoryError" or isinstance(error, MemoryError):
        return TrainingFailed("out_of_memory", said)
    return TrainingFailed("error", said)


def tell_failure(events: Events, error: BaseException) -> None:
    """Write the event that names what ended a training."""
    failed: Any = failure_of(error)
    events.emit("train_failed", kind=failed.kind, reason=failed.reason)
