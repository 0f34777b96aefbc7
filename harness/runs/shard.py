"""Runs one shard at one place: plain JSON in, files and a plain record out, the same on this host and elsewhere.

Nothing raises: what happened is the record. Cases that have an outcome are left out, so a shard that is handed in
twice does what is missing. It ends early when the run is stopped (``stop`` in the run's folder, or the request that it
was started with) or when its time is nearly up; then the cases without an outcome are left to another shard.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

from harness.errors import PrerequisiteError
from harness.runs.attempts import run_cases
from harness.runs.hardware import describe_hardware
from harness.runs.outcome import (
    CaseOutcome,
    ContainerFigures,
    Found,
    ShardFigures,
    begin_figures,
    cases_with_outcome,
    put,
    read,
    write_figures,
)
from harness.runs.place import Place, own_folder
from harness.runs.report import ShardReport
from harness.runs.spec import ShardSpec, versions
from harness.runs.training.attempt import SAVE_S
from harness.runs.training.shard import train_shard
from harness.runs.tries import Mark
from harness.sandbox.stop import Stop
from harness.status import Status

#: Name of the file in a run's folder whose content, ``soon`` or ``now``, ends its shards wherever they run.
STOP_FILE = "stop"

#: Seconds between two looks at it.
_LOOK_S = 1.0

#: Seconds before its deadline at which a shard ends whatever is in flight.
_LAST_S = 20.0

#: A case is expected to take at most this many times the median of those before it.
_SPREAD = 3.0

Tell = Callable[[str], None]


def run_shard(spec: ShardSpec, place: Place, stop: Stop, tell: Tell = lambda _: None) -> ShardReport:
    """Run the cases of a shard that have no outcome yet, and write an outcome for each.

    Parameters
    ----------
    spec, place
        The shard, and what this host offers.
    stop
        The request to end early, in addition to the file in the run's folder.
    tell
        Called with the name of each case whose outcome has been written.

    Returns
    -------
    ShardReport
        ``done``, ``stopped`` or ``failed``; whatever was raised is in it.
    """
    try:
        return _run(spec, place, stop, tell)
    except BaseException as error:  # noqa: BLE001 - an exception may not travel; the record does
        return ShardReport.of(spec.run, spec.number, place.node, error)


def _run(spec: ShardSpec, place: Place, stop: Stop, tell: Tell) -> ShardReport:
    _require_same_versions(spec, place)
    if spec.trains:
        ending = _Ending(stop, spec.folder / STOP_FILE, lambda: SAVE_S, place.deadline)
        return train_shard(spec, place, _here(place), ending)
    done = cases_with_outcome(spec.folder)
    again = {case for case in done if _says_nothing(spec.folder, case)}
    left = tuple(case for case in spec.cases if case.prompt.id not in done - again)
    writer = _Writer(spec, place, tell)
    ending = _Ending(stop, spec.folder / STOP_FILE, writer.expected_s, place.deadline)
    if left and not ending.soon.is_set():
        writer.begin()
        with own_folder(place.scratch, f"{spec.run}-{writer.name}") as root:
            mark = Mark(spec.folder, writer.name)
            todo = replace(spec, cases=left)
            run_cases(todo, place, writer.name, root=root.resolve(), emit=writer.take, mark=mark, stop=ending)
    missing = [case.prompt.id for case in left if case.prompt.id not in writer.written]
    reason = f"{ending.reason or 'it was requested to stop'}; {len(missing)} cases are left" if missing else ""
    return ShardReport(spec.run, spec.number, "stopped" if missing else "done", place.node, reason)


def _here(place: Place) -> ShardFigures:
    """Return where a shard runs."""
    engine = {name: value for name, value in place.engine.describe().items() if name != "packages"}
    engine["lacks"] = place.engine.lacks(place.gpu_ids)
    return ShardFigures(place.node, describe_hardware(place.gpus, place.per_gpu), engine)


def _says_nothing(folder: Path, case: str) -> bool:
    found = read(folder, case)
    return found is not None and found.outcome.status is Status.INFRA_ERROR


def _require_same_versions(spec: ShardSpec, place: Place) -> None:
    here = versions()
    other = [f"{name} {here.get(name, 'unknown')}, not {version}" for name, version in spec.versions.items()
             if here.get(name) != version]  # fmt: skip
    if other:
        raise PrerequisiteError(
            f"{place.node} has another version than the command that made the shard: {', '.join(other)}",
            fix="install the same version of groundbench on every host",
        )


class _Writer:
    """Writes the outcomes and the figures of a shard as they come."""

    def __init__(self, spec: ShardSpec, place: Place, tell: Tell) -> None:
        self._spec, self._place, self._tell = spec, place, tell
        resources = spec.plugin.model.resources
        self._limits, self._case_timeout_s = resources.limits(), resources.case_timeout_s
        self._containers: dict[int, ContainerFigures] = {}
        self.name = str(spec.number)
        self.written: set[str] = set()
        self._seconds: list[float] = []  #: of the cases that were delivered

    def expected_s(self) -> float:
        """Return how many seconds the next case may be expected to take."""
        limit = self._case_timeout_s
        return min(limit, _SPREAD * statistics.median(self._seconds)) if self._seconds else limit

    def begin(self) -> None:
        """Write where the shard runs; from then on its name is its own."""
        self._figures = _here(self._place)
        self.name = begin_figures(self._spec.folder, self._spec.number, self._figures)

    def take(self, report: CaseOutcome | ContainerFigures) -> None:
        """Write an outcome, or a container's figures in the place of its earlier ones."""
        if isinstance(report, ContainerFigures):
            self._containers[report.container] = report
            figures = replace(self._figures, containers=tuple(self._containers.values()))
            write_figures(self._spec.folder, self.name, figures)
            return
        put(self._spec.folder, Found(self._spec.plan, self._limits, report))
        self.written.add(report.case)
        if report.seconds is not None:
            self._seconds.append(report.seconds)
        self._tell(report.case)


class _Ending(Stop):
    """The request to end one shard: the run's own, the file's, or the clock's."""

    def __init__(self, outer: Stop, file: Path, expected_s: Callable[[], float], deadline: float | None) -> None:
        super().__init__()
        self.soon = _Asked(lambda: outer.soon.is_set() or self._file() != "" or self._late())
        self.now = _Asked(lambda: outer.now.is_set() or self._file() == "now" or self._over())
        self.reason = ""
        self._path, self._expected_s, self._deadline = file, expected_s, deadline
        self._looked, self._said = float("-inf"), ""

    def _file(self) -> Literal["", "soon", "now"]:
        if time.monotonic() - self._looked >= _LOOK_S:
            self._looked = time.monotonic()
            try:
                self._said = self._path.read_text(encoding="ascii").strip() or "soon"
            except FileNotFoundError:
                self._said = ""
        return "now" if self._said == "now" else "soon" if self._said else ""

    def _late(self) -> bool:
        """Return whether a case that begins now, or saving a state, could not be expected to end in time."""
        if self._deadline is None or time.monotonic() + self._expected_s() + _LAST_S <= self._deadline:
            return False
        self.reason = "its time is nearly up"
        return True

    def _over(self) -> bool:
        over = self._deadline is not None and time.monotonic() + _LAST_S > self._deadline
        if over:
            self.reason = "its time is up"
        return over


class _Asked(threading.Event):
    """An event that is also set where something else says so."""

    def __init__(self, also: Callable[[], bool]) -> None:
        super().__init__()
        self._also = also

    def is_set(self) -> bool:
        """Return whether it was set here or there; once set it stays so."""
        if not super().is_set() and self._also():
            self.set()
        return super().is_set()
