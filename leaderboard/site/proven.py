"""What a board shows is what the runs left: a database that was edited by hand builds no site."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path

from harness.errors import DataError
from harness.rows import FindingRow, RunRow
from harness.runs.record import compare_record
from harness.scoring import SCORER_VERSION
from harness.scoring.profiles import PROFILES
from harness.scoring.sizes import SizeCuts
from harness.scoring.summary import summarise
from harness.store.database import Store, cells

#: Differences of a row that are told.
_TOLD = 3


def require_proven(store: Store, runs: Path, log: Callable[[str], None]) -> None:
    """Hold every finished row of a database against its record, and its metrics against its findings.

    Parameters
    ----------
    store
        The results database.
    runs
        The folder of the runs, with their records.
    log
        Called with a line where rows have no record here, so that nothing confirms what they state.

    Raises
    ------
    DataError
        A row differs; it is named with the first differences. Masks are not read: `bench results verify` does.
    """
    without = []
    for run in store.runs():
        if run.state != "done":
            continue
        findings = store.findings(run.id)
        faults: Iterable[str] = _sums(store, run, findings)
        if (runs / run.id / "record.json").exists():
            faults = chain(compare_record(runs / run.id, run, store.cases(run.id), findings), faults)
        else:
            without.append(run.id)
        if told := list(islice(faults, _TOLD)):
            raise DataError(
                f"{run.id} is not what its run left: {'; '.join(told)}",
                fix=f"`bench results verify {run.id}` names everything; remove the row, or run it again (--fresh)",
            )
    if without:
        log(f"note: {len(without)} rows have no record in {runs}, so that nothing confirms them: {without[0]}, …")


def _sums(store: Store, run: RunRow, findings: list[FindingRow]) -> Iterator[str]:
    """Name the metrics that do not follow from the findings; of another scorer they may be others."""
    if run.record.get("scorer") != SCORER_VERSION:
        return
    cuts = SizeCuts.recorded(run.record)
    for name, profile in PROFILES.items():
        quirks = bool(run.plan.get("organiser_quirks")) and name == run.profile
        stored = dict(cells(store.metrics(run.id, name)))
        used = replace(profile, organiser_quirks=quirks)
        computed = dict(cells(summarise(findings, used, cuts=cuts))) if stored else {}
        for path in sorted(stored.keys() | computed.keys()):
            if stored.get(path) != computed.get(path):
                yield f"{name} {path}: stored {stored.get(path)}, computed {computed.get(path)}"
