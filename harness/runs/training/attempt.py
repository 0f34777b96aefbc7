"""Runs one container that fine-tunes, and watches it: silence, size and death end it with a named state."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.engines.base import Container, ContainerSpec, Engine, Exit, Mount, own_labels
from harness.images.build import Image
from harness.registry.discovery import Plugin
from harness.registry.resources import Resources
from harness.runs.shard import Stop
from harness.sandbox.contract import Event, Job, Progress, Started, Train, TrainFailed
from harness.sandbox.events import EventTail
from harness.sandbox.evidence import exit_text, last_lines
from harness.sandbox.folder import broken_bound, lack_of_disk, remove_tree, require_disk
from harness.sandbox.job import JobCase, write_job
from harness.status import TrainingState
from harness.store.trainings import TrainingPoint

#: Seconds that a training has to save its state when it is asked to end.
SAVE_S = 60.0

_TICK_S = 0.1
_SIZE_EVERY_S = 2.0


@dataclass(frozen=True)
class TrainingSpec:
    """What one training container needs.

    Attributes
    ----------
    name
        Names its container; readable.
    folder
        The training's folder; the container's own lies below it and keeps ``out/state/`` from one attempt to the next.
    plugin, image, job, resources
        What to run.
    cases
        The train and val cases.
    mounts
        What the container may read beside its cases: weights.
    gpu_ids
        All GPUs leased for it.
    """

    name: str
    folder: Path
    plugin: Plugin
    image: Image
    job: Job
    resources: Resources
    cases: tuple[JobCase, ...]
    mounts: tuple[Mount, ...]
    gpu_ids: tuple[str, ...] = ()

    @property
    def root(self) -> Path:
        """The container's ``/bench``."""
        return self.folder / "container"


@dataclass(frozen=True)
class TrainingEnd:
    """How one attempt ended.

    Attributes
    ----------
    state, reason
        ``DONE`` when the container ended well; what it delivered is not looked at yet.
    seconds
        From the container's start to its end.
    peak_bytes
        Peak memory of the container, where it could be read.
    evidence
        What was seen when it died.
    log
        Its log, below the training's folder.
    """

    state: TrainingState
    reason: str = ""
    seconds: float = 0.0
    peak_bytes: int | None = None
    evidence: dict[str, Any] = field(default_factory=dict)
    log: str = ""


def run_training(
    engine: Engine, spec: TrainingSpec, emit: Callable[[Sequence[TrainingPoint]], None], stop: Stop, *, before_s: float
) -> TrainingEnd:
    """Run one container to its end.

    Parameters
    ----------
    engine, spec
        Where and what.
    emit
        Receives what the training reports, as it comes.
    stop
        `soon`: the container is asked to save its state and to end; `now`: it is ended.
    before_s
        Seconds that earlier attempts trained; the points' clock goes on from there.

    Returns
    -------
    TrainingEnd
        How it ended; failures of the model are not raised.

    Raises
    ------
    BenchError
        When the engine cannot start a container, or the disk is full.
    """
    require_disk(spec.folder)
    _prepare(spec)
    log = Path("logs") / f"{time.strftime('%Y%m%dT%H%M%S')}-{time.time_ns() % 10**6:06d}.log"
    (spec.folder / log).parent.mkdir(exist_ok=True)
    watch = _Watch(engine, spec, log=spec.folder / log, emit=emit, stop=stop, before_s=before_s)
    end = watch.run()
    return TrainingEnd(end.state, end.reason, end.seconds, end.peak_bytes, end.evidence, log.as_posix())


def unheard(spec: TrainingSpec, *, after: int, seconds: float) -> list[TrainingPoint]:
    """Return what a container reported beyond step `after` while nobody listened: its harness had been killed.

    Their clock stands at `seconds`, as nobody knows when they came.
    """
    tail = EventTail(spec.root / "out" / "events.jsonl")
    try:
        events = tail.rest()
    finally:
        tail.close()
    points = []
    for event in events:
        if isinstance(event, Train) and after < event.step <= event.steps:
            after = event.step
            points.append(TrainingPoint(event.step, event.steps, event.losses, event.epoch, event.val_dice, seconds))
    return points


def _prepare(spec: TrainingSpec) -> None:
    """Write the job; of an earlier attempt keep nothing but the state."""
    root, kept = spec.root, spec.folder / "state"
    if (root / "out" / "state").is_dir() and not (root / "out" / "state").is_symlink():
        remove_tree(kept)
        (root / "out" / "state").rename(kept)
    write_job(root, spec.job, spec.cases)
    if kept.is_dir():
        kept.rename(root / "out" / "state")


class _Watch:
    """One container, from its start to its end."""

    def __init__(
        self,
        engine: Engine,
        spec: TrainingSpec,
        *,
        log: Path,
        emit: Callable[[Sequence[TrainingPoint]], None],
        stop: Stop,
        before_s: float,
    ) -> None:
        self._engine, self._spec, self._log, self._emit, self._stop = engine, spec, log, emit, stop
        self._before_s = before_s
        self._began = self._last_sign = time.monotonic()
        self._started = self._loaded = False
        self._asked: float | None = None
        self._failed: TrainFailed | None = None
        self._step = -1

    def run(self) -> TrainingEnd:
        spec = self._spec
        container = self._engine.start(
            ContainerSpec(
                name=f"groundbench-{spec.name}-{time.time_ns() % 10**9:09d}",
                plugin=spec.plugin,
                image=spec.image,
                root=spec.root.resolve(),
                mounts=(*spec.mounts, *(mount for case in spec.cases for mount in case.mounts)),
                log=self._log,
                resources=spec.resources,
                gpu_ids=spec.gpu_ids,
                labels=own_labels(spec.name),
            )
        )
        self._began = self._last_sign = time.monotonic()
        tail = EventTail(spec.root / "out" / "events.jsonl")
        try:
            ended, broken = self._follow(container, tail)
            if ended is not None:
                self._take(tail.rest())
        finally:
            tail.close()
            ended = container.stop()
            container.remove()
        state, reason = broken if broken is not None else self._judge(ended)
        if state not in (TrainingState.DONE, TrainingState.INTERRUPTED) and (lacking := lack_of_disk(spec.folder)):
            state, reason = TrainingState.INFRA_ERROR, f"{lacking}; {reason}"
        evidence = {
            "exit_code": ended.code,
            "oom": ended.oom,
            "engine_said": ended.error,
            "peak_bytes": ended.peak_bytes,
            "memory_limit_bytes": spec.resources.memory_mb * 2**20,
            "last_step": self._step,
            "last_lines": last_lines(self._log, 5),
        }
        seconds = time.monotonic() - self._began
        return TrainingEnd(state, reason, seconds, ended.peak_bytes, {} if state is TrainingState.DONE else evidence)

    def _follow(self, container: Container, tail: EventTail) -> tuple[Exit | None, tuple[TrainingState, str] | None]:
        """Watch until the container ends by itself, or give the reason why it must."""
        weighed = time.monotonic()
        while True:
            ended = container.wait(_TICK_S)
            self._take(tail.read())
            if ended is not None:
                return ended, None
            now = time.monotonic()
            if self._stop.soon.is_set() and self._asked is None:
                self._asked = now
                container.ask()
            if self._stop.now.is_set() or (self._asked is not None and now - self._asked > SAVE_S):
                return None, (TrainingState.INTERRUPTED, "stopped before its state was saved again")
            late = self._late(now)
            if late:
                return None, (TrainingState.TIMEOUT, late)
            if now - weighed >= _SIZE_EVERY_S:
                weighed = now
                if broken := broken_bound(self._spec.root / "out", self._spec.resources.out_mb):
                    return None, (TrainingState.PLUGIN_ERROR, broken)
                if lacking := lack_of_disk(self._spec.folder):
                    return None, (TrainingState.INFRA_ERROR, lacking)

    def _late(self, now: float) -> str:
        resources = self._spec.resources
        if self._loaded or not self._started:
            limit, what = resources.stall_timeout_s, "no train event came"
        else:
            limit, what = resources.start_timeout_s, "loading did not end"
        return f"{what} within {limit:g} s" if now - self._last_sign > limit else ""

    def _take(self, events: Sequence[Event]) -> None:
        """Believe an event as far as it fits what is known; steps only ever rise."""
        now = time.monotonic()
        points = []
        for event in events:
            if isinstance(event, Started) and not self._started:
                self._started, self._last_sign = True, now
            elif isinstance(event, Progress) and event.stage == "loaded" and not self._loaded:
                self._loaded, self._last_sign = True, now
            elif isinstance(event, Train) and self._step < event.step <= event.steps:
                self._loaded, self._last_sign, self._step = True, now, event.step
                seconds = round(self._before_s + now - self._began, 2)
                points.append(
                    TrainingPoint(event.step, event.steps, event.losses, event.epoch, event.val_dice, seconds)
                )
            elif isinstance(event, TrainFailed):
                self._failed = self._failed or event
        if points:
            self._emit(points)

    def _judge(self, ended: Exit) -> tuple[TrainingState, str]:
        """Decide from the evidence why the container ended."""
        if self._asked is not None:
            return TrainingState.INTERRUPTED, "stopped; its state is kept"
        if ended.oom:
            limit = self._spec.resources.memory_mb
            return TrainingState.OOM, f"the kernel ended it for its memory (limit {limit} MiB, declared)"
        if self._failed is not None:
            return TrainingState(self._failed.kind), self._failed.reason
        if ended.code == 0:
            return TrainingState.DONE, ""
        if ended.code is None:
            return TrainingState.INFRA_ERROR, ended.error
        said = last_lines(self._log, 1)
        return TrainingState.PLUGIN_ERROR, exit_text(ended.code) + (f"; its last line: {said[0]}" if said else "")


def clear(spec_root: Path) -> None:
    """Remove what is left of a container once its checkpoint is taken."""
    with contextlib.suppress(OSError):  # what stays is removed with the training's folder
        remove_tree(spec_root)
