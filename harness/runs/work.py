"""One command's work on one run: what is dealt, what came of it, and the finished row.

The outcomes' files are what counts: reports of shards only say when to look, and what is left of a shard that was
lost is dealt again. Only the thread that follows the pool calls this; it alone writes to the store.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from harness.dataset import ScannedCase
from harness.errors import Interrupted, PrerequisiteError
from harness.rows import CaseRow, RunRow
from harness.runs.boxes import KeptBoxes
from harness.runs.deal import deal
from harness.runs.hardware import hosts_of
from harness.runs.outcome import (
    MASKS,
    CaseOutcome,
    Found,
    cases_with_outcome,
    forget_collected,
    has_masks,
    put,
    read,
    read_figures,
    second_outcomes,
    withdraw,
)
from harness.runs.plan import Plan
from harness.runs.pools import Pool, ShardId
from harness.runs.provenance import as_carried_out
from harness.runs.record import write_record
from harness.runs.report import ShardReport
from harness.runs.score import case_status, case_task, rows_of_outcome
from harness.runs.shard import STOP_FILE
from harness.runs.spec import ShardSpec, next_number
from harness.runs.standing import redone
from harness.runs.timing import figures
from harness.runs.tries import forget, lost_with
from harness.scoring.case import CaseScore, CaseTask
from harness.scoring.profiles import profiles_on
from harness.scoring.sizes import cuts_on
from harness.scoring.summary import summarise
from harness.status import Status
from harness.store.database import Store

#: Number of times a case is submitted again after its scoring worker was killed.
MAX_RESCORED = 3

#: Times that a case may be in flight when its host or worker is lost, before it counts as what ends them.
MAX_LOST = 2

#: Seconds for which a file that another host has written may not be seen here yet.
PATIENCE_S = 120.0

Submit = Callable[[CaseTask], None]


@dataclass
class _Open:
    """A shard that was handed in: its cases, and for how long it has ended without them all having an outcome."""

    cases: tuple[str, ...]
    fruitless: int  #: how often its cases were dealt before without any coming further
    ended: ShardReport | None = None
    since: float = 0.0


class Work:
    """One command's work on a run.

    Parameters
    ----------
    plan, row, folder, boxes
        The plan, its row, the run's folder in the pool's shared one, and the run's box prompts.
    store
        The open results database.
    pool
        Where its shards are carried out.
    log
        Shows one line.
    """

    def __init__(
        self,
        plan: Plan,
        row: RunRow,
        folder: Path,
        *,
        boxes: KeptBoxes,
        store: Store,
        pool: Pool,
        log: Callable[[str], None],
    ) -> None:
        self.plan, self.row, self.folder, self.boxes = plan, row, folder, boxes
        self.store, self.pool, self._log = store, pool, log
        self.cases = {case.id: (ordinal, case) for ordinal, case in enumerate(plan.cases)}
        self.outcomes: dict[str, CaseRow] = {}
        self.done = 0  #: cases that need nothing more
        self.kept = 0  #: cases whose masks were there when the command began
        self.scoring = 0  #: cases that are being scored
        self.error: BaseException | None = None
        self.stopping = False
        self._limits = plan.request.plugin.model.resources.limits()
        self._pending: set[str] = set()  #: cases without an outcome that was taken
        self._open: dict[int, _Open] = {}
        self._unscored: list[str] = []
        self._rescored: dict[str, int] = {}
        self._unseen: dict[str, float] = {}  #: cases whose masks are not seen yet, and since when
        self._taken: dict[str, CaseOutcome] = {}  #: what the hosts have written of the cases that are scored
        self._next = next_number(folder)
        self._gpus = 0

    # -- dealing ------------------------------------------------------------------------------------------------------

    def begin(self, todo: Sequence[ScannedCase], unscored: Sequence[ScannedCase], *, gpus: int) -> list[ShardSpec]:
        """Find out what has been done since the last command, and return the shards of the rest.

        Parameters
        ----------
        todo, unscored
            The cases that need inference as far as the store knows, and those that only need scoring.
        gpus
            Number of GPUs of a container.
        """
        self._gpus = gpus
        (self.folder / STOP_FILE).unlink(missing_ok=True)
        known = cases_with_outcome(self.folder)
        there = {case.id for case in todo if case.id in known and self._usable(case.id)}
        for case in todo:
            if case.id not in there:
                withdraw(self.folder, case.id)
        self._pending = {case.id for case in todo}
        self._unscored = [case.id for case in unscored]
        self.done = len(self.cases) - len(todo) - len(unscored)
        self.kept = len(self.cases) - len(todo) + len(there)
        self._take_up_shards()
        handed_in = {case for shard in self._open.values() for case in shard.cases}
        return self._deal([case for case in todo if case.id not in handed_in | there], fruitless=0)

    def _usable(self, case: str) -> bool:
        found = read(self.folder, case)
        return (
            found is not None
            and found.plan == self.plan.key
            and found.outcome.status != Status.INFRA_ERROR
            and not redone(self._row_of(found.outcome), found.limits, self._limits)
            and has_masks(self.folder, found.outcome)
        )

    def _take_up_shards(self) -> None:
        """Follow the shards that an earlier command handed in and that still wait or run."""
        for run, number in self.pool.poll().open:
            if run == self.row.id:
                path = self.folder / "specs" / f"{number}.json"
                spec = ShardSpec.from_json(path.read_text(encoding="utf-8"), self.pool.shared)
                cases = tuple(case.prompt.id for case in spec.cases if case.prompt.id in self._pending)
                self._open[number] = _Open(cases, 0)
                self._log(f"{self.row.id}: shard {number} was handed in before and is followed, {len(cases)} cases")

    def _deal(self, cases: Sequence[ScannedCase], *, fruitless: int) -> list[ShardSpec]:
        """Return shards of `cases`; one that was in flight when its worker was lost comes last and alone."""
        lost = lost_with(self.folder, self._open)
        alone = [case for case in cases if lost[case.id]]
        rest = [case for case in cases if not lost[case.id]]
        parts = [(rest, self.pool.parts(len(rest), self._gpus)), *(([case], 1) for case in alone)]
        specs: list[ShardSpec] = []
        for group, number in parts:
            made = deal(
                self.plan,
                self.row.id,
                self.folder.resolve(),
                group,
                boxes=self.boxes,
                gpus=self._gpus,
                parts=number,
                first=self._next,
            )
            for spec in made:
                spec.write(self.pool.shared)
                self._open[spec.number] = _Open(tuple(case.prompt.id for case in spec.cases), fruitless)
            self._next += len(made)
            specs += made
        return specs

    def leave(self, specs: Sequence[ShardSpec]) -> RunRow:
        """Hand in shards that nobody follows for now; return the row, which another command finishes."""
        if specs:
            self.pool.start(specs, lambda _run, _case: None)
        self.row = replace(self.row, state="interrupted")
        self.store.save_run(self.row)
        return self.row

    # -- outcomes -----------------------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether shards are open or cases are being scored."""
        return bool(self._open or self.scoring)

    def score_rest(self, submit: Submit) -> None:
        """Submit the cases to the scorers whose masks were there from before."""
        known = {case.case: case for case in self.store.cases(self.row.id)}
        for case in self._unscored:
            if (found := read(self.folder, case)) is not None:
                self._taken[case] = found.outcome
            self._submit(known[case], submit)

    def look(self, submit: Submit) -> None:
        """Take every outcome that is there."""
        for case in sorted(cases_with_outcome(self.folder) & self._pending, key=lambda case: self.cases[case][0]):
            self.take(case, submit)

    def take(self, case: str, submit: Submit) -> None:
        """Take the outcome of a case, if it is there and has not been taken."""
        if case not in self._pending:
            return
        found = read(self.folder, case)
        if found is None or found.plan != self.plan.key:
            return
        if not has_masks(self.folder, found.outcome):
            if self._patience_is_over(self._unseen.setdefault(case, time.monotonic())):
                self._log(f"warning: the masks of {case} are gone; it is done again")
                withdraw(self.folder, case)
            return
        self._pending.discard(case)
        self._taken[case] = found.outcome
        row = self._row_of(found.outcome)
        self.store.save_case(self.row.id, row)
        self._submit(row, submit)

    def _row_of(self, outcome: CaseOutcome) -> CaseRow:
        return CaseRow(
            case=outcome.case,
            ordinal=self.cases[outcome.case][0],
            status=outcome.status,
            reason=outcome.reason,
            seconds=outcome.seconds,
            host_bytes=outcome.host_bytes,
            device_bytes=outcome.device_bytes,
            attempts=outcome.attempts,
            log=outcome.log,
            evidence=outcome.seen(),
        )

    # -- shards -------------------------------------------------------------------------------------------------------

    def heed(self, open_: Iterable[ShardId], reports: Iterable[ShardReport]) -> list[ShardSpec]:
        """Heed what a pool says of its shards; return the shards to which what is left of them is dealt.

        Parameters
        ----------
        open_, reports
            As in :class:`harness.runs.pools.Seen`. Outcomes must have been looked at since.
        """
        mine = {number for run, number in open_ if run == self.row.id}
        told = {report.shard: report for report in reports if report.run == self.row.id}
        again: list[ShardSpec] = []
        for number, shard in list(self._open.items()):
            if shard.ended is None:
                if number in mine and number not in told:
                    continue
                lost = ShardReport(self.row.id, number, "lost", reason="its worker or its host is gone")
                shard.ended, shard.since = told.get(number, lost), time.monotonic()
            left = [case for case in shard.cases if case in self._pending]
            if left and shard.ended.state == "done" and not self._patience_is_over(shard.since):
                continue  # what another host has written may be seen a little later
            del self._open[number]
            if left:
                again += self._rest_of(number, shard, shard.ended, left)
            elif shard.ended.state == "failed":
                self.fail(shard.ended.error())
        return again

    def _rest_of(self, number: int, shard: _Open, ended: ShardReport, left: Sequence[str]) -> list[ShardSpec]:
        """Return the shards of what is left of a shard that has ended."""
        if self.stopping:
            return []
        fruitless = shard.fruitless + 1 if len(left) == len(shard.cases) else 0
        if fruitless > self.pool.redeals:
            self.fail(self._given_up(number, ended, left))
            return []
        if self.pool.redeals:
            where = f" on {ended.node}" if ended.node else ""
            self._log(f"{self.row.id}: shard {number}{where}: {ended.state} ({ended.reason}); {len(left)} cases again")
        lost = lost_with(self.folder, self._open)
        for case in left:
            if lost[case] >= MAX_LOST:
                self._end_those_that_end_hosts(case, lost[case])
        cases = [self.cases[case][1] for case in left if lost[case] < MAX_LOST]
        return self._deal(cases, fruitless=fruitless)

    def _end_those_that_end_hosts(self, case: str, times: int) -> None:
        reason = f"{times} times the worker or its host was lost while this case was in flight; it is not tried again"
        put(self.folder, Found(self.plan.key, self._limits, CaseOutcome(case, Status.INFRA_ERROR, reason)))

    def _given_up(self, number: int, ended: ShardReport, left: Sequence[str]) -> BaseException:
        if ended.state == "failed":
            return ended.error()
        return PrerequisiteError(
            f"shard {number} of {self.row.id} was {ended.state} ({ended.reason}), and none of its {len(left)} cases "
            "came any further",
            fix="see what ends it (time limit, memory, the host); the same command goes on with what is left",
        )

    def fail(self, error: BaseException) -> None:
        """Note that the run cannot be finished now, and end its shards; the first error counts."""
        if isinstance(error, FileNotFoundError) and not self.folder.is_dir():
            error, missed = self._gone(), error
            error.__cause__ = missed
        self.error = self.error or error
        self.stop("soon")

    def _gone(self) -> BaseException:
        return PrerequisiteError(
            f"the folder of {self.row.id} is gone: {self.folder.resolve()}",
            fix=f"see whether {self.pool.shared} is mounted; the same command goes on with what is left",
        )

    def stop(self, when: str) -> None:
        """Write the file that ends the run's shards, wherever they are: ``soon`` or ``now``."""
        self.stopping = True
        with contextlib.suppress(OSError):  # a full disk: the pool is told as well
            (self.folder / STOP_FILE).write_text(when, encoding="ascii")

    # -- scoring ------------------------------------------------------------------------------------------------------

    def _submit(self, outcome: CaseRow, submit: Submit) -> None:
        self.outcomes[outcome.case] = outcome
        _, case = self.cases[outcome.case]
        flip, delivered = self.plan.request.dataset.mask_flip, outcome.status == Status.OK
        submit(case_task(case, self.folder / "masks", flip, delivered=delivered))
        self.scoring += 1  # not before: what could not be submitted is never scored, and nobody waits for it

    def scored(self, case: str, future: Future[CaseScore], submit: Submit) -> CaseRow | None:
        """Store the scores of a case; None where it is submitted again instead."""
        self.scoring -= 1
        outcome = self.outcomes[case]
        error = future.exception()
        if isinstance(error, BrokenProcessPool):
            self._rescore(case)
            self._submit(outcome, submit)
            return None
        if outcome.status == Status.OK:
            self._require_masks(case)
        if error is not None and outcome.status == Status.OK:
            # Its masks count as not delivered, and the run continues; without masks the failure is ours.
            reason = f"the scorer failed on its masks ({type(error).__name__}: {error})"
            self._submit(replace(outcome, status=Status.INFRA_ERROR, reason=reason), submit)
            return None
        self.done += 1
        rows = rows_of_outcome(self.cases[case][1], future.result(), outcome, self.folder / "masks")
        status, reason = case_status(outcome, rows)
        row = replace(outcome, status=status, reason=reason, scored=True)
        self.store.save_case(self.row.id, row, rows)
        return row

    def _require_masks(self, case: str) -> None:
        """Raise PrerequisiteError where a mask that a host has written is gone: the model has delivered it."""
        taken = self._taken.get(case)
        if taken is None or not taken.collected:
            return
        masks = self.folder / MASKS / case
        if masks.is_dir() and all((masks / f"{finding}.nii.gz").is_file() for finding in taken.masks):
            return
        if not self.folder.is_dir():
            raise self._gone()
        raise PrerequisiteError(
            f"{masks.resolve()} lacks masks that were written there",
            fix=f"see whether {self.pool.shared} is mounted and readable here, or begin anew with `--fresh`",
        )

    def _rescore(self, case: str) -> None:
        self._rescored[case] = self._rescored.get(case, 0) + 1
        if self._rescored[case] > MAX_RESCORED:
            raise PrerequisiteError(
                f"the process that scores case {case} was killed {MAX_RESCORED + 1} times",
                fix="look for the kernel's out-of-memory killer (`dmesg`); the same command resumes the run",
            )

    # -- the end ------------------------------------------------------------------------------------------------------

    def finish(self) -> RunRow:
        """Compute the summary and save the row; an interrupted or failed run keeps its finished cases.

        Raises
        ------
        BaseException
            That with which the run failed.
        Interrupted
            When cases are left because it was stopped.
        """
        every = self.store.cases(self.row.id)
        cases = [case for case in every if case.case in self.cases]
        shards = read_figures(self.folder)
        placed = self._placed()
        timing = figures(cases, shards, placed, image_bytes=self.plan.image.size)
        scored = {case.case for case in cases if case.scored}
        complete = scored == self.cases.keys()
        state = "done" if complete and self.error is None else "interrupted"
        engines = [shards[name].engine for name in sorted(set(placed.values()) & shards.keys())]
        unfair = sum(case.status == Status.INFRA_ERROR for case in cases)
        row = as_carried_out(self.row, engines, unfair=unfair)
        record = {**row.record, **hosts_of(shards)}
        finished = _now() if complete else None
        row = replace(row, state=state, finished=finished, record=record, timing=timing)
        if complete:
            findings = [finding for finding in self.store.findings(row.id) if finding.case in self.cases]
            cuts = cuts_on(self.plan.request.dataset, row.split, findings)
            if cuts is not None:
                row = replace(row, record={**row.record, "sizes": cuts.to_json()})
            for name, profile in profiles_on(row.split).items():
                self.store.save_metrics(row.id, name, summarise(findings, profile, cuts=cuts))
            write_record(self.folder, row, cases, findings)  # before the row: a finished row always has a record
        self.store.save_run(row, without=[case.case for case in every if case.case not in self.cases])
        for line in second_outcomes(self.folder):
            self._log(f"warning: {line}")
        if not self._open:
            (self.folder / STOP_FILE).unlink(missing_ok=True)
        if self.error is not None:
            raise self.error
        if not complete:
            raise Interrupted(
                f"{row.id} was stopped with {len(scored)} of {len(self.cases)} cases finished",
                fix=f"the same command {'without --fresh ' if self.plan.request.fresh else ''}resumes the run",
            )
        forget_collected(self.folder)
        for case in cases:
            if case.status != Status.INFRA_ERROR:  # what ended its host before is tried last and alone again
                forget(self.folder, case.case)
        return row

    def _placed(self) -> Mapping[str, str]:
        """Return case -> name of the figures of the shard that its outcome is from."""
        found = ((case, read(self.folder, case)) for case in self.cases)
        return {case: each.outcome.figures for case, each in found if each is not None}

    @staticmethod
    def _patience_is_over(since: float) -> bool:
        return time.monotonic() - since > PATIENCE_S


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
