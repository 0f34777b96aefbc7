"""Whether a stored row may be shown: it follows from its plan, its record and its single findings, or it is refused.

A results database is a file that anybody with an editor can change. What a board shows is held against the record that
the run left beside its masks, against the digest of its plan, and against its own findings, before it is shown. Masks
are not read again: that is what ``bench results verify`` does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from harness.rows import FindingRow, RunRow
from harness.runs.record import compare_record
from harness.runs.verify import differing_from_plan
from harness.scoring import SCORER_VERSION
from harness.scoring.profiles import PROFILES
from harness.scoring.sizes import SizeCuts
from harness.scoring.summary import summarise
from harness.status import RowLevel, Status
from harness.store.database import Store, cells

#: How the reason begins of a row that cannot be shown right.
NOT_CONFIRMED = "not confirmed"

#: Lines that a reason names.
_NAMED = 2


def unconfirmed(store: Store, run: RunRow, runs: Path) -> list[str]:
    """Return what of a stored row cannot be shown right, a line a value; nothing of a row that has not ended.

    Parameters
    ----------
    store, run
        The database, and the row as it is stored.
    runs
        The folder of the runs, each with its record.
    """
    if run.state != "done":
        return []
    findings = store.findings(run.id)
    return [
        *differing_from_plan(run),
        *compare_record(runs / run.id, run, store.cases(run.id), findings),
        *_sums(findings),
        *_metrics(store, run, findings),
    ]


def doubted(run: RunRow, lines: Sequence[str]) -> RunRow:
    """Return a row that cannot be shown right as a board has it: without a rank, and no more than a reported one.

    The reason names the first `lines` in brackets, which may quote what the data set keeps closed.
    """
    more = f"; and {len(lines) - _NAMED} more" if len(lines) > _NAMED else ""
    why = f"{NOT_CONFIRMED} by its plan, its record and its findings ({'; '.join(lines[:_NAMED])}{more})"
    record = {**run.record, "level": RowLevel.REPORTED}
    return replace(run, rankable=False, unrankable=[*run.unrankable, why], record=record)


def _sums(findings: Sequence[FindingRow]) -> Iterator[str]:
    """Name the findings whose Dice is not that of their counts of voxels."""
    for row in findings:
        counts = (row.truth_voxels, row.pred_voxels, row.intersection)
        dice = 0.0
        if row.status == Status.OK:
            if None in counts or not row.truth_voxels:
                continue
            truth, pred, shared = (int(count or 0) for count in counts)
            dice = 2 * shared / (truth + pred)
            if not 0 <= shared <= min(truth, pred):
                yield f"{row.case}/{row.finding}: {shared} voxels in common of {truth} and {pred}"
        if not math.isclose(row.dice, dice, abs_tol=1e-9):
            yield f"{row.case}/{row.finding} dice: {row.dice} stored, {dice} by its counts of voxels"


def _metrics(store: Store, run: RunRow, findings: Sequence[FindingRow]) -> Iterator[str]:
    """Name the metrics that do not follow from the findings."""
    cuts = SizeCuts.recorded(run.record)
    for name, profile in PROFILES.items():
        kept = dict(cells(store.metrics(run.id, name)))
        if not kept:
            continue
        if run.record.get("scorer", SCORER_VERSION) != SCORER_VERSION:
            yield f"version {run.record['scorer']} of the scorer made its metrics, this is {SCORER_VERSION}"
            return
        quirks = bool(run.plan.get("organiser_quirks")) and name == run.profile
        computed = dict(cells(summarise(findings, replace(profile, organiser_quirks=quirks), cuts=cuts)))
        for path, cell in kept.items():
            if cell != computed.get(path, cell):
                yield f"{name} {path}: {cell['value']} stored, {computed[path]['value']} by its findings"
            elif path not in computed:
                yield f"{name} {path}: {cell['value']} stored, nothing by its findings"
