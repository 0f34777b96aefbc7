"""The sums of a text folder: from its tables to every metric and interval, held against the record digit by digit.

Nothing here needs a mask or the truth: a number that does not follow from the findings is named, and so is a finding
whose own numbers contradict each other. That the findings are those of the masks, only the masks can show.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from harness.rows import RunRow
from harness.runs.sums import differing_metrics, faults_of
from harness.scoring.profiles import PROFILES, profiles_on
from harness.scoring.sizes import SizeCuts, cuts_of
from harness.status import Status
from harness.store.database import Metrics
from harness.submissions.tables import Tables


def compare_findings(tables: Tables) -> Iterator[str]:
    """Name the findings whose numbers contradict each other, and cases that do not go with their findings."""
    cases = {case.case for case in tables.cases}
    for case in sorted(cases ^ {row.case for row in tables.findings}):
        yield f"{case}: it is in {'cases.csv' if case in cases else 'findings.csv'} only"
    ordinals = {case.case: case.ordinal for case in tables.cases}
    order = [(ordinals.get(row.case, -1), row.case, row.index) for row in tables.findings]
    if order != sorted(order) or len(set(ordinals.values())) != len(tables.cases):
        yield "findings.csv: its rows are not in the order of the split"
    for row in tables.findings:
        name = f"{row.case}/{row.finding}"
        if row.text and hashlib.sha256(row.text.encode()).hexdigest() != tables.texts[row.case, row.finding]:
            yield f"{name}: its text does not have the digest beside it"
        if row.status == Status.OK and row.mask_sha256 is None:
            yield f"{name}: it is ok and lacks the digest of its mask"
        yield from (f"{name}: {fault}" for fault in faults_of(row))


def compare_sums(run: RunRow, tables: Tables, metrics: dict[str, Metrics]) -> Iterator[str]:
    """Name every metric, interval and count that does not follow from the findings.

    Parameters
    ----------
    run, tables
        The row, and its tables.
    metrics
        Profile -> the metrics that the record states.
    """
    for column, number in {"n_cases": len(tables.cases), "n_findings": len(tables.findings)}.items():
        if getattr(run, column) != number:
            yield f"{column}: {getattr(run, column)} in the record, {number} in the tables"
    cuts = SizeCuts.recorded(run.record)
    known = [row.details.size_ratio for row in tables.findings if row.details.size_ratio is not None]
    if cuts is not None and cuts.of != "fixed" and cuts.n == len(known):
        again = cuts_of(known)
        if again is not None and not cuts.same_groups(again):
            yield f"size groups: {cuts.small}, {cuts.medium} in the record, {again.small}, {again.medium} by the tables"
    due = {run.profile, *profiles_on(run.split)}
    if due != metrics.keys():
        yield f"profiles: {', '.join(sorted(metrics))} in the record, {', '.join(sorted(due))} are due"
    for name in sorted(due & metrics.keys() & PROFILES.keys()):
        for path, stated, computed in differing_metrics(run, name, tables.findings, metrics[name], cuts):
            yield f"{name} {path}: {stated} in the record, {computed} by the tables"
