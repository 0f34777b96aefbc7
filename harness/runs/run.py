"""Runs requests to their end: planned, opened or resumed, followed in a pool, summed up into finished rows."""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from harness.dataset import ScannedCase
from harness.dataset.judge import data_record
from harness.engines.base import Engine
from harness.engines.gpus import lease, require_gpus
from harness.errors import BenchError, Interrupted, PrerequisiteError
from harness.rows import CaseRow, RunRow
from harness.runs.boxes import keep_boxes
from harness.runs.earlier import why_begun_anew
from harness.runs.lock import only_one
from harness.runs.place import sweep
from harness.runs.plan import RunRequest
from harness.runs.pools import SCRATCH, LocalPool, Pool
from harness.runs.prepare import Ready, memory_needed, prepare_here
from harness.runs.provenance import continued, open_row, provenance
from harness.runs.record import write_record
from harness.runs.standing import judge, redone, untrusted
from harness.runs.training.watcher import TrainingWatcher
from harness.sandbox.stop import Stop
from harness.status import Status
from harness.store.database import Store

if TYPE_CHECKING:
    from harness.runs.spec import ShardSpec
    from harness.runs.work import Work


class Watcher(TrainingWatcher, Protocol):
    """Shows the progress of runs, and of the trainings before them."""

    def begin(self, run: RunRow, done: int, kept: int) -> None:
        """Show that a run's cases begin: `kept` masks exist from before, `done` of them already scored."""

    def case(self, run: str, case: CaseRow, done: int) -> None:
        """Show that a case of a run was scored; `done` of all of the run's are."""


#: What came of a request: its row, or the error that it failed with; None where it was not begun.
Result = RunRow | Exception | None

#: Called with a request and the error that it failed with.
Failed = Callable[[RunRequest, Exception], None]


def execute(request: RunRequest, *, home: Path, store: Store, watcher: Watcher, stop: Stop) -> RunRow:
    """Run a request to its end on this host, resuming or reusing earlier work.

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
    (result,) = execute_all([request], home=home, store=store, watcher=watcher, stop=stop)
    assert isinstance(result, RunRow)  # noqa: S101 - of the only one, everything else is raised
    return result


def execute_all(
    requests: Sequence[RunRequest],
    *,
    home: Path,
    store: Store,
    watcher: Watcher,
    stop: Stop,
    failed: Failed = lambda *_: None,
) -> list[Result]:
    """Run several requests to their end on this host: the shards of all are dealt to its GPUs.

    Parameters
    ----------
    requests
        The requests; those that name GPUs name the same ones, and the same number of containers on each.
    home, store, watcher, stop
        As in :func:`execute`.
    failed
        Called with a request and its error as it happens: others may follow.

    Returns
    -------
    list
        What came of each request, in order. One that fails does not stop the others; an interruption does. Of a single
        one everything but its row is raised.
    """
    with_gpus = [request for request in requests if request.gpus or request.gpu_ids]
    most = max(with_gpus, key=lambda request: request.gpus, default=requests[0])
    needs = [memory_needed(request) for request in with_gpus if len(requests) == 1 or _fits(request)]
    with lease(most.gpus, most.gpu_ids, memory_mb=max(needs, default=0)) as held:
        engines: dict[str, Engine] = {}

        def prepare(request: RunRequest) -> Ready:
            require_gpus(request.gpus, request.gpu_ids, memory_mb=memory_needed(request))
            gpus = held if request.gpus or request.gpu_ids else []
            ready, engine = prepare_here(request, gpus, home=home, store=store, watcher=watcher, stop=stop)
            engines[engine.name] = engine
            return ready

        pool = LocalPool(home.resolve(), engines, held, stop, most.per_gpu)
        return carry_out_all(requests, prepare, pool, home=home, store=store, watcher=watcher, stop=stop, failed=failed)


def _fits(request: RunRequest) -> bool:
    """Return whether the GPUs that a request needs are there."""
    try:
        require_gpus(request.gpus, request.gpu_ids, memory_mb=memory_needed(request))
    except BenchError:
        return False  # told when it is prepared; the others get what they need
    return True


def carry_out(ready: Ready, pool: Pool, *, home: Path, store: Store, watcher: Watcher, stop: Stop) -> RunRow:
    """Carry out a planned run in a pool: resume it, follow its shards, and return its row; raises as `execute` does."""
    request = ready.plan.request
    (result,) = carry_out_all([request], lambda _: ready, pool, home=home, store=store, watcher=watcher, stop=stop)
    assert isinstance(result, RunRow)  # noqa: S101 - of the only one, everything else is raised
    return result


def carry_out_all(
    requests: Sequence[RunRequest],
    prepare: Callable[[RunRequest], Ready],
    pool: Pool,
    *,
    home: Path,
    store: Store,
    watcher: Watcher,
    stop: Stop,
    failed: Failed = lambda *_: None,
) -> list[Result]:
    """Carry out several requests in one pool: each is planned, then the shards of all are dealt to it.

    Parameters
    ----------
    requests
        The requests.
    prepare
        Plans one of them.
    pool
        Where their shards are carried out; it is closed in the end.
    home, store, watcher, stop, failed
        As in :func:`execute_all`.

    Returns
    -------
    list
        As :func:`execute_all` returns it.
    """
    with ExitStack() as held:
        work = _Requests(
            requests, prepare, pool, held, home=home, store=store, watcher=watcher, stop=stop, failed=failed
        )
        try:
            return work.run()
        finally:
            pool.close()  # before the runs are let go of: its threads write to their folders


class _Requests:
    """Several requests on their way to their rows, as in :func:`carry_out_all`."""

    def __init__(
        self,
        requests: Sequence[RunRequest],
        prepare: Callable[[RunRequest], Ready],
        pool: Pool,
        held: ExitStack,
        *,
        home: Path,
        store: Store,
        watcher: Watcher,
        stop: Stop,
        failed: Failed,
    ) -> None:
        self._requests, self._prepare, self._pool = requests, prepare, pool
        self._held, self._failed = held, failed
        self._home, self._store, self._watcher, self._stop = home, store, watcher, stop
        self._results: list[Result] = [None] * len(requests)
        self._works: dict[int, Work] = {}
        self._specs: list[ShardSpec] = []

    def run(self) -> list[Result]:
        """Prepare each, follow all, and return what came of them."""
        for number in range(len(self._requests)):
            with self._noted(number):
                self._begin(number)
            if isinstance(self._results[number], Interrupted):
                self._stop.soon.set()
                break
        if self._works:
            from harness.runs.follow import Follower

            works = list(self._works.values())
            Follower(self._pool, self._stop, self._watcher.case).run(works, self._specs)
        for number, work in self._works.items():
            with self._noted(number):
                self._results[number] = work.finish()
        return self._results

    def _begin(self, number: int) -> None:
        ready = self._prepare(self._requests[number])
        if ready.left:
            self._results[number] = replace(open_row(ready.plan, self._store), id=ready.left, state="interrupted")
            return
        found = self._open(ready)
        if isinstance(found, RunRow):
            self._results[number] = found
            return
        work, specs = found
        if ready.detach and work.busy:
            self._results[number] = work.leave(specs)
            return
        self._works[number] = work
        self._specs += specs

    def _open(self, ready: Ready) -> RunRow | tuple[Work, list[ShardSpec]]:
        """Open or resume a run, which is held from then on; return the row of a finished one, or work and shards."""
        plan, request = ready.plan, ready.plan.request
        row = open_row(plan, self._store)
        folder = _folder_of(row.id, self._home, self._pool)
        with ExitStack() as own:
            own.enter_context(only_one(folder, row.id))
            sweep(folder / SCRATCH)  # of containers whose harness was killed, also where nothing is left to run
            row = _judged_anew(self._store, row, request, folder)
            limits = request.plugin.model.resources.limits()
            todo, unscored = _left_to_do(self._store, row, plan.cases, limits)
            if row.state == "done" and not todo and not unscored:
                self._watcher.log(f"{row.id} is already finished; --fresh runs it again")
                return row
            if self._store.latest(plan.key) is None and (why := why_begun_anew(plan, self._store, ready.engine)):
                self._watcher.log(f"note: {why}")
            threading.Thread(target=_import_ahead, daemon=True).start()
            if todo:  # before anything is recorded: a broken machine would look like the model's failure
                ready.prove(todo, folder)
            from harness.runs.work import Work

            with self._stop.nothing_in_flight():  # every mask is read
                boxes = keep_boxes(
                    folder,
                    plan.cases,
                    request.variant,
                    mask_flip=request.dataset.mask_flip,
                    seed=request.seed,
                    earlier=row.record,
                    log=self._watcher.log,
                )
            machine = provenance(plan, ready.engine, ready.hardware)
            record = {**row.record, **machine, **data_record(ready.warnings), **boxes.record}
            if todo:
                row = continued(row, plan, begun=len(todo) < len(plan.cases))
            row = replace(row, state="running", record=record)
            self._store.save_run(row, without=[case.id for case in todo])
            work = Work(plan, row, folder, boxes=boxes, store=self._store, pool=self._pool, log=self._watcher.log)
            specs = work.begin(todo, unscored, gpus=ready.each)
            self._watcher.begin(row, work.done, work.kept)
            self._held.push(own.pop_all())
            return work, specs

    @contextmanager
    def _noted(self, number: int) -> Iterator[None]:
        """Note what a request failed with, or that it was interrupted; where it is the only one, raise it."""
        try:
            yield
        except (Interrupted, KeyboardInterrupt) as error:
            if len(self._requests) == 1:
                raise
            self._results[number] = error if isinstance(error, Interrupted) else Interrupted("interrupted")
        except Exception as error:
            if len(self._requests) == 1:
                raise
            self._results[number] = error
            self._failed(self._requests[number], error)


def _import_ahead() -> None:
    """Import what carries out and scores a run, which a finished one does not need, while a container is tried out."""
    for name in ("follow", "shard"):
        importlib.import_module(f"harness.runs.{name}")


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


def _judged_anew(store: Store, row: RunRow, request: RunRequest, folder: Path) -> RunRow:
    """Return a row as judged by today's declaration; a changed verdict on a finished row is saved."""
    now = judge(row, request.plugin)
    if now != row and now.state == "done":
        write_record(folder, now, store.cases(row.id), store.findings(row.id))
        store.save_run(now)
    return now


def _left_to_do(
    store: Store, row: RunRow, cases: Sequence[ScannedCase], limits: Mapping[str, Any]
) -> tuple[list[ScannedCase], list[ScannedCase]]:
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
