"""Whether a stored row may be shown: it follows from its plan, its record and its single findings, or it is refused.

A results database is a file that anybody with an editor can change. What a board shows is held against the record that
the run left beside its masks, against the digest of its plan, and against its own findings, before it is shown. Masks
are not read again: that is what ``bench results verify`` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from harness.rows import FindingRow, RunRow
from harness.runs.record import compare_record
from harness.runs.sums import differing_metrics, faults_of
from harness.runs.verify import differing_from_plan
from harness.scoring import SCORER_VERSION
from harness.scoring.profiles import PROFILES
from harness.scoring.sizes import SizeCuts
from harness.status import RowLevel, Status
from harness.store.database import Store

#: How the reason begins of a row that cannot be shown right.
NOT_CONFIRMED = "not confirmed"

#: Lines that a reason names.
_NAMED = 2


def unconfirmed(store: Store, run: RunRow, runs: Path, findings: Sequence[FindingRow] | None = None) -> list[str]:
    """Return what of a stored row cannot be shown right, a line a value; nothing of a row that has not ended.

    Parameters
    ----------
    store, run
        The database, and the row as it is stored.
    runs
        The folder of the runs, each with its record.
    findings
        What :meth:`~harness.store.database.Store.findings` returns of it, where that was read before.
    """
    if run.state != "done":
        return []
    findings = store.findings(run.id) if findings is None else findings
    return [
        *differing_from_plan(run),
        *compare_record(runs / run.id, run, store.cases(run.id), findings),
        *_sums(findings),
        *_metrics(store, run, findings),
    ]


def confirmed(store: Store, run: RunRow, runs: Path) -> RunRow:
    """Return a row as it may be shown: itself, or :func:`doubted` where something of it does not follow."""
    lines = unconfirmed(store, run, runs)
    return doubted(run, lines) if lines else run


def doubted(run: RunRow, lines: Sequence[str]) -> RunRow:
    """Return a row that cannot be shown right as a board has it: without a rank, and no more than a reported one.

    The reason names the first `lines` in brackets, which may quote what the data set keeps closed.
    """
    more = f"; and {len(lines) - _NAMED} more" if len(lines) > _NAMED else ""
    told = "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in "; ".join(lines[:_NAMED]))
    why = f"{NOT_CONFIRMED} by its plan, its record and its findings ({told}{more})"
    record = {**run.record, "level": RowLevel.REPORTED}
    return replace(run, rankable=False, unrankable=[*run.unrankable, why], record=record)


def _sums(findings: Sequence[FindingRow]) -> Iterator[str]:
    """Name the findings whose numbers contradict each other; what an earlier version has not counted says nothing."""
    for row in findings:
        counted = None not in (row.truth_voxels, row.pred_voxels, row.intersection)
        if counted or row.status != Status.OK:
            yield from (f"{row.case}/{row.finding}: {fault}" for fault in faults_of(row))


def _metrics(store: Store, run: RunRow, findings: Sequence[FindingRow]) -> Iterator[str]:
    """Name the metrics that do not follow from the findings; one that an earlier version has not made says nothing."""
    cuts = SizeCuts.recorded(run.record)
    for name in PROFILES:
        kept = store.metrics(run.id, name)
        if not kept:
            continue
        if run.record.get("scorer", SCORER_VERSION) != SCORER_VERSION:
            yield f"version {run.record['scorer']} of the scorer made its metrics, this is {SCORER_VERSION}"
            return
        for path, stored, computed in differing_metrics(run, name, findings, kept, cuts):
            if stored is not None:
                by = "nothing" if computed is None else computed["value"]
                yield f"{name} {path}: {stored['value']} stored, {by} by its findings"
