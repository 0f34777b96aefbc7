"""One line of ``bench plugin check``, and what every check is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.rows import CaseRow, RunRow
from harness.sandbox.stop import Stop
from harness.store.trainings import TrainingPoint

Outcome = Literal["pass", "FAIL", "skip"]


@dataclass(frozen=True)
class PluginCheck:
    """One line.

    Attributes
    ----------
    name
        What was checked.
    outcome
        ``"pass"``, ``"FAIL"`` or ``"skip"``.
    found
        What was found; of a skipped one, why.
    fix
        What to do; empty where nothing is wrong.
    """

    name: str
    outcome: Outcome
    found: str
    fix: str = ""


@dataclass(frozen=True)
class Surroundings:
    """Where and how the model is run.

    Attributes
    ----------
    work
        A folder for data, masks and results, absolute; the caller removes it.
    home
        The home whose sources and builds of torch are used; nothing is written there.
    engine
        As for ``bench run``.
    log
        Shows one line of what a run or a build says.
    stop
        Ends it early.
    full
        Whether the row is of CTs of full size.
    """

    work: Path
    home: Path
    engine: str
    log: Callable[[str], None]
    stop: Stop
    full: bool = False

    @property
    def own_home(self) -> Path:
        """The home of the runs that are made here, with the sources and builds of the other one."""
        return self.work / "home"


@dataclass(frozen=True)
class Quiet:
    """Watches a run whose cases are made up: only what it logs is shown."""

    log: Callable[[str], None]
    at_begin: Callable[[], None] = lambda: None  #: called when the data have been validated, and no model has begun

    def begin(self, run: RunRow, done: int, kept: int) -> None:  # noqa: ARG002 - the interface
        """Take the moment before the first case."""
        self.at_begin()

    def case(self, run: str, case: CaseRow, done: int) -> None:
        """Show nothing."""

    def training(self, name: str, points: Sequence[TrainingPoint]) -> None:
        """Show nothing."""
