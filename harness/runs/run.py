"""The pipeline of a run: plan, open or resume, shards beside scoring, sums, the finished row."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from harness.dataset import RunnableCase
from harness.dataset.fingerprint import fingerprint_of
from harness.dataset.judge import data_record, require_sound
from harness.dataset.patients import unknown_patients
from harness.dataset.problems import DataProblem
from harness.engines import choose_engine
from harness.engines.base import Engine
from harness.engines.gpus import lease
from harness.engines.nvidia import Gpu
from harness.errors import PrerequisiteError
from harness.rows import CaseRow, RunRow
from harness.runs.boxes import keep_boxes
from harness.runs.earlier import why_begun_anew
from harness.runs.follow import Follower
from harness.runs.hardware import describe_hardware
from harness.runs.lock import only_one
from harness.runs.plan import Plan, RunRequest, select_cases
from harness.runs.pools import LocalPool, Pool
from harness.runs.preflight import check_containers, check_cuda, check_gpus, check_room, gpu_memory_needed
from harness.runs.provenance import continued, open_row, provenance
from harness.runs.record import write_record
from harness.runs.run_weights import load_weights
from harness.runs.standing import judge, redone, untrusted
from harness.runs.training.finetune import TrainingPlan, TrainingWatcher, ensure_checkpoint, training_cases
from harness.runs.training.travelled import checkpoint_of, finished_elsewhere
from harness.runs.work import Work
from harness.sandbox.watch import Stop
from harness.scoring.profiles import profile_on
from harness.status import Status
from harness.store.database import Store


class Watcher(TrainingWatcher, Protocol):
    """Shows the progress of a run, and of the training before it."""

    def begin(self, run: RunRow, done: int, kept: int) -> None:
        """Show that the cases begin: `kept` masks exist from before, `done` of them already scored."""

    def case(self, case: CaseRow, done: int) -> None:
        """Show that a case was scored; `done` of all are."""


def execute(request: RunRequest, *, home: Path, store: Store, watcher: Watcher, stop: Stop) -> RunRow:
    """Run a request to its end, resuming or reusing earlier work.

    Parameters
    ----------
    request
        The request.
    home
        The folder for all output.
    store
        The open results database.
    watcher
        Shows progress.
    stop
        Set by the caller to end the run early.

    Returns
    -------
    RunRow
        The finished run.

    Raises
    ------
    BenchError
        When a prerequisite is missing, the data are wrong, or the engine refuses.
    Interrupted
        When `stop` was set; everything finished is kept.
    """
    profile_on(request.profile, request.split)  # refused before anything long
    cases = select_cases(request.dataset, request.split, request.limit)
    elsewhere = finished_elsewhere(request, home) if request.variant.fine_tuned else []
    trained_on = training_cases(request) if request.variant.fine_tuned and not elsewhere else ()
    with stop.nothing_in_flight():  # every volume is read, unless it was read before
        warnings = sound_data(request, cases, trained_on, watcher.log)
    # GPUs are checked before anything long: a machine without them is reported at once.
    model, each = request.plugin.model, request.gpus_each
    # What is declared is the whole architecture's need.
    needed_mb = 0 if request.reduced else gpu_memory_needed(model, fine_tuned=request.variant.fine_tuned)
    with lease(request.gpus, request.gpu_ids, memory_mb=needed_mb) as gpus:
        check_gpus(gpus, needed_mb, each, watcher.log, fine_tuned=request.variant.fine_tuned)
        engine = choose_engine(request.engine, trusted=request.plugin.shipped)
        if gpus:
            engine.require_gpus()
        if not engine.isolates:
            watcher.log(f"warning: the {engine.name} engine does not isolate models; run only code that you trust")
        for name in engine.reap():
            watcher.log(f"removed {name}, left by a run that had died")
        # Before anything is built: a CT that a container cannot read would look like the model's failure.
        engine.require_readable(case.ct for case in cases)
        check_room(home, cases, model.resources, max(1, len(gpus) // each), watcher.log)
        if gpus and engine.isolates:
            check_cuda(request.plugin, home)
        with stop.nothing_in_flight():  # an image may take many minutes to build
            plan = _plan(request, cases, engine, home=home, gpus=gpus, watcher=watcher)
        if elsewhere:
            training = TrainingPlan(request, plan.image, plan.weights, ())
            plan = replace(plan, checkpoint=checkpoint_of(training, elsewhere, watcher.log))
        elif request.variant.fine_tuned:
            checkpoint = ensure_checkpoint(
                request,
                plan.image,
                plan.weights,
                trained_on,
                engine=engine,
                gpus=gpus,
                home=home,
                store=store,
                watcher=watcher,
                stop=stop,
            )
            plan = replace(plan, checkpoint=checkpoint)
        here = LocalPool(home.resolve(), {engine.name: engine}, gpus, stop)

        def prove(todo: Sequence[RunnableCase], folder: Path) -> None:
            check_containers(
                engine,
                request.plugin,
                plan.image,
                resources=model.resources,
                mounts=plan.mounts,
                files=[case.ct for case in todo],
                gpus=gpus,
                folder=folder,
                log=watcher.log,
            )

        ready = Ready(plan, each if gpus else 0, warnings, engine.describe(), describe_hardware(gpus), prove)
        return carry_out(ready, here, home=home, store=store, watcher=watcher, stop=stop)


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
    """

    plan: Plan
    each: int
    warnings: tuple[DataProblem, ...]
    engine: Mapping[str, Any]
    hardware: Mapping[str, Any] = field(default_factory=dict)
    prove: Callable[[Sequence[RunnableCase], Path], None] = lambda _todo, _folder: None


def carry_out(ready: Ready, pool: Pool, *, home: Path, store: Store, watcher: Watcher, stop: Stop) -> RunRow:
    """Carry out a planned run in a pool: resume it, follow its shards, and return its row."""
    plan, request, cases = ready.plan, ready.plan.request, ready.plan.cases
    row = open_row(plan, store)
    folder = _folder_of(row.id, home, pool)
    with only_one(folder, row.id):
        row = _judged_anew(store, row, request, folder)
        limits = request.plugin.model.resources.limits()
        todo, unscored = _left_to_do(store, row, cases, limits)
        if row.state == "done" and not todo and not unscored:
            watcher.log(f"{row.id} is already finished; --fresh runs it again")
            return row
        if store.latest(plan.key) is None and (why := why_begun_anew(plan, store, ready.engine)):
            watcher.log(f"note: {why}")
        if todo:  # before anything is recorded: a broken machine would look like the model's failure
            ready.prove(todo, folder)
        with stop.nothing_in_flight():  # every mask is read
            boxes = keep_boxes(
                folder,
                plan.cases,
                request.variant,
                mask_flip=request.dataset.mask_flip,
                seed=request.seed,
                earlier=row.record,
                log=watcher.log,
            )
        record = {
            **row.record,
            **provenance(plan, ready.engine, ready.hardware),
            **data_record(ready.warnings),
            **boxes.record,
        }
        if todo:
            row = continued(row, plan, begun=len(todo) < len(cases))
        row = replace(row, state="running", record=record)
        store.save_run(row, without=[case.id for case in todo])
        work = Work(plan, row, folder, boxes=boxes, store=store, pool=pool, log=watcher.log)
        specs = work.begin(todo, unscored, gpus=ready.each)
        watcher.begin(row, work.done, work.kept)
        Follower(pool, stop, lambda _, case, done: watcher.case(case, done)).run([work], specs)
        return work.finish()


def _folder_of(run: str, home: Path, pool: Pool) -> Path:
    """Return the folder of a run, which lies in the pool's shared folder; the home has a link to it.

    Raises
    ------
    PrerequisiteError
        When the run was begun in another place.
    """
    place, folder = home / "runs" / run, pool.shared / "runs" / run
    if pool.shared.resolve() == home.resolve():
        place.mkdir(parents=True, exist_ok=True)
        return place
    if os.path.lexists(place) and place.resolve() != folder.resolve():
        raise PrerequisiteError(
            f"{run} was begun in {place.resolve()}, not in the shared folder of {pool.name}",
            fix="go on with it there; or begin it anew with --fresh",
        )
    folder.mkdir(parents=True, exist_ok=True)
    if not os.path.lexists(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(folder.resolve())
    return place


def sound_data(
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
    cases: Sequence[RunnableCase],
    engine: Engine,
    *,
    home: Path,
    gpus: Sequence[Gpu],
    watcher: Watcher,
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


def _judged_anew(store: Store, row: RunRow, request: RunRequest, folder: Path) -> RunRow:
    """Return a row as judged by today's declaration; a changed verdict on a finished row is saved."""
    now = judge(row, request.plugin)
    if now != row and now.state == "done":
        write_record(folder, now, store.cases(row.id), store.findings(row.id))
        store.save_run(now)
    return now


def _left_to_do(
    store: Store, row: RunRow, cases: Sequence[RunnableCase], limits: Mapping[str, Any]
) -> tuple[list[RunnableCase], list[RunnableCase]]:
    """Return the cases that still need inference, and those that only need scoring."""
    known = {case.case: case for case in store.cases(row.id)}
    # Failures of the harness or the engine are retried: they were not the model's fault.
    # So is what may have been decided by a smaller limit than today's, or by a machine that nobody had tried out.
    before = row.record.get("limits", {})
    todo = [
        case
        for case in cases
        if case.id not in known
        or known[case.id].status == Status.INFRA_ERROR
        or redone(known[case.id], before, limits)
        or untrusted(known[case.id], row.record)
    ]
    again = {case.id for case in todo}
    unscored = [case for case in cases if case.id not in again and not known[case.id].scored]
    return todo, unscored
