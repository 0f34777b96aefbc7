"""Runs the cases of one shard: containers, one after another, until every case has an outcome.

A container that dies is restarted on what is left. The case it died on is tried once more, alone, and then recorded
as failed with the reason. This module talks to the engine and to files only; it knows nothing of scoring or the store.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.engines.base import Container, ContainerSpec, Engine, Exit, Mount, own_labels
from harness.images.build import Image
from harness.registry.discovery import Plugin
from harness.sandbox.contract import CaseDone, CaseFailed, Event, Job, Progress, Started, Warned
from harness.sandbox.events import EventTail
from harness.sandbox.evidence import exit_text, last_lines
from harness.sandbox.folder import broken_bound, lack_of_disk, remove_tree, require_disk
from harness.sandbox.job import JobCase, write_job
from harness.sandbox.masks import collect_case
from harness.status import Status

#: Containers in a row that may end without finishing a case before the shard is given up.
MAX_FRUITLESS = 5

#: Warnings kept of a case; more tell nothing new.
MAX_WARNINGS = 20

_TICK_S = 0.05
#: A container's own time counts, being finer than our tick, while it is this near to ours.
_CLOCK_SLACK_S = 2 * _TICK_S
_SIZE_EVERY_S = 1.0
#: Seconds between the last case and the end of the container.
_END_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class ShardSpec:
    """What ``run_shard`` needs to know.

    Attributes
    ----------
    run, number
        The run's id, and which of its shards this is.
    folder
        The run's folder; masks, logs and containers' folders lie below it.
    plugin, image, job
        What to run, and the job it is given.
    cases
        The cases, in order.
    gpu_ids
        GPUs leased for this shard.
    mounts
        What every container of it may read beside its cases.
    """

    run: str
    number: int
    folder: Path
    plugin: Plugin
    image: Image
    job: Job
    cases: tuple[JobCase, ...]
    gpu_ids: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()


@dataclass(frozen=True)
class CaseOutcome:
    """How one case ended; its masks lie in ``masks/<case>/`` of the run's folder."""

    case: str
    status: Status
    reason: str = ""
    seconds: float | None = None
    host_bytes: int | None = None
    device_bytes: int | None = None
    attempts: int = 1
    log: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)  #: what was seen when its container died


@dataclass(frozen=True)
class ContainerFigures:
    """What one container cost, apart from its cases."""

    shard: int
    start_s: float | None  #: from the request to the first event
    load_s: float | None  #: from the first event to the model being ready
    first_case_s: float | None
    peak_bytes: int | None


@dataclass(frozen=True)
class _Failure:
    status: Status
    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class _Room:
    """What all masks of a shard may still take, however many containers bring them and take them back."""

    bytes_left: int


Emit = Callable[[CaseOutcome | ContainerFigures], None]


class Stop:
    """How a run is asked to end: after the case in flight, or at once."""

    def __init__(self) -> None:
        self.soon = threading.Event()
        self.now = threading.Event()
        self.preparing = False  #: whoever asks to stop raises KeyboardInterrupt instead

    @contextlib.contextmanager
    def nothing_in_flight(self) -> Iterator[None]:
        """Let a request to stop interrupt what is done within the context at once."""
        self.preparing = True
        try:
            yield
        finally:
            self.preparing = False


def run_shard(engine: Engine, spec: ShardSpec, emit: Emit, stop: Stop) -> None:
    """Run every case of a shard and emit an outcome for each.

    Parameters
    ----------
    engine
        Where to run.
    spec
        What to run.
    emit
        Receives each case's outcome as it is known, and each container's figures.
    stop
        Asked between cases and at every tick; cases not finished by then get no outcome.

    Raises
    ------
    BenchError
        When the engine cannot start a container.
    """
    todo = list(spec.cases)
    alone: list[JobCase] = []
    attempts: dict[str, int] = {}
    room = _Room(spec.plugin.model.resources.out_mb * 2**20)
    fruitless = number = 0
    while (todo or alone) and not stop.soon.is_set():
        single = not todo
        batch = [alone.pop(0)] if single else todo
        number += 1
        attempt = _Attempt(engine, spec, batch, number, attempts=attempts, room=room, emit=emit, stop=stop)
        failure = attempt.run()
        left = [case for case in batch if case.prompt.id not in attempt.finished]
        if failure is None:
            todo = [] if single else left
            continue
        if single:
            attempt.fail(left, failure)
            todo = []
            continue
        fruitless = 0 if attempt.finished else fruitless + 1
        suspect = next((case for case in left if case.prompt.id == attempt.current), None)
        if suspect is not None:
            left.remove(suspect)
            alone.append(suspect)
        todo = left
        # Twice in a row without even reaching a case: the next container would do no better.
        if fruitless >= (2 if suspect is None else MAX_FRUITLESS):
            given_up = (
                f"given up after {fruitless} containers in a row that finished no case; the last: {failure.reason}"
            )
            attempt.fail([*todo, *alone], replace(failure, reason=given_up))
            return


class _Attempt:
    """One container over a batch of cases."""

    def __init__(
        self,
        engine: Engine,
        spec: ShardSpec,
        batch: Sequence[JobCase],
        number: int,
        *,
        attempts: dict[str, int],
        room: _Room,
        emit: Emit,
        stop: Stop,
    ) -> None:
        self.finished: set[str] = set()
        self.current: str | None = None
        self._engine, self._spec, self._emit, self._stop = engine, spec, emit, stop
        self._batch = {case.prompt.id: case for case in batch}
        self._attempts, self._room = attempts, room
        self._resources = spec.plugin.model.resources
        name = f"{spec.number}-{number}"
        self._root = spec.folder / "shards" / name
        self._log = Path("logs") / f"{name}.log"
        self._began = time.monotonic()
        self._started: float | None = None
        self._loaded: float | None = None
        self._load_s: float | None = None
        self._case_began = self._began
        self._first_case: float | None = None
        self._last_event: Event | None = None
        self._warnings: dict[str, list[str]] = {}
        self._ended_by_us = False
        self._name = f"groundbench-{spec.run}-{name}-{time.time_ns() % 10**9:09d}"

    def run(self) -> _Failure | None:
        """Run the container to its end; None when it ended well, or was asked to."""
        require_disk(self._spec.folder)
        self._write_job()
        container = self._engine.start(self._container_spec())
        tail = EventTail(self._root / "out" / "events.jsonl")
        try:
            ended, failure = self._watch(container, tail)
            self._ended_by_us = ended is None
            if failure is None and ended is not None:
                for event in tail.rest():
                    self._take(event)
                failure = self._judge(ended)
            if failure is not None and self.current is not None:
                self._attempts[self.current] = self._attempts.get(self.current, 0) + 1
        finally:
            tail.close()
            ended = container.stop()
            container.remove()
            with contextlib.suppress(OSError):  # what is left is removed by the next attempt
                remove_tree(self._root)
        if failure is not None:
            failure = replace(failure, evidence=self._evidence(ended))
        self._emit(
            ContainerFigures(
                shard=self._spec.number,
                start_s=_span(self._began, self._started),
                load_s=self._load_s,
                first_case_s=self._first_case,
                peak_bytes=ended.peak_bytes,
            )
        )
        if failure is not None and failure.status is Status.INFRA_ERROR:
            require_disk(self._spec.folder)  # full without the container, too: no case can be done
        return failure

    def fail(self, cases: Sequence[JobCase], failure: _Failure) -> None:
        """Emit the same failure for every one of `cases`."""
        for case in cases:
            self._outcome(case.prompt.id, failure.status, failure.reason, evidence=failure.evidence)

    # -- preparation --------------------------------------------------------------------------------------------------

    def _write_job(self) -> None:
        write_job(self._root, self._spec.job, self._batch.values())
        (self._spec.folder / self._log).parent.mkdir(exist_ok=True)

    def _container_spec(self) -> ContainerSpec:
        mounts = [*self._spec.mounts, *(mount for case in self._batch.values() for mount in case.mounts)]
        return ContainerSpec(
            name=self._name,
            plugin=self._spec.plugin,
            image=self._spec.image,
            root=self._root.resolve(),
            mounts=tuple(mounts),
            log=self._spec.folder / self._log,
            resources=self._resources,
            gpu_ids=self._spec.gpu_ids,
            labels=own_labels(self._spec.run),
        )

    # -- watching -----------------------------------------------------------------------------------------------------

    def _watch(self, container: Container, tail: EventTail) -> tuple[Exit | None, _Failure | None]:
        """Follow the container until it ends, breaks a limit, or the run is asked to stop."""
        weighed = time.monotonic()
        while True:
            ended = container.wait(_TICK_S)
            if ended is not None:
                return ended, None
            for event in tail.read():
                self._take(event)
                # Between two cases, even where the next one has begun since.
                if self._stop.soon.is_set() and isinstance(event, CaseDone | CaseFailed):
                    return None, None
            if self._stop.now.is_set() or (self._stop.soon.is_set() and self.current is None):
                return None, None
            now = time.monotonic()
            late = self._late(now)
            if late is not None:
                return None, late
            if now - weighed >= _SIZE_EVERY_S:
                weighed = now
                broken = broken_bound(self._root / "out", self._resources.out_mb)
                if broken:
                    return None, _Failure(Status.PLUGIN_ERROR, broken)
                lacking = lack_of_disk(self._spec.folder)
                if lacking:
                    return None, _Failure(Status.INFRA_ERROR, lacking)

    def _late(self, now: float) -> _Failure | None:
        resources = self._resources
        left = len(self._batch) - len(self.finished)
        if self._started is None:
            # Without any event only the sum of all limits can be held against the container.
            limit = resources.start_timeout_s + resources.case_timeout_s * len(self._batch)
            waited, what = now - self._began, "the container gave no sign and did not end"
        elif self._loaded is None:
            limit, waited, what = resources.start_timeout_s, now - self._started, "loading did not end"
        elif left == 0:
            limit, waited, what = (
                _END_TIMEOUT_S,
                now - self._case_began,
                "the container did not end after its last case",
            )
        else:
            limit, waited = resources.case_timeout_s, now - self._case_began
            what = f"case {self.current} did not end" if self.current else "no case was begun"
        if waited <= limit:
            return None
        return _Failure(Status.TIMEOUT, f"{what} within {limit:g} s")

    def _take(self, event: Event) -> None:
        """Believe an event as far as it fits what is known; `collect_case` looks at the files themselves."""
        now = time.monotonic()
        self._last_event = event
        if isinstance(event, Started):
            self._started = self._started or now
        elif isinstance(event, Progress):
            self._started = self._started or now
            if event.stage == "loaded" and self._loaded is None:
                self._loaded = self._case_began = now
                self._load_s = _believed(event.seconds, now - self._started)
            elif event.case in self._batch and event.case not in self.finished:
                # A case's clock starts where the last one ended: announcing cases neither stops nor sets it.
                if self._loaded is None:
                    self._loaded = self._case_began = now
                self.current = event.case
        elif isinstance(event, Warned):
            self._heed(event)
        elif isinstance(event, CaseDone | CaseFailed):
            if event.case not in self._batch or event.case in self.finished:
                return
            self._started = self._started or now
            self._loaded = self._loaded or now
            if isinstance(event, CaseDone):
                self._deliver(event, now)
            else:
                self._outcome(event.case, Status.PLUGIN_ERROR, event.reason, seconds=now - self._case_began)
            self.current, self._case_began = None, now

    def _heed(self, event: Warned) -> None:
        """Keep what a model says of a case that is under way; the rest of a flood says nothing new."""
        if event.case in self._batch and event.case not in self.finished:
            said = self._warnings.setdefault(event.case, [])
            if len(said) < MAX_WARNINGS and event.text not in said:
                said.append(event.text)

    def _deliver(self, event: CaseDone, now: float) -> None:
        seconds = _believed(event.seconds, now - self._case_began)
        if self._first_case is None:
            self._first_case = seconds
        device = event.device_bytes if self._spec.gpu_ids else None
        self._collect(event.case, seconds, _within(event.host_bytes, self._resources.memory_mb), device)

    def _collect(self, case: str, seconds: float | None, host: int | None, device: int | None) -> None:
        findings = [finding.id for finding in self._batch[case].prompt.findings]
        self._room.bytes_left -= collect_case(
            self._root / "out", case, findings, self._spec.folder / "masks", self._room.bytes_left
        )
        self._outcome(case, Status.OK, seconds=seconds, host=host, device=device)

    def _outcome(
        self,
        case: str,
        status: Status,
        reason: str = "",
        *,
        seconds: float | None = None,
        host: int | None = None,
        device: int | None = None,
        evidence: Mapping[str, Any] | None = None,
    ) -> None:
        self.finished.add(case)
        warnings = self._warnings.pop(case, [])
        if status is not Status.INFRA_ERROR and (lacking := lack_of_disk(self._spec.folder)):
            # Whoever could not write on a full disk is not to blame, and what was written may not be whole.
            status, reason = Status.INFRA_ERROR, f"{lacking}; {reason}".removesuffix("; ")
        self._emit(
            CaseOutcome(
                case=case,
                status=status,
                reason=reason,
                seconds=seconds,
                host_bytes=host,
                device_bytes=device,
                attempts=max(1, self._attempts.get(case, 0) + (status is Status.OK)),
                log=self._log.as_posix(),
                evidence={**(evidence or {}), **({"warnings": warnings} if warnings else {})},
            )
        )

    # -- judging ------------------------------------------------------------------------------------------------------

    def _judge(self, ended: Exit) -> _Failure | None:
        """Decide from the evidence why a container ended, and settle what a clean end leaves open."""
        if ended.code == 0 and not ended.oom:
            for case in [name for name in self._batch if name not in self.finished]:
                if os.path.lexists(self._root / "out" / case):
                    self._collect(case, None, None, None)
                else:
                    self._outcome(case, Status.MISSING_OUTPUT, f"the container ended well without writing out/{case}/")
            return None
        if ended.code is None:
            return _Failure(Status.INFRA_ERROR, ended.error)
        if ended.oom:
            return _Failure(
                Status.OOM, f"the kernel ended it for its memory (limit {self._resources.memory_mb} MiB, declared)"
            )
        last = last_lines(self._spec.folder / self._log, 1)
        said = f"; its last line: {last[0]}" if last else ""
        return _Failure(Status.PLUGIN_ERROR, f"{exit_text(ended.code)}{said}")

    def _evidence(self, ended: Exit) -> dict[str, Any]:
        """Gather what is known at the moment of a container's death, for whoever has to explain it."""
        return {
            "state": ended.state,
            "ended_by_us": self._ended_by_us,
            "exit_code": ended.code,
            "oom": ended.oom,
            "engine_said": ended.error,
            "peak_bytes": ended.peak_bytes,
            "memory_limit_bytes": self._resources.memory_mb * 2**20,
            "lived_s": round(time.monotonic() - self._began, 3),
            "last_event": self._last_event.model_dump(exclude_none=True) if self._last_event else None,
            "last_lines": last_lines(self._spec.folder / self._log, 5),
        }


def _span(begin: float | None, end: float | None) -> float | None:
    return None if begin is None or end is None else end - begin


def _believed(claimed: float | None, observed: float) -> float:
    """Return a container's own time, which is finer than our tick, where our clock does not contradict it."""
    return claimed if claimed is not None and abs(claimed - observed) <= _CLOCK_SLACK_S else observed


def _within(claimed: int | None, limit_mb: int) -> int | None:
    return claimed if claimed is not None and claimed <= limit_mb * 2**20 else None
