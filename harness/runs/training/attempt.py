"""Runs and watches one container that fine-tunes: silence, size and death end it with a named state."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.engines.base import ContainerSpec, Engine, Exit, Mount
from harness.engines.owners import own_labels
from harness.images.build import Image
from harness.registry.discovery import Plugin
from harness.registry.resources import Resources
from harness.sandbox.contract import Event, Job, Progress, Started, Train, TrainFailed, Warned
from harness.sandbox.events import EventTail
from harness.sandbox.evidence import TrainingEvidence, death_text, last_lines
from harness.sandbox.folder import lack_of_disk, remove_tree, require_disk
from harness.sandbox.job import JobCase, write_job
from harness.sandbox.stop import Stop
from harness.sandbox.trial import prove_again
from harness.sandbox.wall import explained
from harness.sandbox.watch import Bounds, Ended, watch
from harness.status import TrainingState
from harness.store.trainings import TrainingPoint

#: Seconds for a training to end the pass in flight and to save its state after the request to end: 20 GB on a slow
#: disk. A second request ends it at once.
SAVE_S = 300.0

#: Different warnings that are kept of a training.
_MAX_WARNINGS = 1000

#: States that say that the model failed.
_BLAMED = (TrainingState.PLUGIN_ERROR, TrainingState.TIMEOUT, TrainingState.OOM)

_TICK_S = 0.1
_WEIGH_EVERY_S = 2.0


@dataclass(frozen=True)
class TrainingSpec:
    """The input of one training container.

    Attributes
    ----------
    name
        Names its container; readable.
    folder
        The training's folder; the container's own lies below it and keeps ``out/state/`` from one attempt to the next.
    plugin, image, job, resources
        The plugin, its image, its job and its limits.
    cases
        The train and val cases.
    mounts
        Further files that the container may read: weights.
    gpu_ids
        All GPUs leased for it.
    scratch
        The folder in which its container's folder lies and its state is kept; None for the training's own.
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
    scratch: Path | None = None

    @property
    def root(self) -> Path:
        """The container's ``/bench``."""
        return (self.scratch or self.folder) / "container"

    @property
    def state(self) -> Path:
        """The state of an earlier attempt, for the next container to find in its ``out/state/``."""
        return self.root.with_name("state")


@dataclass(frozen=True)
class TrainingEnd:
    """The end of one attempt.

    Attributes
    ----------
    state, reason
        ``DONE`` when the container succeeded; its checkpoint is not checked yet.
    seconds
        From the container's start to its end.
    peak_bytes
        Peak memory of the container, where it could be read.
    evidence
        The evidence, where it died.
    log
        Its log, below the training's folder.
    warnings
        What the model warned of, each once: ``"CASE: TEXT"``, or the text alone.
    about
        What a training's record says of where it happened, as far as that is known only now.
    """

    state: TrainingState
    reason: str = ""
    seconds: float = 0.0
    peak_bytes: int | None = None
    evidence: TrainingEvidence | None = None
    log: str = ""
    warnings: tuple[str, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)


#: Receives the reports of a training as they arrive.
Emit = Callable[[Sequence[TrainingPoint]], None]


def run_training(engine: Engine, spec: TrainingSpec, emit: Emit, stop: Stop, *, before_s: float) -> TrainingEnd:
    """Run one container to its end.

    Parameters
    ----------
    engine, spec
        The engine and the attempt.
    emit
        Receives the reports of the training as they arrive.
    stop
        `soon`: the container is requested to save its state and to end; `now`: it is ended.
    before_s
        Seconds that earlier attempts trained; the points' clock continues from there.

    Returns
    -------
    TrainingEnd
        The end of the attempt; failures of the model are not raised.

    Raises
    ------
    BenchError
        When the engine cannot start a container, the disk is full, or containers do not work any more.
    """
    require_disk(spec.folder)
    require_disk(spec.root.parent)
    _prepare(spec)
    log = spec.folder / "logs" / f"{time.strftime('%Y%m%dT%H%M%S')}-{time.time_ns() % 10**6:06d}.log"
    log.parent.mkdir(exist_ok=True)
    asked = ContainerSpec(
        name=f"groundbench-{spec.name}-{time.time_ns() % 10**9:09d}",
        plugin=spec.plugin,
        image=spec.image,
        root=spec.root.resolve(),
        mounts=(*spec.mounts, *(mount for case in spec.cases for mount in case.mounts)),
        log=log,
        resources=spec.resources,
        gpu_ids=spec.gpu_ids,
        labels=own_labels(spec.name),
    )
    container = engine.start(asked)
    attempt = _Attempt(spec, log=log, emit=emit, before_s=before_s)
    bounds = Bounds(
        spec.root / "out",
        spec.resources.out_mb,
        spec.root.parent,
        tick_s=_TICK_S,
        weigh_every_s=_WEIGH_EVERY_S,
        grace_s=SAVE_S,
    )
    end = attempt.end(watch(container, bounds, attempt, stop))
    if end.state in _BLAMED:
        prove_again(engine, asked)
    return end


def unheard(spec: TrainingSpec, *, after: int, seconds: float) -> list[TrainingPoint]:
    """Return the reports of a container beyond step `after` that were not read, because its harness was killed.

    Their clock is `seconds`, because their time of arrival is unknown.
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
    """Write the job; of an earlier attempt only the state is kept."""
    root, kept = spec.root, spec.state
    if (root / "out" / "state").is_dir() and not (root / "out" / "state").is_symlink():
        remove_tree(kept)
        (root / "out" / "state").rename(kept)
    write_job(root, spec.job, spec.cases)
    if kept.is_dir():
        kept.rename(root / "out" / "state")


class _Attempt:
    """The reports of one container that trains, and the time since the last."""

    def __init__(self, spec: TrainingSpec, *, log: Path, emit: Emit, before_s: float) -> None:
        self._spec, self._log, self._emit, self._before_s = spec, log, emit, before_s
        self._began = self._last_sign = time.monotonic()
        self._started = self._loaded = False
        self._failed: TrainFailed | None = None
        self._warnings: dict[str, None] = {}  # in order
        self._step = -1

    settled = 0  #: a training has no cases that end

    def take(self, events: Sequence[Event], *, stopping: bool) -> bool:  # noqa: ARG002 - it saves its state on request
        """Accept an event as far as it is consistent; steps only increase."""
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
            elif isinstance(event, Warned) and len(self._warnings) < _MAX_WARNINGS:
                self._warnings[f"{event.case}: {event.text}" if event.case else event.text] = None
        if points:
            self._emit(points)
        return False

    def late(self, now: float) -> str:
        """Return in words how long the container has been silent, where that is longer than declared."""
        resources = self._spec.resources
        if self._loaded or not self._started:
            limit, what = resources.stall_timeout_s, "no train event came"
        else:
            limit, what = resources.start_timeout_s, "loading did not end"
        return f"{what} within {limit:g} s" if now - self._last_sign > limit else ""

    def end(self, ended: Ended) -> TrainingEnd:
        """Return the end of the attempt, with the evidence where it failed."""
        state, reason = self._judge(ended)
        if state not in (TrainingState.DONE, TrainingState.INTERRUPTED) and (
            lacking := lack_of_disk(self._spec.folder) or lack_of_disk(self._spec.root.parent)
        ):
            state, reason = TrainingState.INFRA_ERROR, f"{lacking}; {reason}"
        evidence = TrainingEvidence(
            ended.exit, self._spec.resources.memory_mb * 2**20, last_lines(self._log, 5), last_step=self._step
        )
        return TrainingEnd(
            state,
            reason,
            seconds=time.monotonic() - self._began,
            peak_bytes=ended.exit.peak_bytes,
            evidence=None if state is TrainingState.DONE else evidence,
            log=self._log.relative_to(self._spec.folder).as_posix(),
            warnings=tuple(self._warnings),
        )

    def _judge(self, how: Ended) -> tuple[TrainingState, str]:
        """Decide from the evidence why the container ended."""
        if how.broken is not None:
            return TrainingState(how.broken.status), how.broken.reason
        if not how.by_itself:
            return TrainingState.INTERRUPTED, "stopped before its state was saved again"
        if how.asked:
            return TrainingState.INTERRUPTED, "stopped; its state is kept"
        return self._judge_exit(how.exit)

    def _judge_exit(self, ended: Exit) -> tuple[TrainingState, str]:
        """Decide why a container ended without a request."""
        if ended.oom:
            limit = self._spec.resources.memory_gb
            return TrainingState.OOM, f"the kernel ended it for its memory (limit: memory_gb = {limit:g}, declared)"
        if self._failed is not None:
            return TrainingState(self._failed.kind), explained(self._failed.reason)
        if ended.code == 0:
            return TrainingState.DONE, ""
        if ended.code is None:
            return TrainingState.INFRA_ERROR, ended.error
        return TrainingState.PLUGIN_ERROR, explained(death_text(ended.code, self._log))


def clear(spec_root: Path) -> None:
    """Remove the rest of a container's files once its checkpoint is copied."""
    with contextlib.suppress(OSError):  # leftovers are removed with the training's folder
        remove_tree(spec_root)
