"""Follows the shards of one or several runs in a pool until every case is scored, or no more can be done.

Everything comes back to one thread: outcomes, which are files; what the pool says of its shards; scores. A report may
come late, twice or never: files are looked at all the same.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass

from harness.rows import CaseRow
from harness.runs.pools import Pool
from harness.runs.score import Scorers
from harness.runs.spec import ShardSpec
from harness.runs.work import Submit, Work
from harness.sandbox.stop import Stop
from harness.scoring.case import CaseScore, CaseTask

#: Seconds between two looks at a request to stop.
_TICK_S = 1.0

#: Seconds that shards have to end when they must end now; then they are left to themselves.
_NOW_S = 60.0


@dataclass(frozen=True)
class _Scored:
    run: str
    case: str
    future: Future[CaseScore]


@dataclass(frozen=True)
class _Woken:
    run: str
    case: str


class Follower:
    """Follows runs in a pool.

    Parameters
    ----------
    pool
        Where their shards are carried out.
    stop
        The request to end early.
    show
        Called with a run's id, a case of it that was scored, and how many of its cases are.
    """

    def __init__(self, pool: Pool, stop: Stop, show: Callable[[str, CaseRow, int], None]) -> None:
        self._pool, self._stop, self._show = pool, stop, show
        self._works: dict[str, Work] = {}
        self._inbox: queue.SimpleQueue[_Scored | _Woken] = queue.SimpleQueue()
        self._told = ""  #: what the pool has been told of the request to stop
        self._told_at = 0.0

    def run(self, works: Sequence[Work], specs: Sequence[ShardSpec]) -> None:
        """Follow runs until nothing more can be done for any of them; what one fails with is noted in its work.

        Parameters
        ----------
        works
            The work on each run, which has begun.
        specs
            Their shards, in order of urgency.
        """
        self._works = {work.row.id: work for work in works}
        try:
            with Scorers() as scorers:
                self._start(specs)
                for work in works:
                    with self._noted(work):
                        work.score_rest(self._submit(work, scorers))
                self._look(scorers)  # outcomes may be there from before
                looked = time.monotonic()
                while self._goes_on():
                    if self._next(scorers) or time.monotonic() - looked >= self._pool.look_s:
                        self._look(scorers)
                        looked = time.monotonic()
                    self._heed_stop()
        except BaseException:
            self._stop.soon.set()
            self._stop.now.set()
            raise

    def _start(self, specs: Sequence[ShardSpec]) -> None:
        if specs:
            self._pool.start(specs, lambda run, case: self._inbox.put(_Woken(run, case)))

    def _goes_on(self) -> bool:
        """Return whether there is something to wait for: shards that must end now have a minute to do so."""
        over = self._told == "now" and time.monotonic() - self._told_at > _NOW_S
        return any(work.scoring if over else work.busy for work in self._works.values())

    def _next(self, scorers: Scorers) -> bool:
        """Process the next thing that comes, if one comes in time; return whether it is time to look at everything."""
        try:
            item = self._inbox.get(timeout=min(self._pool.look_s, _TICK_S))
        except queue.Empty:
            return False
        work = self._works[item.run]
        with self._noted(work):
            if isinstance(item, _Scored):
                row = work.scored(item.case, item.future, self._submit(work, scorers))
                if row is not None:
                    self._show(item.run, row, work.done)
            elif item.case:
                work.take(item.case, self._submit(work, scorers))
            else:
                return True
        return False

    def _look(self, scorers: Scorers) -> None:
        """Ask the pool, and take the outcomes that are there; deal again what is left of shards that have ended."""
        seen = self._pool.poll()  # before the files: the outcomes of a shard are written before its report
        self._heed_stop()  # after the pool: what ended for this reason is not dealt again
        specs: list[ShardSpec] = []
        for work in self._works.values():
            with self._noted(work):
                work.look(self._submit(work, scorers))
                specs += work.heed(seen.open, seen.reports)
                work.look(self._submit(work, scorers))
        self._start(specs)

    def _heed_stop(self) -> None:
        """Pass a request to stop on to the shards, wherever they run."""
        asked = "now" if self._stop.now.is_set() else "soon" if self._stop.soon.is_set() else ""
        if asked == self._told:
            return
        self._told, self._told_at = asked, time.monotonic()
        for work in self._works.values():
            work.stop(asked)
        self._pool.stop(now=asked == "now")

    def _submit(self, work: Work, scorers: Scorers) -> Submit:
        def submit(task: CaseTask) -> None:
            future = scorers.submit(task)
            future.add_done_callback(lambda ended: self._inbox.put(_Scored(work.row.id, task.case, ended)))

        return submit

    @contextmanager
    def _noted(self, work: Work) -> Iterator[None]:
        """Note an error as that of a run: the others go on; a run that is alone is ended at once."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - raised again by the run's end
            work.fail(error)
            if len(self._works) == 1:
                self._stop.soon.set()
                self._stop.now.set()
