"""Progress of a run: a bar for a person at a terminal, plain lines otherwise; all on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import click

from harness.cli.streams import is_plain
from harness.cli.tables import counted, printable, seconds
from harness.rows import CaseRow, RunRow
from harness.store.trainings import TrainingPoint

#: Seconds between two lines of a training that does not validate.
LINE_EVERY_S = 15.0


def described(point: TrainingPoint) -> str:
    """Return a training's report in words."""
    losses = ", ".join(f"{name} {value:.4g}" for name, value in point.losses.items())
    dice = "" if point.val_dice is None else f", val Dice {point.val_dice:.3f}"
    return f"step {point.step}/{point.steps}" + (f": {losses}" if losses else "") + dice


def opening(run: RunRow, kept: int) -> str:
    """Return in words what a run has to do."""
    before = f", {kept} kept from before" if kept else ""
    return f"{counted(run.n_cases, 'case')}, {counted(run.n_findings, 'finding')}{before}"


class Pace:
    """The speed of a training, in this invocation."""

    def __init__(self) -> None:
        self._first: TrainingPoint | None = None

    def note(self, point: TrainingPoint) -> None:
        """Remember the first point; a smaller step is another training."""
        if self._first is None or point.step < self._first.step:
            self._first = point

    def left(self, point: TrainingPoint) -> str:
        """Return the remaining time in words; empty where it is not yet known."""
        if self._first is None or point.step <= self._first.step or point.step >= point.steps:
            return ""
        a_step = (point.seconds - self._first.seconds) / (point.step - self._first.step)
        return f", {seconds(a_step * (point.steps - point.step))} left"


class _Progress:
    """The progress over all runs of a command."""

    def __init__(self) -> None:
        self._runs: dict[str, tuple[int, int]] = {}  #: run -> its cases, and how many of them are done

    def begin(self, run: RunRow, done: int) -> tuple[int, int]:
        """Add a run, `done` of whose cases are scored; return how many of all cases are done, and their number."""
        self._runs[run.id] = run.n_cases, done
        return self._sums()

    def case(self, run: str, done: int) -> tuple[int, int, bool]:
        """Note how many cases of a run are done; return the same of all runs, and whether there are several."""
        self._runs[run] = self._runs[run][0], done
        return *self._sums(), len(self._runs) > 1

    def _sums(self) -> tuple[int, int]:
        return sum(done for _, done in self._runs.values()), sum(total for total, _ in self._runs.values())


class Lines:
    """Plain lines: one a step, one a case, with the time that is left."""

    def __init__(self) -> None:
        self._progress = _Progress()
        self._first: tuple[float, int] | None = None  #: when the first case was done, and how many were then
        self._pace, self._said = Pace(), 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def log(self, line: str) -> None:
        """Show one line."""
        click.echo(printable(line), err=True)

    def training(self, name: str, points: Sequence[TrainingPoint]) -> None:
        """Show a validation, or now and then a step, with the time that is left."""
        for point in points:
            now = time.monotonic()
            self._pace.note(point)
            if point.val_dice is not None or point.step == point.steps or now - self._said >= LINE_EVERY_S:
                self._said = now
                self.log(f"  {name} {described(point)}{self._pace.left(point)}")

    def begin(self, run: RunRow, done: int, kept: int) -> None:
        """Show that the cases begin: `kept` masks exist from before, `done` of them already scored."""
        self._progress.begin(run, done)
        self._first = None
        self.log(f"{run.id}: {opening(run, kept)}")

    def case(self, run: str, case: CaseRow, done: int) -> None:
        """Show how one case ended, and the remaining time of all runs."""
        now = time.monotonic()
        done, total, of_many = self._progress.case(run, done)
        ending = ""
        if self._first is None:  # it waited for the container and the model: nothing follows for the others
            self._first = now, done
        elif self._first[1] < done < total:
            a_case = (now - self._first[0]) / (done - self._first[1])
            ending = f", {seconds(a_case * (total - done))} left"
        reason = f": {case.reason}" if case.reason else ""
        whose = f"{run} " if of_many else ""
        self.log(f"  {done}/{total} {whose}{case.case} {case.status} ({seconds(case.seconds)}){reason}{ending}")


class Bar:
    """A rich progress bar; lines worth keeping scroll by above it."""

    def __init__(self) -> None:
        from rich import progress as bars

        from harness.cli.consoles import OwnConsole, printed_by

        self._console = OwnConsole(sys.stderr)
        self._printed = printed_by(self.log)
        self._progress = _Progress()
        self._bar = bars.Progress(
            bars.TextColumn("{task.description}", markup=False),
            bars.BarColumn(bar_width=16),
            bars.MofNCompleteColumn(),
            bars.TimeRemainingColumn(),
            console=self._console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._bar.add_task("preparing", total=None)

    def __enter__(self) -> Self:
        self._bar.start()
        self._printed.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._printed.__exit__(kind, error, trace)
        self._bar.stop()

    def log(self, line: str) -> None:
        """Show one line above the bar."""
        self._console.print(printable(line), markup=False, soft_wrap=True)

    def training(self, name: str, points: Sequence[TrainingPoint]) -> None:
        """Advance the bar of a training; a validation gets a line."""
        for point in points:
            self._bar.update(self._task, description="training", total=point.steps, completed=point.step)
            if point.val_dice is not None:
                self.log(f"{name} {described(point)}")

    def begin(self, run: RunRow, done: int, kept: int) -> None:
        """Begin a bar for the run's cases."""
        self.log(f"{run.id}: {opening(run, kept)}")  # not beside the bar, where a narrow terminal would cut it
        done, total = self._progress.begin(run, done)
        self._bar.reset(self._task, description="cases", total=total, completed=done)

    def case(self, run: str, case: CaseRow, done: int) -> None:
        """Advance the bar; a failed case gets a line."""
        done, _, of_many = self._progress.case(run, done)
        self._bar.update(self._task, completed=done)
        if case.status != "ok":
            self.log(f"{f'{run} ' if of_many else ''}{case.case} {case.status}: {case.reason}")


def make_watcher() -> Lines | Bar:
    """Return a bar for a person at a terminal that can move its cursor, lines otherwise."""
    return Lines() if is_plain(sys.stderr) else Bar()
