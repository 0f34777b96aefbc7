"""The verb ``finetune``: where an adapter logs and delivers a training, and the processes that train together."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any, Callable, Mapping

from groundbench_sdk.events import Events
from groundbench_sdk.records import Job, Rejected
from groundbench_sdk.together import leave_reason

#: Kinds of failure that the harness knows; any other is reported as ``error``.
FAILURES = ("nan_loss", "out_of_memory", "stalled_loader", "error")


#: Different warnings of one process.
_MAX_WARNINGS = 10_000


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
            raise ValueError("unknown kind of failure {!r}; known: {}".format(kind, ", ".join(FAILURES)))
        super().__init__(reason)
        self.kind, self.reason = kind, reason


class Training:
    """Where a training keeps its state, logs its progress, and delivers its checkpoint.

    Attributes
    ----------
    state : Path
        Folder that is restored, as it was left, when an interrupted training resumes. Files in it must be written
        atomically.
    rank, world_size : int
        Number of this process, from 0, and how many train together; only rank 0 logs and delivers.
    """

    def __init__(self, out: Path, events: Events, rank: int = 0, world_size: int = 1) -> None:
        self._out, self._events = out, events
        self._told: set[tuple[str, str]] = set()
        self.rank, self.world_size = rank, world_size
        self.state = out / "state"
        self.state.mkdir(exist_ok=True)

    def event(
        self,
        step: int,
        steps: int,
        losses: Mapping[str, float] | None = None,
        *,
        epoch: float | None = None,
        val_dice: float | None = None,
    ) -> None:
        """Log the progress; a training that is silent for longer than the model's ``stall_timeout_s`` is stopped.

        Parameters
        ----------
        step, steps
            Optimiser steps done, and their total.
        losses
            Mean of each part of the loss since the last event, by name; finite. None: nothing to report.
        epoch
            Passes over the training cases so far.
        val_dice
            Mean Dice over the findings of the validation cases, if it has just been measured.
        """
        if self.rank == 0:
            self._events.emit(
                "train", step=step, steps=steps, losses=dict(losses or {}), epoch=epoch, val_dice=val_dice
            )

    def warn(self, text: str, case: str = "") -> None:
        """Warn the reader of the training's record, for example of a text that was cut; once, however often it is said.

        Parameters
        ----------
        text
            One line; cut after 2,000 characters.
        case
            The case that it is about; empty for the training as a whole.
        """
        said = (case, text[:2000].encode("utf-8", "replace").decode())
        if said not in self._told and len(self._told) < _MAX_WARNINGS:
            self._told.add(said)
            self._events.emit("warning", case=case, text=said[1])

    def checkpoint(self, write: Callable[[Path], None]) -> None:
        """Deliver the checkpoint: `write` fills an empty folder, which then replaces the previous one as a whole.

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


def may_skip(count: int) -> int:
    """Return how many of so many samples or cases may be left out because they cannot be read or prepared: 2 %."""
    return count // 50


def processes_of(job: Job) -> int:
    """Return how many processes train together: one per GPU; on the CPU the parameter ``processes``, by default one.

    However many there are, the training is the same.

    Raises
    ------
    Rejected
        When the parameter is not a positive integer.
    """
    if job.devices != ["cpu"]:
        return len(job.devices)
    wanted = job.params.get("processes", 1)
    if not isinstance(wanted, int) or isinstance(wanted, bool) or wanted < 1:
        raise Rejected(f"the parameter processes must be a positive integer, not {wanted!r}")
    return wanted


def rank_and_world_size() -> tuple[int, int]:
    """Return the rank of this process and the number of processes from torchrun's environment; (0, 1) outside it."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def start_together(job: Job, adapter: str, out: Path) -> None:
    """Replace this process by torchrun, which starts one process per device; return if one process is enough.

    The processes connect over the loop-back interface, the only one in the container. An image without torch trains
    in one process, which has all devices.

    Parameters
    ----------
    job
        States the devices, or on a CPU the number of processes.
    adapter
        ``"module:Class"``, as in ``python -m groundbench_sdk module:Class``.
    out
        The output folder, where the failure of a process is logged.
    """
    count = processes_of(job)
    if count == 1 or "WORLD_SIZE" in os.environ or importlib.util.find_spec("torch") is None:
        return
    os.environ.update(GLOO_SOCKET_IFNAME="lo", NCCL_SOCKET_IFNAME="lo")
    os.environ["OMP_NUM_THREADS"] = str(max(1, job.threads // count))
    port = 20000 + (os.getpid() * 7919 + int(time.time() * 1000)) % 20000
    command = [
        *(sys.executable, "-m", "groundbench_sdk.together", str(out), "--nnodes", "1", "--nproc-per-node", str(count)),
        *("--master-addr", "127.0.0.1", "--master-port", str(port), "--max-restarts", "0"),
        # Asked to end, the first process saves the state, however long that takes: how long is the harness's to say.
        *("--shutdown-timeout", str(24 * 3600)),
        *("-m", "groundbench_sdk", adapter),
    ]
    sys.stdout.flush()
    os.execv(sys.executable, command)  # noqa: S606 - without a shell


def failure_of(error: BaseException) -> TrainingFailed:
    """Return the failure that an exception stands for."""
    if isinstance(error, TrainingFailed):
        return error
    reason = f"{type(error).__name__}: {error}"[:2000].encode("utf-8", "replace").decode()
    if type(error).__name__ == "OutOfMemoryError" or isinstance(error, MemoryError):
        return TrainingFailed("out_of_memory", reason)
    return TrainingFailed("error", reason)


def log_failure(events: Events, error: BaseException) -> None:
    """Write the event that names the failure which ended a training.

    What else than its own doing ended one of several processes is known to the process that started them, which then
    writes the event.
    """
    failed: Any = failure_of(error)
    if failed.kind == "error" and leave_reason(failed.reason):
        return
    events.emit("train_failed", kind=failed.kind, reason=failed.reason)
