"""A training in a pool of other hosts: followed by its files, and dealt again where its host or its worker is lost."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.engines.base import Mount
from harness.errors import DataError, PrerequisiteError
from harness.runs.checkpoint import take_checkpoint
from harness.runs.lock import only_one
from harness.runs.pools import Elsewhere, ShardId
from harness.runs.report import ShardReport
from harness.runs.shard import STOP_FILE
from harness.runs.spec import ShardSpec, bare, next_number
from harness.runs.training.attempt import SAVE_S, Emit, TrainingEnd, TrainingSpec
from harness.runs.training.finetune import TrainingPlan, training_job
from harness.runs.training.shard import CHECKPOINTS, AttemptEnd, PointReader, furthest, read_ends
from harness.sandbox.stop import Stop
from harness.status import TrainingState
from harness.store.trainings import TrainingPoint

#: Seconds that a shard has to end when it is asked to, and when it must; then it is left to itself.
_SOON_S, _NOW_S = SAVE_S + 60.0, 60.0

#: Seconds for which what another host has written may not be seen here yet.
_UNSEEN_S = 120.0

#: Ends after which the training is tried again on another host: nothing is said of the model.
_AGAIN = (TrainingState.INTERRUPTED, TrainingState.INFRA_ERROR)


class LeftInPool(Exception):  # noqa: N818 - not an error: the command was asked to leave
    """The training was handed in, and the command leaves; the message is its name."""


class TrainerInPool:
    """Trains on a host of a pool: one container, whose GPUs are all of one host.

    Parameters
    ----------
    plan
        The plan of the training; what the hosts read of it lies where they see it.
    pool
        The pool.
    gpu_memory_mb
        Memory that each GPU must have, MiB.
    log
        Shows one line.
    """

    def __init__(self, plan: TrainingPlan, pool: Elsewhere, *, gpu_memory_mb: int, log: Callable[[str], None]) -> None:
        self.gpus = plan.request.gpus
        self._plan, self._pool, self._gpu_memory_mb, self._log = plan, pool, gpu_memory_mb, log
        self._folder = pool.shared.resolve() / "runs" / plan.name
        self._points = PointReader(self._folder)
        self._told, self._told_at = "", 0.0  #: what the pool was told of the request to stop
        self._done: AttemptEnd | None = None

    def prove(self, log: Callable[[str], None]) -> None:
        """Let the hosts try out a container with the limits, the GPUs and the files of the training."""
        log(f"{self._pool.name}: its hosts try out the training of {self._plan.request.plugin.name}")
        files = {path.resolve().parent: path.resolve() for case in self._plan.cases for path in (case.ct, case.truth)}
        tried = (Mount(path, f"data/{number}") for number, path in enumerate(files.values()))
        shard = self._shard(training_job(self._plan, self.gpus), (), run="trial", number=0)
        shard = replace(shard, folder=self._pool.shared, mounts=(*shard.mounts, *tried))
        try:
            lacks = self._pool.prove(shard, gpu_memory_mb=self._gpu_memory_mb)
        except PrerequisiteError as error:
            if self.gpus < 2:
                raise
            fewer = "or train first with fewer GPUs, such as --gpus 1: the checkpoint is the same for any number"
            raise PrerequisiteError(error.message, fix=f"{error.fix}; {fewer}", lacking=error.lacking) from error
        for lack in lacks:
            log(f"warning: the {self._pool.engine} engine of {self._pool.name} {lack}")

    def about(self) -> dict[str, Any]:
        """Return the pool; engine and hardware are known when a host has trained."""
        return {"pool": self._pool.name}

    def unheard(self, spec: TrainingSpec, *, after: int, seconds: float) -> list[TrainingPoint]:  # noqa: ARG002
        """Return what was reported while no command followed the training."""
        return [point for point in self._points.new() if point.step > after]

    def train(self, spec: TrainingSpec, emit: Emit, stop: Stop, *, before_s: float) -> TrainingEnd:
        """Hand the training in, unless it runs from before, and follow it until it has ended.

        Raises
        ------
        LeftInPool
            When it was handed in and the command leaves.
        BenchError
            When it is lost again and again without coming any further, or the pool cannot be reached.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with only_one(self._folder, spec.name):
            (self._folder / STOP_FILE).unlink(missing_ok=True)  # of an earlier command
            ended = self._follow(spec, emit, stop)
        self._copy_logs(spec.folder)
        if ended is None:
            return TrainingEnd(TrainingState.INTERRUPTED, "stopped; its state is kept")
        return replace(ended.end, seconds=max(0.0, ended.trained_s - before_s))

    def take(self, spec: TrainingSpec) -> dict[str, dict[str, Any]]:
        """Copy the checkpoint from the shared folder; raises DataError where it is not what its host has written."""
        assert self._done is not None  # noqa: S101 - called after an end that is done
        there = self._folder / CHECKPOINTS / self._done.name
        files = take_checkpoint(there, spec.folder, limit=spec.resources.out_mb * 2**20)
        if files != {name: dict(file) for name, file in self._done.files.items()}:
            raise DataError(
                f"the checkpoint in {there} is not the one that its host has written",
                fix=f"see the disk of the shared folder; remove {self._folder} and train again",
                path=there,
            )
        return files

    def clear(self, spec: TrainingSpec) -> None:  # noqa: ARG002 - its folder is the pool's
        """Remove the training's folder from the shared one, unless an attempt at it may still live."""
        if not self._open():
            shutil.rmtree(self._folder, ignore_errors=True)

    # -- following ----------------------------------------------------------------------------------------------------

    def _follow(self, spec: TrainingSpec, emit: Emit, stop: Stop) -> AttemptEnd | None:
        """Return the end of the training; None where it was stopped without one."""
        number, fruitless = max(self._open(), default=-1), 0
        if number >= 0:
            self._log(f"{spec.name} was handed in before and is followed")
        elif not self._is_done():
            number = self._hand_in(spec)
        reached = furthest(self._folder)
        while True:
            if self._pool.detach and not self._is_done():
                raise LeftInPool(spec.name)
            report = self._wait(number, emit, stop)
            if self._is_done():
                return self._done
            ended = next((end for end in reversed(read_ends(self._folder, self._plan.key))
                          if end.name.partition("-")[0] == str(number)), None)  # fmt: skip
            if ended is not None and ended.end.state not in _AGAIN:
                return ended
            if self._told:
                return ended
            before, reached = reached, furthest(self._folder)
            fruitless = 0 if reached > before else fruitless + 1
            if fruitless > self._pool.redeals:
                raise self._given_up(report)
            where = f" on {report.node}" if report.node else ""
            self._log(f"{spec.name}{where}: {report.state} ({report.reason}); it goes on from its last state")
            number = self._hand_in(spec)

    def _wait(self, number: int, emit: Emit, stop: Stop) -> ShardReport:
        """Wait for the end of an attempt, showing what is reported; return what the pool says of it."""
        lost = ShardReport(self._plan.name, number, "lost", reason="its worker or its host is gone")
        unseen: float | None = None
        while True:
            seen = self._pool.poll()
            points = list(self._points.new())
            if points:
                emit(points)
            self._heed(stop)
            mine = ShardId(self._plan.name, number)
            told = next((report for report in seen.reports if (report.run, report.shard) == mine), None)
            if told is not None or mine not in seen.open:
                lost = told or lost
                if lost.state != "done" or self._is_done() or self._ended(number):
                    return lost
                unseen = unseen or time.monotonic()
                if time.monotonic() - unseen > _UNSEEN_S:
                    return replace(lost, state="lost", reason="it has ended, and what it wrote is not seen here")
            elif self._told and time.monotonic() - self._told_at > (_NOW_S if self._told == "now" else _SOON_S):
                return replace(lost, state="stopped", reason="it did not end in time")
            time.sleep(min(self._pool.look_s, 1.0))

    def _heed(self, stop: Stop) -> None:
        """Pass a request to stop on to the attempt, wherever it runs."""
        asked = "now" if stop.now.is_set() else "soon" if stop.soon.is_set() else ""
        if asked == self._told:
            return
        self._told, self._told_at = asked, time.monotonic()
        with contextlib.suppress(OSError):  # a full disk: the pool is told as well
            (self._folder / STOP_FILE).write_text(asked, encoding="ascii")
        self._pool.stop(now=asked == "now")

    def _is_done(self) -> bool:
        ends = read_ends(self._folder, self._plan.key) if self._done is None else []
        self._done = next((end for end in ends if end.end.state is TrainingState.DONE), self._done)
        return self._done is not None

    def _ended(self, number: int) -> bool:
        return any(end.name.partition("-")[0] == str(number) for end in read_ends(self._folder, self._plan.key))

    def _open(self) -> list[int]:
        """Return the numbers of the attempts that wait or run, also those of an earlier command."""
        return [number for run, number in self._pool.poll().open if run == self._plan.name]

    def _hand_in(self, spec: TrainingSpec) -> int:
        number = next_number(self._folder)
        shard = self._shard(spec.job, spec.cases, run=spec.name, number=number)
        shard.write(self._pool.shared)
        self._pool.start([shard], lambda _run, _case: None)
        return number

    def _shard(self, job: Any, cases: Any, *, run: str, number: int) -> ShardSpec:
        plan = self._plan
        return ShardSpec(
            run=run,
            number=number,
            plan=plan.key,
            folder=self._folder,
            plugin=bare(plan.request.plugin, plan.resources(self.gpus)),
            image=plan.image,
            job=job,
            engine=self._pool.engine,
            gpus=self.gpus,
            cases=cases,
            mounts=plan.weights.mounts,
        )

    def _given_up(self, report: ShardReport) -> BaseException:
        if report.state == "failed":
            return report.error()
        return PrerequisiteError(
            f"{self._plan.name} was {report.state} ({report.reason}), and has not come any further",
            fix="see what ends it (time limit, memory, the host); the same command goes on from its last state",
        )

    def _copy_logs(self, folder: Path) -> None:
        """Keep what the containers printed beside the checkpoint, where it stays."""
        for log in (self._folder / "logs").glob("*.log"):
            kept = folder / "logs" / log.name
            kept.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(OSError):  # they are not worth a training
                shutil.copyfile(log, kept)
