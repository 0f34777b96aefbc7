"""Shows a run while it goes on: a bar for a person at a terminal, plain lines otherwise; all on standard error."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

import click

from harness.cli.tables import counted, printable, seconds
from harness.store import CaseRow, RunRow


class Lines:
    """Plain lines: one a step, one a case, with the time that is left."""

    def __init__(self) -> None:
        self._total = self._kept = 0
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def tell(self, line: str) -> None:
        """Show one line."""
        click.echo(printable(line), err=True)

    def begin(self, run: RunRow, done: int, kept: int) -> None:
        """Show that the cases begin: masks of `kept` are there from before, `done` of these scored already."""
        self._total, self._kept, self._began = run.n_cases, done, time.monotonic()
        before = f", {kept} kept from before" if kept else ""
        self.tell(f"{run.id}: {counted(run.n_cases, 'case')}, {counted(run.n_findings, 'finding')}{before}")

    def case(self, case: CaseRow, done: int) -> None:
        """Show how one case ended, and how long the rest will take."""
        left = (time.monotonic() - self._began) / max(1, done - self._kept) * (self._total - done)
        ending = f", {seconds(left)} left" if done < self._total else ""
        reason = f": {case.reason}" if case.reason else ""
        self.tell(f"  {done}/{self._total} {case.case_id} {case.status} ({seconds(case.seconds)}){reason}{ending}")


class Bar:
    """A rich progress bar; lines worth keeping scroll by above it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._console = Console(stderr=True, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._task = self._progress.add_task("preparing", total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def tell(self, line: str) -> None:
        """Show one line above the bar."""
        self._console.print(printable(line), markup=False, soft_wrap=True)

    def begin(self, run: RunRow, done: int, kept: int) -> None:
        """Begin a bar for the run's cases."""
        if kept:
            self.tell(f"{run.id}: {kept} kept from before")
        self._progress.update(self._task, description=run.id, total=run.n_cases, completed=done)

    def case(self, case: CaseRow, done: int) -> None:
        """Move the bar on; a case that failed is told in a line."""
        self._progress.update(self._task, completed=done)
        if case.status != "ok":
            self.tell(f"{case.case_id} {case.status}: {case.reason}")


def make_watcher() -> Lines | Bar:
    """Return a bar for a person at a terminal, lines otherwise."""
    return Bar() if sys.stderr.isatty() else Lines()
