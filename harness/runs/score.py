"""Scores the cases of a run in worker processes, beside inference."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Self, TypeVar

from harness.dataset import Case
from harness.errors import PrerequisiteError
from harness.host.capacity import usable_cores
from harness.rows import CaseRow, FindingRow
from harness.runs.rows import rows_of
from harness.sandbox.masks import read_refused
from harness.scoring.case import CaseScore, CaseTask, score_case, score_together
from harness.status import Status

Work = TypeVar("Work")
Result = TypeVar("Result")


#: What submitting ends with where a worker, or the process that forks them, was killed.
_ENDED = (BrokenProcessPool, EOFError, OSError)


class Scorers:
    """A pool of scoring processes that does not outlive this one."""

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or usable_cores()
        self._pool = self._new_pool()

    def _new_pool(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            max_workers=self.workers,
            mp_context=_context(),
            initializer=_die_with_parent,
        )

    def submit(self, task: CaseTask) -> Future[CaseScore]:
        """Score one case; the future holds its scores, or BrokenProcessPool where its worker was killed."""
        return self._submit(score_case, task)

    def submit_together(self, tasks: Sequence[CaseTask]) -> Future[list[CaseScore]]:
        """Score one case of several submissions in one worker, as :func:`score_together`."""
        return self._submit(score_together, tasks)

    def _submit(self, work: Callable[[Work], Result], on: Work) -> Future[Result]:
        try:
            return self._pool.submit(work, on)
        except _ENDED:
            # A killed worker breaks its whole pool; the caller submits the pending cases again. A signal to a whole
            # group ends the process that forks them as well: then it is the connection to it that breaks.
            self._pool = self._new_pool()
        try:
            return self._pool.submit(work, on)
        except _ENDED as error:
            raise PrerequisiteError(
                "the processes that score cannot be started: something ends them",
                fix="look for what sends signals to all processes of this command; the same command goes on",
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._pool.shutdown(wait=kind is None, cancel_futures=True)


#: Signals that a terminal or a scheduler sends to the whole group; only the harness answers them.
_OF_THE_TERMINAL = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def _context() -> BaseContext:
    """Return the start method of workers: forked from one clean process that has imported the scorer once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["harness.scoring.case"])
    # Started now, so that it imports while the first container starts; and with Ctrl-C, which a terminal sends to the
    # whole group, blocked from its first instruction on. The tracker goes before: starting it unblocks Ctrl-C again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _OF_THE_TERMINAL)
    path = os.environ.get("PYTHONPATH")
    # What is imported ahead is found as here: until Python 3.13 that process has a path of its own making.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    try:
        forkserver.ensure_running()
    finally:
        os.environ.pop("PYTHONPATH") if path is None else os.environ.update(PYTHONPATH=path)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context


def _die_with_parent() -> None:
    """End this worker when the harness dies, however it dies; and leave Ctrl-C and a hang-up to the harness."""
    for number in _OF_THE_TERMINAL:
        signal.signal(number, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:

        def watch() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()


def case_task(case: Case, masks: Path, mask_flip: tuple[int, ...], *, delivered: bool) -> CaseTask:
    """Make the scoring task of one case from the masks that were collected for it.

    Parameters
    ----------
    case
        The case.
    masks
        The run's folder of masks.
    mask_flip
        Orientation of the data set's ground truth on its CTs.
    delivered
        Whether the case was done; otherwise nothing is read and every finding is missing.
    """
    folder = masks / case.id

    paths = {finding.id: folder / f"{finding.id}.nii.gz" for finding in case.findings if delivered}
    return CaseTask(
        case=case.id,
        truth=case.truth,
        shape=case.shape,
        spacing=case.spacing,
        affine=case.affine,
        findings=case.findings,
        masks={finding: path for finding, path in paths.items() if path.is_file()},
        root=masks,
        mask_flip=mask_flip,
    )


def rows_of_outcome(case: Case, score: CaseScore, outcome: CaseRow, masks: Path) -> list[FindingRow]:
    """Turn the scores of one case into rows; a failed case gives its status and reason to every finding.

    Parameters
    ----------
    case, score
        The case and its computed scores.
    outcome
        The outcome of inference.
    masks
        The run's folder of masks, which lists the refused files.
    """
    rows = []
    refused = read_refused(masks, case.id)
    for row in rows_of(case, score):
        if outcome.status != Status.OK:
            changed = replace(row, status=outcome.status, reason=outcome.reason, verdict=None)
        elif row.finding in refused:
            changed = replace(row, status=Status.INVALID_OUTPUT, reason=refused[row.finding], verdict=None)
        else:
            # The reason of a refused mask includes its fix.
            fixes = dict.fromkeys(problem.fix for problem in row.verdict.refusals) if row.verdict else ()
            changed = replace(row, reason="; fix: ".join([row.reason, *fixes]))
        rows.append(changed)
    return rows


def case_status(outcome: CaseRow, findings: list[FindingRow]) -> tuple[str, str]:
    """Return a case's status and reason: its own, or that of its first finding that is not ok."""
    if outcome.status != Status.OK:
        return outcome.status, outcome.reason
    return next(((row.status, row.reason) for row in findings if row.status != Status.OK), (Status.OK, ""))
