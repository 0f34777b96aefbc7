"""Prepares a run on this host before anything is recorded: judges its data, proves the host, makes its plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.dataset import RunnableCase, ScannedCase
from harness.dataset.fingerprint import fingerprint_of
from harness.dataset.judge import require_sound
from harness.dataset.patients import unknown_patients
from harness.dataset.problems import DataProblem
from harness.engines import choose_engine
from harness.engines.base import Engine
from harness.engines.nvidia import Gpu
from harness.runs.checkpoint import Checkpoint
from harness.runs.hardware import describe_hardware
from harness.runs.plan import Plan, RunRequest, select_cases
from harness.runs.preflight import (
    check_containers,
    check_cuda,
    check_gpus,
    check_room,
    check_sharing,
    gpu_memory_needed,
)
from harness.runs.run_weights import load_weights
from harness.runs.training.watcher import TrainingWatcher
from harness.sandbox.stop import Stop
from harness.scoring.profiles import profile_on
from harness.store.database import Store


@dataclass(frozen=True)
class Ready:
    """A run that is planned.

    Attributes
    ----------
    plan
        The plan.
    each
        Number of GPUs of a container.
    warnings
        What was warned of in the data.
    engine, hardware
        Of this host where it runs here; elsewhere the hardware is known afterwards.
    prove
        Called with the cases to run and the run's folder before anything is recorded; raises where their containers
        would not work.
    detach
        Whether to return when the shards are handed in; the row is then not finished.
    left
        Name of the training that was handed in and must end before there is a run; empty where there is none.
    """

    plan: Plan
    each: int
    warnings: tuple[DataProblem, ...]
    engine: Mapping[str, Any]
    hardware: Mapping[str, Any] = field(default_factory=dict)
    prove: Callable[[Sequence[ScannedCase], Path], None] = lambda _todo, _folder: None
    detach: bool = False
    left: str = ""


@dataclass(frozen=True)
class RunData:
    """The data of a run, judged.

    Attributes
    ----------
    cases, warnings
        The cases of a run, and what was warned of in them and in those that it is trained on.
    trained_on
        The train and val cases of a fine-tuned variant whose checkpoint may have to be trained.
    finished
        Folders of checkpoints that were trained elsewhere and may serve.
    """

    cases: tuple[RunnableCase, ...]
    warnings: tuple[DataProblem, ...]
    trained_on: tuple[RunnableCase, ...]
    finished: list[Path]


def memory_needed(request: RunRequest) -> int:
    """Return the memory that each GPU must have, MiB; what is declared is the whole architecture's need."""
    if request.reduced:
        return 0
    return gpu_memory_needed(request.plugin.model, fine_tuned=request.variant.fine_tuned, per_gpu=request.per_gpu)


def prepare_here(
    request: RunRequest,
    gpus: Sequence[Gpu],
    *,
    home: Path,
    store: Store,
    watcher: TrainingWatcher,
    stop: Stop,
) -> tuple[Ready, Engine]:
    """Prepare a run on this host; return the engine as well. A fine-tuned variant is trained.

    Parameters
    ----------
    request, home, store, watcher, stop
        As in :func:`harness.runs.run.execute`.
    gpus
        The GPUs that are held for it.

    Raises
    ------
    BenchError
        When a prerequisite is missing, the data are wrong, the engine refuses, or training fails.
    """
    data = data_of(request, home, watcher.log, stop)
    plan, engine = plan_here(request, data.cases, gpus, home=home, watcher=watcher, stop=stop)
    if request.variant.fine_tuned:
        checkpoint = _checkpoint(plan, data, engine, gpus, home=home, store=store, watcher=watcher, stop=stop)
        plan = replace(plan, checkpoint=checkpoint)
    return ready_here(plan, engine, gpus, data.warnings, watcher.log), engine


def _checkpoint(
    plan: Plan,
    data: RunData,
    engine: Engine,
    gpus: Sequence[Gpu],
    *,
    home: Path,
    store: Store,
    watcher: TrainingWatcher,
    stop: Stop,
) -> Checkpoint:
    """Return the checkpoint of a fine-tuned variant: one that was trained elsewhere, or here, now if need be."""
    from harness.runs.training.finetune import TrainingPlan, ensure_checkpoint, plan_training
    from harness.runs.training.here import TrainerHere
    from harness.runs.training.travelled import checkpoint_of

    request = plan.request
    if data.finished:
        return checkpoint_of(TrainingPlan(request, plan.image, plan.weights, ()), data.finished, watcher.log)
    training = plan_training(request, plan.image, plan.weights, data.trained_on, stop)
    trainer = TrainerHere(training, home, engine, gpus)
    return ensure_checkpoint(training, trainer, home=home, store=store, watcher=watcher, stop=stop)


def plan_here(
    request: RunRequest,
    cases: Sequence[ScannedCase],
    gpus: Sequence[Gpu],
    *,
    home: Path,
    watcher: TrainingWatcher,
    stop: Stop,
) -> tuple[Plan, Engine]:
    """Plan a run of sound cases on this host, a checkpoint left out; return the engine as well.

    Parameters
    ----------
    request, gpus, home, watcher, stop
        As in :func:`prepare_here`.
    cases
        Its cases, which were judged.

    Raises
    ------
    BenchError
        When a prerequisite is missing, or the engine refuses.
    """
    model, each = request.plugin.model, request.gpus_each
    check_gpus(gpus, memory_needed(request), each, watcher.log, fine_tuned=request.variant.fine_tuned)
    check_sharing(gpus, request.per_gpu, each, model.resources.gpu_memory_mb)
    engine = choose_engine(request.engine, trusted=request.plugin.shipped)
    if gpus:
        engine.require_gpus()
    if not engine.isolates:
        watcher.log(f"warning: the {engine.name} engine does not isolate models; run only code that you trust")
    for name in engine.reap():
        watcher.log(f"removed {name}, left by a run that had died")
    # Before anything is built: a CT that a container cannot read would look like the model's failure.
    engine.require_readable(case.ct for case in cases)
    check_room(home, cases, model.resources, max(1, request.per_gpu * len(gpus) // each), watcher.log)
    if gpus and engine.isolates:
        check_cuda(request.plugin, home)
    with stop.nothing_in_flight():  # an image may take many minutes to build
        return _plan(request, cases, engine, home=home, gpus=gpus, watcher=watcher), engine


def ready_here(
    plan: Plan, engine: Engine, gpus: Sequence[Gpu], warnings: tuple[DataProblem, ...], log: Callable[[str], None]
) -> Ready:
    """Return a plan of this host with what proves that its containers work; the arguments are those of the above."""

    def prove(todo: Sequence[ScannedCase], folder: Path) -> None:
        check_containers(
            engine,
            plan.request.plugin,
            plan.image,
            resources=plan.request.plugin.model.resources,
            mounts=plan.mounts,
            files=[case.ct for case in todo],
            gpus=gpus,
            folder=folder,
            log=log,
        )

    about, hardware = engine.describe(), describe_hardware(gpus, plan.request.per_gpu)
    return Ready(plan, plan.request.gpus_each if gpus else 0, warnings, about, hardware, prove)


def data_of(request: RunRequest, home: Path, log: Callable[[str], None], stop: Stop) -> RunData:
    """Read and judge the data of a run and of the training before it; log the warnings.

    Raises
    ------
    BenchError
        When the data are wrong, or the split or the profile does not exist.
    """
    profile_on(request.profile, request.split)  # refused before anything long
    cases = select_cases(request.dataset, request.split, request.limit)
    finished, trained_on = _training(request, home) if request.variant.fine_tuned else ([], ())
    with stop.nothing_in_flight():  # every volume is read, unless it was read before
        warnings = _sound_data(request, cases, trained_on, log)
    return RunData(tuple(cases), warnings, trained_on, finished)


def _training(request: RunRequest, home: Path) -> tuple[list[Path], tuple[RunnableCase, ...]]:
    """Return the checkpoints that were trained elsewhere, or, where there is none, the cases to train on."""
    from harness.runs.training.finetune import training_cases
    from harness.runs.training.travelled import finished_elsewhere

    finished = finished_elsewhere(request, home)
    return finished, () if finished else training_cases(request)


def _sound_data(
    request: RunRequest,
    cases: Sequence[RunnableCase],
    trained_on: Sequence[RunnableCase],
    log: Callable[[str], None],
) -> tuple[DataProblem, ...]:
    """Judge the data of a run and of the training before it; log and return the warnings."""
    splits = [request.split, *dict.fromkeys(case.split for case in trained_on)]
    warnings = require_sound(request.dataset, splits, used=[*cases, *trained_on])
    if trained_on:
        warnings += tuple(unknown_patients((case.split, case.patient) for case in [*trained_on, *cases]))
    for warning in warnings:
        log(f"warning: {warning.where}: {warning.what}")
    return warnings


def _plan(
    request: RunRequest,
    cases: Sequence[ScannedCase],
    engine: Engine,
    *,
    home: Path,
    gpus: Sequence[Gpu],
    watcher: TrainingWatcher,
) -> Plan:
    weights = load_weights(request.plugin, request.variant, request.weights, home)
    engine.require_readable(path for _, path, _ in weights.files)

    def prove_host() -> None:
        if (base := engine.base()) is not None:  # a build may take an hour, and would be in vain on a broken machine
            check_containers(
                engine,
                request.plugin,
                base,
                resources=request.plugin.model.resources,
                mounts=weights.mounts,
                files=[case.ct for case in cases],
                gpus=gpus,
                folder=home,
                log=watcher.log,
            )

    image = engine.prepare(request.plugin, home=home, gpus=bool(gpus), log=watcher.log, before_build=prove_host)
    fingerprint = fingerprint_of(request.dataset, request.split)
    return Plan(
        request,
        tuple(cases),
        image,
        fingerprint,
        engine.name,
        isolates=engine.isolates,
        lacks=tuple(engine.lacks([gpu.id for gpu in gpus])),
        weights=weights,
    )
