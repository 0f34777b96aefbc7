"""Whether numbers follow from one another: a finding's from its counts, metrics and intervals from the findings.

Nothing here needs a mask or the truth. That the findings are those of the masks, only the masks can show.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from harness.rows import FindingDetails, FindingRow, InstanceCounts, InstanceRow, Matches, RunRow
from harness.scoring.overlap import dice
from harness.scoring.profiles import PROFILES
from harness.scoring.sizes import SizeCuts
from harness.scoring.summary import summarise
from harness.status import Status
from harness.store.database import Metrics, cells


def faults_of(row: FindingRow) -> Iterator[str]:
    """Name what contradicts itself in the numbers of a finding."""
    counts = row.details.instances
    if row.status != Status.OK:
        if row.dice or counts is not None:
            yield f"it is {row.status} and has a score"
        return
    if row.truth_voxels is None or row.pred_voxels is None or row.intersection is None:
        yield "it is ok and lacks voxel counts"
        return
    if not 0 <= row.intersection <= min(row.truth_voxels, row.pred_voxels):
        yield "the intersection is larger than a mask"
    if row.dice != (expected := dice(row.truth_voxels, row.pred_voxels, row.intersection)):
        yield f"Dice {row.dice} does not follow from its voxels, which give {expected}"
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


def metrics_of(run: RunRow, name: str, findings: Sequence[FindingRow], cuts: SizeCuts | None) -> dict[str, Any]:
    """Return the metrics that the findings of a row give, by path (``dice/all``), each with its interval and n.

    Parameters
    ----------
    run
        The row, whose plan says whether labels were read as the organisers' evaluator does.
    name
        Of the profile.
    findings, cuts
        Its findings; where small, medium and large ones are divided.
    """
    quirks = bool(run.plan.get("organiser_quirks")) and name == run.profile
    return dict(cells(summarise(findings, replace(PROFILES[name], organiser_quirks=quirks), cuts=cuts)))


def differing_metrics(
    run: RunRow, name: str, findings: Sequence[FindingRow], stated: Metrics, cuts: SizeCuts | None
) -> Iterator[tuple[str, Any, Any]]:
    """Yield path, stated and computed value of every metric that does not follow; None where there is none.

    Parameters
    ----------
    run, name, findings, cuts
        As :func:`metrics_of`.
    stated
        The metrics that are stated for this profile.
    """
    computed, found = metrics_of(run, name, findings, cuts), dict(cells(stated))
    for path in sorted(computed.keys() | found.keys()):
        if computed.get(path) != found.get(path):
            yield path, found.get(path), computed.get(path)
