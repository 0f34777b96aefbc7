"""The pipeline of a run: plan, open or resume, shards beside scoring, sums, the finished row."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
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
from harness.errors import Interrupted, PrerequisiteError
from harness.rows import CaseRow, RunRow
from harness.runs.boxes import KeptBoxes, keep_boxes
from harness.runs.deal import deal
from harness.runs.earlier import why_begun_anew
from harness.runs.lock import only_one
from harness.runs.outcome import CaseOutcome, ContainerFigures
from harness.runs.plan import Plan, RunRequest, select_cases
from harness.runs.preflight import check_containers, check_cuda, check_gpus, check_room, gpu_memory_needed
from harness.runs.provenance import open_row, provenance
from harness.runs.record import write_record
from harness.runs.run_weights import load_weights
from harness.runs.score import Scorers, case_status, case_task, rows_of_outcome
from harness.runs.shard import ShardSpec, run_shard
from harness.runs.standing import judge, redone, untrusted
from harness.runs.timing import figures
from harness.runs.training.finetune import TrainingPlan, TrainingWatcher, ensure_checkpoint, training_cases
from harness.runs.training.travelled import checkpoint_of, finished_elsewhere
from harness.sandbox.folder import remove_tree
from harness.sandbox.watch import Stop
from harness.scoring.case import CaseScore
from harness.scoring.profiles import profile_on, profiles_on
from harness.scoring.summary import summarise
from harness.status import Status
from harness.store.database import Store

#: Number of times a case is submitted again after its scoring worker was killed.
MAX_RESCORED = 3


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
        warnings = _sound_data(request, cases, trained_on, watcher.log)
    # GPUs are checked before anything long: a machine without them is reported at once.
    model, each = request.plugin.model, request.gpus_each
    # What is declared is the whole architecture's need.
    needed_mb = 0 if request.reduced else gpu_memory_needed(model, fine_tuned=request.variant.fine_tuned)
    with lease(request.gpus, request.gpu_ids, memory_mb=needed_mb) as gpus:
        check_gpus(gpus, needed_mb, each, watcher.log, fine_tuned=request.variant.fine_tuned)
        engine = choose_engine(request.engine, trusted=request.plugin.shipped)
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
        row = open_row(plan, store)
        folder = home / "runs" / row.id
        folder.mkdir(parents=True, exist_ok=True)
        with only_one(folder, row.id):
            remove_tree(folder / "shards")  # of containers whose harness was killed
            row = _judged_anew(store, row, request, folder)
            limits = request.plugin.model.resources.limits()
            todo, unscored = _left_to_do(store, row, cases, limits)
            if row.state == "done" and not todo and not unscored:
                watcher.log(f"{row.id} is already finished; --fresh runs it again")
                return row
            if store.latest(plan.key) is None and (why := why_begun_anew(plan, store, engine.describe())):
                watcher.log(f"note: {why}")
            if todo:  # before anything is recorded: a broken machine would look like the model's failure
                check_containers(
                    engine,
                    request.plugin,
                    plan.image,
                    resources=request.plugin.model.resources,
                    mounts=plan.mounts,
                    files=[case.ct for case in todo],
                    gpus=gpus,
                    folder=folder,
                    log=watcher.log,
                )
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
            record = {**row.record, **provenance(plan, engine, gpus), **data_record(warnings), **boxes.record}
            row = replace(row, state="running", record=record)
            store.save_run(row, without=[case.id for case in todo])
            work = _Work(plan, row, folder, store, boxes=boxes, watcher=watcher, engine=engine, gpus=gpus)
            return work.run(todo, unscored, stop)


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
    return Plan(request, tuple(cases), image, fingerprint, engine.name, isolates=engine.isolates, weights=weights)


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


@dataclass(frozen=True)
class _Scored:
    case: str
    future: Future[CaseScore]


@dataclass(frozen=True)
class _ShardEnded:
    error: BaseException | None


class _Work:
    """One invocation's work on a run. Only the thread that calls :meth:`run` touches the store."""

    def __init__(
        self,
        plan: Plan,
        row: RunRow,
        folder: Path,
        store: Store,
        *,
        boxes: KeptBoxes,
        watcher: Watcher,
        engine: Engine,
        gpus: Sequence[Gpu],
    ) -> None:
        self.plan, self.row, self.folder, self.boxes = plan, row, folder, boxes
        self.store, self.watcher, self.engine, self.gpus = store, watcher, engine, gpus
        self.cases = {case.id: (ordinal, case) for ordinal, case in enumerate(plan.cases)}
        self.outcomes: dict[str, CaseRow] = {}
        self.rescored: dict[str, int] = {}
        self.done = 0  #: cases that need nothing more
        self.containers: list[dict[str, Any]] = list(row.timing.get("containers", []))
        self.inbox: queue.SimpleQueue[CaseOutcome | ContainerFigures | _Scored | _ShardEnded] = queue.SimpleQueue()

    def run(self, todo: Sequence[RunnableCase], unscored: Sequence[RunnableCase], stop: Stop) -> RunRow:
        """Run the remaining cases, then finish the row."""
        kept = len(self.cases) - len(todo)
        self.done = kept - len(unscored)
        self.watcher.begin(self.row, self.done, kept)
        threads = self._start_shards(todo, stop)
        try:
            predict_s, error = self._follow(len(threads), unscored, stop)
        except BaseException:
            stop.soon.set()
            stop.now.set()
            raise
        finally:
            for thread in threads:
                thread.join()
        return self._finish(predict_s, error)

    def _follow(self, running: int, unscored: Sequence[RunnableCase], stop: Stop) -> tuple[float, BaseException | None]:
        """Store the reports of shards and scorers until all have ended; return inference time and a shard's error."""
        began, predict_s = time.monotonic(), 0.0
        error: BaseException | None = None
        saved = {case.case: case for case in self.store.cases(self.row.id)}
        with Scorers() as scorers:
            scoring = sum(self._submit(scorers, saved[case.id]) for case in unscored)
            while running or scoring:
                match self.inbox.get():
                    case CaseOutcome() as outcome:
                        scoring += self._submit(scorers, self._keep(outcome))
                    case ContainerFigures() as container:
                        self.containers.append(asdict(container))
                    case _Scored() as scored if self._worker_died(scored):
                        scoring += self._submit(scorers, self.outcomes[scored.case]) - 1
                    case _Scored() as scored if self._scorer_failed(scored):
                        scoring += self._submit(scorers, self.outcomes[scored.case]) - 1
                    case _Scored() as scored:
                        scoring -= 1
                        self.done += 1
                        self._keep_scores(scored)
                    case _ShardEnded() as ended:
                        running -= 1
                        predict_s = time.monotonic() - began
                        if ended.error is not None:
                            error = error or ended.error
                            stop.soon.set()
        return predict_s, error

    def _start_shards(self, todo: Sequence[RunnableCase], stop: Stop) -> list[threading.Thread]:
        gpu_ids = [gpu.id for gpu in self.gpus]
        shards = deal(self.plan, self.row.id, self.folder.resolve(), todo, boxes=self.boxes, gpu_ids=gpu_ids)
        threads = [
            threading.Thread(target=self._run_shard, args=(spec, stop), name=f"shard-{spec.number}") for spec in shards
        ]
        for thread in threads:
            thread.start()
        return threads

    def _run_shard(self, spec: ShardSpec, stop: Stop) -> None:
        error: BaseException | None = None
        try:
            run_shard(self.engine, spec, self.inbox.put, stop)
        except BaseException as raised:  # noqa: BLE001 - raised again by the thread that waits for this one
            error = raised
        self.inbox.put(_ShardEnded(error))

    def _keep(self, outcome: CaseOutcome) -> CaseRow:
        ordinal, _ = self.cases[outcome.case]
        row = CaseRow(
            case=outcome.case,
            ordinal=ordinal,
            status=outcome.status,
            reason=outcome.reason,
            seconds=outcome.seconds,
            host_bytes=outcome.host_bytes,
            device_bytes=outcome.device_bytes,
            attempts=outcome.attempts,
            log=outcome.log,
            evidence=outcome.seen(),
        )
        self.store.save_case(self.row.id, row)
        return row

    def _submit(self, scorers: Scorers, outcome: CaseRow) -> int:
        """Submit a case to the scorers; return the number of submitted cases."""
        self.outcomes[outcome.case] = outcome
        _, case = self.cases[outcome.case]
        task = case_task(
            case,
            self.folder / "masks",
            self.plan.request.dataset.mask_flip,
            delivered=outcome.status == Status.OK,
        )
        future = scorers.submit(task)
        future.add_done_callback(lambda ended: self.inbox.put(_Scored(case.id, ended)))
        return 1

    def _worker_died(self, scored: _Scored) -> bool:
        """Return whether a scoring worker was killed, so that its case is submitted again; too often is an error."""
        if not isinstance(scored.future.exception(), BrokenProcessPool):
            return False
        self.rescored[scored.case] = self.rescored.get(scored.case, 0) + 1
        if self.rescored[scored.case] > MAX_RESCORED:
            raise PrerequisiteError(
                f"the process that scores case {scored.case} was killed {MAX_RESCORED + 1} times",
                fix="look for the kernel's out-of-memory killer (`dmesg`); the same command resumes the run",
            )
        return True

    def _scorer_failed(self, scored: _Scored) -> bool:
        """Return whether the scorer failed on a case's masks: they count as not delivered, and the run continues."""
        error = scored.future.exception()
        outcome = self.outcomes[scored.case]
        if error is None or outcome.status != Status.OK:
            return False  # without masks the failure is ours: it is raised
        reason = f"the scorer failed on its masks ({type(error).__name__}: {error})"
        self.outcomes[scored.case] = replace(outcome, status=Status.INFRA_ERROR, reason=reason)
        return True

    def _keep_scores(self, scored: _Scored) -> None:
        _, case = self.cases[scored.case]
        outcome = self.outcomes[scored.case]
        rows = rows_of_outcome(case, scored.future.result(), outcome, self.folder / "masks")
        status, reason = case_status(outcome, rows)
        row = replace(outcome, status=status, reason=reason, scored=True)
        self.store.save_case(self.row.id, row, rows)
        self.watcher.case(row, self.done)

    def _finish(self, predict_s: float, error: BaseException | None) -> RunRow:
        """Compute the summary and save the row; an interrupted or failed run keeps its finished cases."""
        cases = [case for case in self.store.cases(self.row.id) if case.case in self.cases]
        timing = figures(
            cases,
            self.containers,
            image_bytes=self.plan.image.size,
            predict_s=self.row.timing.get("predict_s", 0.0) + predict_s,
        )
        scored = {case.case for case in cases if case.scored}
        complete = scored == self.cases.keys()
        state = "done" if complete and error is None else "interrupted"
        row = replace(self.row, state=state, finished=_now() if complete else None, timing=timing)
        if complete:
            findings = [finding for finding in self.store.findings(row.id) if finding.case in self.cases]
            for name, profile in profiles_on(row.split).items():
                self.store.save_metrics(row.id, name, summarise(findings, profile))
            write_record(self.folder, row, cases, findings)  # before the row: a finished row always has a record
        self.store.save_run(row)
        if error is not None:
            raise error
        if not complete:
            raise Interrupted(
                f"{row.id} was stopped with {len(scored)} of {len(self.cases)} cases finished",
                fix=f"the same command {'without --fresh ' if self.plan.request.fresh else ''}resumes the run",
            )
        return row


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
