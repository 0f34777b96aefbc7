"""Attempts at the cases of one shard: containers, one after another, until every case has an outcome.

A case's outcome does not depend on the cases that share its container: what is accepted there would also be accepted
from a container of its own, because every bound belongs to a case; what failed there, after others or with its
container, is tried once more, alone, and only then recorded as failed with the reason. A container that dies is
restarted on what is left. This module uses the engine and files only; it does not depend on scoring or the store.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeGuard

from harness.engines.base import ContainerSpec, Exit
from harness.engines.device_memory import DeviceMemory
from harness.engines.owners import own_labels
from harness.registry.resources import Resources
from harness.runs.case_clock import TICK_S, CaseClock
from harness.runs.outcome import MASKS, CaseOutcome, ContainerFigures
from harness.runs.place import Place
from harness.runs.spec import ShardSpec
from harness.runs.tries import Mark
from harness.sandbox.contract import CaseDone, CaseFailed, Event, Progress, Started, Warned
from harness.sandbox.evidence import PredictionEvidence, death_text, last_lines
from harness.sandbox.folder import lack_of_disk, remove_tree, require_disk
from harness.sandbox.job import JobCase, write_job
from harness.sandbox.masks import Collected, collect_case, drop
from harness.sandbox.names import InsideNames
from harness.sandbox.stop import Stop
from harness.sandbox.trial import prove_again
from harness.sandbox.wall import explained
from harness.sandbox.watch import Bounds, Broken, Ended, watch
from harness.status import Status

#: Containers in a row that may end without finishing a case before each case gets a container of its own; and those
#: that do not reach one, before that, or before the model counts as one that cannot be loaded.
MAX_FRUITLESS, MAX_UNREACHED = 5, 2

#: Warnings kept of a case; the rest of a flood is dropped.
MAX_WARNINGS = 20

_WEIGH_EVERY_S = 1.0


@dataclass(frozen=True)
class _Failure:
    status: Status
    reason: str
    evidence: PredictionEvidence | None = None


Emit = Callable[[CaseOutcome | ContainerFigures], None]


def run_cases(spec: ShardSpec, place: Place, name: str, *, root: Path, emit: Emit, mark: Mark, stop: Stop) -> None:
    """Run every case of a shard and emit an outcome for each.

    Parameters
    ----------
    spec, place
        The shard, and what its host offers.
    name
        Name of its figures and logs.
    root
        A folder of its own on a local disk; the containers' folders are made in it.
    emit
        Receives each case's outcome as it is known, and each container's figures.
    mark
        Put on the case that is in flight.
    stop
        Checked between cases and at every tick; unfinished cases get no outcome.

    Raises
    ------
    BenchError
        When the engine cannot start a container, or containers do not work any more.
    OSError
        When the run's folder or the local disk cannot be read or written.
    """
    shard = _Shard(spec, place, name, root, emit, mark, stop)
    todo = list(spec.cases)
    alone: list[JobCase] = []
    attempts: dict[str, int] = {}
    fruitless = number = 0
    while (todo or alone) and not stop.soon.is_set():
        single = not todo
        batch = [alone.pop(0)] if single else todo
        number += 1
        attempt = _Attempt(shard, batch, number, attempts)
        failure = attempt.run()
        left = [case for case in batch if case.prompt.id not in attempt.finished]
        if single:
            if failure is not None:
                attempt.fail(left, failure)
            continue
        again = attempt.doubtful if failure is None else attempt.doubtful | {attempt.current}
        alone += [case for case in left if case.prompt.id in again]
        todo = [case for case in left if case.prompt.id not in again]
        if failure is None:
            continue
        fruitless = 0 if attempt.finished or attempt.doubtful else fruitless + 1
        reached = attempt.current is not None
        # Loading knows the job, not the cases: the next container would fail in the same way.
        if fruitless >= MAX_UNREACHED and attempt.loading:
            given_up = f"given up after {fruitless} containers in a row that did not load the model; the last: "
            attempt.fail([*todo, *alone], replace(failure, reason=given_up + failure.reason))
            return
        if fruitless >= (MAX_FRUITLESS if reached else MAX_UNREACHED) or attempt.mute:
            alone, todo = [*alone, *todo], []


@dataclass(frozen=True)
class _Shard:
    """What all attempts of a shard share, as in :func:`run_cases`."""

    spec: ShardSpec
    place: Place
    name: str
    root: Path
    emit: Emit
    mark: Mark
    stop: Stop

    @property
    def resources(self) -> Resources:
        """The limits of its containers, with no more cores than the host offers."""
        declared = self.spec.plugin.model.resources
        return replace(declared, cpus=min(declared.cpus, self.place.cores))

    def lack_of_disk(self) -> str:
        """Return in words how little space is left, where masks go or where containers write."""
        return lack_of_disk(self.spec.folder) or lack_of_disk(self.root)

    def require_disk(self) -> None:
        """Raise PrerequisiteError where one of the two is full."""
        require_disk(self.spec.folder)
        require_disk(self.root)


class _Attempt:
    """One container over a batch of cases."""

    def __init__(self, shard: _Shard, batch: Sequence[JobCase], number: int, attempts: dict[str, int]) -> None:
        self.finished: set[str] = set()
        self._phases: dict[str, dict[str, float]] = {}
        self.doubtful: set[str] = set()  #: failed after others: whether by themselves, a container of their own shows
        self._begun: set[str] = set()  #: its cases that began, also those that never ended
        self._shard, self._spec, self._place = shard, shard.spec, shard.place
        self._names = InsideNames(batch, shard.spec.salt, shard.spec.job.seed)
        self._batch = dict.fromkeys(self._names.order)  # its cases, in the order in which it has them
        self._number, self._attempts = number, attempts
        self._resources = shard.resources
        self._root = shard.root / str(number)
        self._log = Path("logs") / f"{shard.name}-{number}.log"
        self._clock = CaseClock(self._resources)
        self._last_event: Event | None = None
        self._load_device_bytes: int | None = None
        self._mute = False
        self._warnings: dict[str, list[str]] = {}
        self._name = f"groundbench-{shard.spec.run}-{shard.name}-{number}-{time.time_ns() % 10**9:09d}"

    @property
    def current(self) -> str | None:
        """The current case, or the one at the container's end."""
        return self._clock.current

    @property
    def settled(self) -> int:
        """Number of cases that have ended in this container."""
        return len(self.finished) + len(self.doubtful)

    @property
    def loading(self) -> bool:
        """Whether the container has started, and was loading its model at its end."""
        return self._clock.loading

    @property
    def mute(self) -> bool:
        """Whether the harness ended a container that had not reported anything: its cases cannot be timed apart."""
        return self._mute

    def run(self) -> _Failure | None:
        """Run the container to its end; None when it succeeded, or ended on request."""
        self._shard.require_disk()
        threads = max(1, math.ceil(self._resources.cpus))
        write_job(self._root, self._spec.job.model_copy(update={"threads": threads}), self._names.cases)
        (self._spec.folder / self._log).parent.mkdir(exist_ok=True)
        asked = self._container_spec()
        out = self._root / "out"
        bounds = Bounds(out, self._resources.out_mb, self._shard.root, tick_s=TICK_S, weigh_every_s=_WEIGH_EVERY_S)
        self._shard.mark.move(next(iter(self._batch)))
        # What several containers take of one GPU cannot be told apart from outside.
        self._devices = DeviceMemory(self._place.gpu_ids if self._place.per_gpu == 1 else ())
        try:
            container = self._place.engine.start(asked)
            ended = watch(container, bounds, self, self._shard.stop)
            self._names.tell(self._spec.folder / self._log)
            failure = self._judge(ended)
            self._mute = ended.broken is not None and self._clock.start_s is None
            if failure is not None and self.current is not None:
                self._tried(self.current)
        finally:
            self._shard.mark.move(None)
            with contextlib.suppress(OSError):  # leftovers are removed with the shard's folder
                remove_tree(self._root)
        if failure is not None:
            failure = replace(failure, evidence=self._evidence(ended))
            if failure.status is not Status.INFRA_ERROR:
                prove_again(self._place.engine, asked)
        self._emit_figures(ended.exit.peak_bytes)
        if failure is not None and failure.status is Status.INFRA_ERROR:
            self._shard.require_disk()  # full without the container, too: no case can be run
        return failure

    def fail(self, cases: Sequence[JobCase], failure: _Failure) -> None:
        """Emit the same failure for every one of `cases`."""
        for case in cases:
            attempts = self._attempts.get(case.prompt.id, 0)
            self._outcome(case.prompt.id, failure.status, failure.reason, attempts=attempts, evidence=failure.evidence)

    def _container_spec(self) -> ContainerSpec:
        mounts = [*self._spec.mounts, *(mount for case in self._names.cases for mount in case.mounts)]
        return ContainerSpec(
            name=self._name,
            plugin=self._spec.plugin,
            image=self._spec.image,
            root=self._root,
            mounts=tuple(mounts),
            log=self._spec.folder / self._log,
            resources=self._resources,
            gpu_ids=self._place.gpu_ids,
            labels=own_labels(self._spec.run),
        )

    # -- watching -----------------------------------------------------------------------------------------------------

    def take(self, events: Sequence[Event], *, stopping: bool) -> bool:
        """Process events; a run that is requested to stop does so between two cases."""
        self._devices.sample()
        for event in map(self._names.read, events):
            self._take(event)
            # Between two cases, even where the next one has begun since.
            if stopping and isinstance(event, CaseDone | CaseFailed):
                return True
        return self.current is None

    def late(self, now: float) -> str:
        """Return the exceeded time limit in words."""
        return self._clock.late(now, len(self._batch) - self.settled)

    def _take(self, event: Event) -> None:
        """Accept an event as far as it is consistent; `collect_case` checks the files themselves."""
        now = time.monotonic()
        self._last_event = event
        if isinstance(event, Started):
            self._clock.start(now)
        elif isinstance(event, Progress):
            self._clock.start(now)
            if event.stage == "loaded" and not self._clock.loaded:
                self._clock.load(now)
                self._load_device_bytes = event.device_bytes if self._place.gpus else None
            elif self._is_open(event.case):
                self._clock.begin(event.case, now)
                self._begun.add(event.case)
                self._shard.mark.move(event.case)
        elif isinstance(event, Warned):
            self._heed(event)
        elif isinstance(event, CaseDone | CaseFailed) and self._is_open(event.case):
            self._clock.start(now)
            if isinstance(event, CaseDone):
                self._deliver(event, now)
            elif self.settled or self._begun - {event.case}:
                self._doubt(event.case)
            else:
                self._outcome(
                    event.case, Status.PLUGIN_ERROR, self._explained(event.reason), seconds=self._clock.case_s(now)
                )
            self._clock.end(now)
            self._shard.mark.move(next((name for name in self._batch if self._is_open(name)), None))
            self._emit_figures(None)

    def _is_open(self, case: str | None) -> TypeGuard[str]:
        """Return whether a case that an event names is one of ours that has not ended yet."""
        return case in self._batch and case not in self.finished and case not in self.doubtful

    def _doubt(self, case: str) -> None:
        """Leave the verdict on a failed case to a container of its own: what others left behind may be the cause."""
        self.doubtful.add(case)
        self._warnings.pop(case, None)
        self._tried(case)

    def _tried(self, case: str) -> None:
        self._attempts[case] = self._attempts.get(case, 0) + 1

    def _heed(self, event: Warned) -> None:
        """Store a model's warnings about the current case; the rest of a flood is dropped."""
        if self._is_open(event.case):
            said = self._warnings.setdefault(event.case, [])
            if len(said) < MAX_WARNINGS and event.text not in said:
                said.append(event.text)

    def _deliver(self, event: CaseDone, now: float) -> None:
        seconds = self._clock.done(now)
        device = event.device_bytes if self._place.gpus else None
        self._phases[event.case] = self._clock.phases(now, event.model_dump())
        self._collect(event.case, seconds, _within(event.host_bytes, self._resources.memory_mb), device)

    def _collect(self, case: str, seconds: float | None, host: int | None, device: int | None) -> None:
        names, room = self._names, self._resources.out_mb * 2**20
        out, masks_of_run = self._root / "out", self._spec.folder / MASKS
        masks = collect_case(out, case, names.findings(case), masks_of_run, room, inside=names.inside(case))
        self._outcome(case, Status.OK, seconds=seconds, host=host, device=device, masks=masks)

    def _outcome(
        self,
        case: str,
        status: Status,
        reason: str = "",
        *,
        seconds: float | None = None,
        host: int | None = None,
        device: int | None = None,
        attempts: int | None = None,
        evidence: PredictionEvidence | None = None,
        masks: Collected | None = None,
    ) -> None:
        self.finished.add(case)
        warnings = self._warnings.pop(case, [])
        if status is not Status.INFRA_ERROR and (lacking := self._shard.lack_of_disk()):
            # A failed write on a full disk is not the model's fault, and files may be incomplete.
            status, reason = Status.INFRA_ERROR, f"{lacking}; {reason}".removesuffix("; ")
            if masks is not None:
                drop(self._spec.folder / MASKS, masks.name)
                masks = None
        self._shard.emit(
            CaseOutcome(
                case=case,
                status=status,
                reason=reason,
                seconds=seconds,
                host_bytes=host,
                device_bytes=device,
                attempts=max(1, self._attempts.get(case, 0) + 1 if attempts is None else attempts),
                log=self._log.as_posix(),
                evidence=evidence,
                warnings=tuple(warnings),
                phases=self._phases.pop(case, {}),
                masks={} if masks is None else masks.sha256,
                collected="" if masks is None else masks.name,
                figures=self._shard.name,
            )
        )

    def _emit_figures(self, peak_bytes: int | None) -> None:
        """Emit what the container has cost so far."""
        self._shard.emit(
            ContainerFigures(
                shard=self._spec.number,
                container=self._number,
                start_s=self._clock.start_s,
                load_s=self._clock.load_s,
                first_case_s=self._clock.first_case_s,
                peak_bytes=peak_bytes,
                wall_s=round(self._clock.lived_s, 3),
                device_bytes=self._devices.peak_bytes,
                gpu_busy=self._devices.busy_share,
                load_device_bytes=self._load_device_bytes,
            )
        )

    # -- judging ------------------------------------------------------------------------------------------------------

    def _judge(self, how: Ended) -> _Failure | None:
        """Decide from the evidence why a container ended, and record the cases that a clean end leaves open."""
        if how.broken is not None:
            return _overrun(how.broken, how.exit)
        if not how.by_itself:
            return None  # the run was requested to stop
        ended = how.exit
        if ended.code == 0 and not ended.oom:
            for case in [name for name in self._batch if self._is_open(name)]:
                if os.path.lexists(self._root / "out" / self._names.inside(case)):
                    self._collect(case, None, None, None)
                elif len(self._batch) > 1:
                    self._doubt(case)
                else:
                    self._outcome(case, Status.MISSING_OUTPUT, f"the container ended well without writing out/{case}/")
            return None
        if ended.code is None:
            return _Failure(Status.INFRA_ERROR, ended.error)
        if ended.oom:
            limit = self._resources.memory_gb
            return _Failure(Status.OOM, f"the kernel ended it for its memory (limit: memory_gb = {limit:g}, declared)")
        return _Failure(Status.PLUGIN_ERROR, self._explained(death_text(ended.code, self._spec.folder / self._log)))

    def _explained(self, reason: str) -> str:
        return explained(reason, isolated=self._place.engine.isolates)

    def _evidence(self, ended: Ended) -> PredictionEvidence:
        """Return the evidence at the moment of a container's death, to explain the failure."""
        return PredictionEvidence(
            ended.exit,
            self._resources.memory_mb * 2**20,
            last_lines(self._spec.folder / self._log, 5),
            ended_by_us=not ended.by_itself,
            lived_s=round(self._clock.lived_s, 3),
            last_event=self._last_event.model_dump(exclude_none=True) if self._last_event else {},
        )


def _overrun(broken: Broken, ended: Exit) -> _Failure:
    """Return the failure of a container that broke a bound; the engine's own where it does not say how it ended."""
    if ended.code is None:
        return _Failure(Status.INFRA_ERROR, f"{ended.error}; before that: {broken.reason}")
    return _Failure(broken.status, broken.reason)


def _within(claimed: int | None, limit_mb: int) -> int | None:
    return claimed if claimed is not None and claimed <= limit_mb * 2**20 else None
