"""The sums of a text folder: from its tables to every metric and interval, held against the record digit by digit.

Nothing here needs a mask or the truth: a number that does not follow from the findings is named, and so is a finding
whose own numbers contradict each other. That the findings are those of the masks, only the masks can show.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import replace

from harness.rows import FindingDetails, FindingRow, InstanceCounts, InstanceRow, Matches, RunRow
from harness.scoring.overlap import dice
from harness.scoring.profiles import PROFILES, profiles_on
from harness.scoring.sizes import SizeCuts, cuts_of
from harness.scoring.summary import summarise
from harness.status import Status
from harness.store.database import Metrics, cells
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
        yield from (f"{name}: {fault}" for fault in _faults(row))


def _faults(row: FindingRow) -> Iterator[str]:
    counts = row.details.instances
    if row.status != Status.OK:
        if row.dice or counts is not None:
            yield f"it is {row.status} and has a score"
        return
    if row.truth_voxels is None or row.pred_voxels is None or row.intersection is None or row.mask_sha256 is None:
        yield "it is ok and lacks voxel counts or the digest of its mask"
        return
    if row.intersection > min(row.truth_voxels, row.pred_voxels):
        yield "the intersection is larger than a mask"
    if row.dice != dice(row.truth_voxels, row.pred_voxels, row.intersection):
        yield f"Dice {row.dice} does not follow from its voxels"
    if counts is not None:
        if counts.kept_voxels > row.pred_voxels or counts.kept_intersection > min(row.intersection, counts.kept_voxels):
            yield "components that were kept have more voxels than the mask"
        yield from _faults_of_instances(counts, row.details)


def _faults_of_instances(counts: InstanceCounts, details: FindingDetails) -> Iterator[str]:
    if details.truth_entities is not None and counts.overlap.tp + counts.overlap.fn != details.truth_entities:
        yield "entities found and missed are not those of the truth"
    if details.rows is None:
        return
    for kind, matches in (("overlap", counts.overlap), ("distance", counts.distance)):
        if matches is not None and matches != _counted(details.rows, kind):
            yield f"matches by {kind} do not follow from its instances"
    if counts.kept_voxels != sum(one.voxels for one in details.rows if one.side == "prediction"):
        yield "the voxels of its instances are not those of the components that were kept"
    if counts.matched_dice != math.fsum(one.dice or 0.0 for one in details.rows if one.side == "truth"):
        yield "the Dice of its matched pairs does not follow from its instances"


def _counted(rows: tuple[InstanceRow, ...], kind: str) -> Matches:
    """Count instances that were found, falsely predicted, and missed, as their rows have it."""
    states = [one.status if kind == "overlap" else one.distance_status for one in rows]
    return Matches(tp=states.count("found"), fp=states.count("false"), fn=states.count("missed"))


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
        quirks = bool(run.plan.get("organiser_quirks")) and name == run.profile
        computed = dict(cells(summarise(tables.findings, replace(PROFILES[name], organiser_quirks=quirks), cuts=cuts)))
        stated = dict(cells(metrics[name]))
        for path in sorted(computed.keys() | stated.keys()):
            if computed.get(path) != stated.get(path):
                yield f"{name} {path}: {stated.get(path)} in the record, {computed.get(path)} by the tables"
