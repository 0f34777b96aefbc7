"""From the findings of a split to the metrics of a profile, with intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.categories import is_focal
from harness.scoring.overlap import dice
from harness.scoring.profiles import Profile
from harness.scoring.statistics import RESAMPLES, exact, interval, resample_weights
from harness.status import Status

if TYPE_CHECKING:
    from harness.store import FindingRow

Floats = NDArray[np.float64]

#: Percentiles of the findings' sizes between small, medium and large (paper, section 5.2).
SIZE_PERCENTILES = (50.0, 75.0)


@dataclass(frozen=True)
class _Metric:
    """A ratio of two sums over findings; of a mean, the second sum is their number.

    Where there is nothing to divide by, the value is 1, or `empty` if `missed` says that there was something to find.
    """

    name: str
    numerator: Floats
    denominator: Floats
    missed: Floats
    empty: float = 0.0
    is_mean: bool = False

    def ratio(self, top: Floats, bottom: Floats, missed: Floats) -> Floats:
        """Divide sums."""
        return np.divide(top, bottom, out=np.where(missed > 0, self.empty, 1.0), where=bottom != 0)


def _mean(name: str, values: Sequence[float]) -> _Metric:
    n = len(values)
    return _Metric(name, np.array(values, np.float64), np.ones(n), np.zeros(n), is_mean=True)


def summarise(
    rows: Sequence[FindingRow], profile: Profile, *, seed: int = 0, resamples: int = RESAMPLES
) -> dict[str, dict[str, Any]]:
    """Compute every metric of a profile on the findings of one split.

    A finding that is not ``ok`` has Dice 0, is no hit, and leaves every entity of its ground truth unfound. Counts of
    instances are summed over findings before they are divided.

    Parameters
    ----------
    rows
        One row a finding, in any order.
    profile
        Which metrics.
    seed, resamples
        Of the bootstrap. Each group is resampled on its own: over findings, ``per_case`` over cases.

    Returns
    -------
    dict
        metric -> group -> ``{"value", "ci95", "n"}``. Groups: ``all``, ``focal``, ``non_focal``, ``per_case`` (the
        mean over cases of the mean within each), ``by_category`` and ``by_size`` with a mapping each. A group of no
        findings has the value None.
    """
    rows = sorted(rows, key=lambda row: (row.case_id, row.finding))
    if profile.organiser_quirks:
        delivered = {row.case_id for row in rows if row.status != Status.MISSING_OUTPUT}
        rows = [row for row in rows if row.case_id in delivered]
    metrics = _metrics(rows, profile)
    document: dict[str, dict[str, Any]] = {metric.name: {} for metric in metrics}

    def put(path: tuple[str, ...], cells: Mapping[str, dict[str, Any]]) -> None:
        for name, cell in cells.items():
            place = document[name]
            for step in path[:-1]:
                place = place.setdefault(step, {})
            place[path[-1]] = cell

    for path, members in _groups(rows).items():
        put(path, _cells(metrics, members, seed, resamples))
    put(("per_case",), _per_case([metric for metric in metrics if metric.is_mean], rows, seed, resamples))
    return document


def finding_values(rows: Sequence[FindingRow], profile: Profile) -> dict[str, list[float]]:
    """Return, for every metric that is a mean over findings, its value on each of `rows`."""
    return {metric.name: metric.numerator.tolist() for metric in _metrics(rows, profile) if metric.is_mean}


def _metrics(rows: Sequence[FindingRow], profile: Profile) -> list[_Metric]:
    scores = [_dice(row, profile) for row in rows]
    metrics = [_mean("dice", scores)]
    metrics += [_mean(name, [float(hit(score)) for score in scores]) for name, hit in profile.hits.items()]
    if profile.instances is not None:
        unfiltered = replace(profile, instances=None)
        metrics.append(_mean("dice_unfiltered", [_dice(row, unfiltered) for row in rows]))
        metrics += _pooled("instance", [_matched(row, "overlap") for row in rows], profile)
        if all(_has_distances(row) for row in rows):
            metrics += _pooled("distance", [_matched(row, "distance") for row in rows], profile)
    return metrics


def _dice(row: FindingRow, profile: Profile) -> float:
    """Return the Dice of the profile: of the components kept where it filters them; 0 for anything but ok."""
    if row.status != Status.OK or row.truth_voxels is None or row.pred_voxels is None or row.intersection is None:
        return 0.0
    if profile.instances is None:
        return dice(row.truth_voxels, row.pred_voxels, row.intersection, profile.smoothing)
    counts = row.details["instances"]
    return dice(row.truth_voxels, counts["kept_voxels"], counts["kept_intersection"], profile.smoothing)


def _has_distances(row: FindingRow) -> bool:
    return row.status != Status.OK or row.details["instances"]["distance"] is not None


def _matched(row: FindingRow, kind: str) -> tuple[int, int, int]:
    """Return (tp, fp, fn); every entity of a finding that is not ok was missed."""
    if row.status != Status.OK:
        return 0, 0, int(row.details.get("truth_entities", 0))
    counts = row.details["instances"][kind]
    return counts["tp"], counts["fp"], counts["fn"]


def _pooled(prefix: str, counts: Sequence[tuple[int, int, int]], profile: Profile) -> list[_Metric]:
    """Pool the counts over findings first (micro), then divide."""
    tp, fp, fn = np.array(counts, np.float64).reshape(-1, 3).T
    empty = 1.0 if profile.organiser_quirks else 0.0
    return [
        _Metric(f"{prefix}_precision", tp, tp + fp, fn, empty),
        _Metric(f"{prefix}_recall", tp, tp + fn, fn),
        _Metric(f"{prefix}_f1", 2 * tp, 2 * tp + fp + fn, fn),
    ]


def _groups(rows: Sequence[FindingRow]) -> dict[tuple[str, ...], NDArray[np.intp]]:
    """Return the members of every group of findings."""
    groups: dict[tuple[str, ...], NDArray[np.intp]] = {
        ("all",): np.arange(len(rows)),
        ("focal",): np.flatnonzero([row.category is not None and is_focal(row.category) for row in rows]),
        ("non_focal",): np.flatnonzero([row.category is not None and not is_focal(row.category) for row in rows]),
    }
    categories = np.array([row.category or "" for row in rows])
    for category in sorted(set(categories.tolist()) - {""}):
        groups["by_category", category] = np.flatnonzero(categories == category)
    sizes = np.array([row.details.get("size_ratio", math.nan) for row in rows], np.float64)
    known = sizes[np.isfinite(sizes)]
    small, medium = np.percentile(known, SIZE_PERCENTILES) if len(known) else (math.nan, math.nan)
    groups["by_size", "small"] = np.flatnonzero(sizes <= small)
    groups["by_size", "medium"] = np.flatnonzero((sizes > small) & (sizes <= medium))
    groups["by_size", "large"] = np.flatnonzero(sizes > medium)
    return groups


def _cells(
    metrics: Sequence[_Metric], members: NDArray[np.intp], seed: int, resamples: int
) -> dict[str, dict[str, Any]]:
    """Compute value and interval of every metric on one group."""
    n = len(members)
    if n == 0:
        return {metric.name: {"value": None, "ci95": None, "n": 0} for metric in metrics}
    parts = np.stack([part[members] for m in metrics for part in (m.numerator, m.denominator, m.missed)], axis=1)
    # The stream depends on the size alone, so that equal groups have equal intervals.
    sums = resample_weights(n, resamples=resamples, seed=seed, stream=f"{n}") @ exact(parts)
    draws = np.stack([m.ratio(*sums[:, 3 * i : 3 * i + 3].T) for i, m in enumerate(metrics)], axis=1)
    whole = np.array([[math.fsum(column)] for column in parts.T])
    return {
        m.name: {"value": float(m.ratio(*whole[3 * i : 3 * i + 3])[0]), "ci95": ci95, "n": n}
        for (i, m), ci95 in zip(enumerate(metrics), interval(draws), strict=True)
    }


def _per_case(
    means: Sequence[_Metric], rows: Sequence[FindingRow], seed: int, resamples: int
) -> dict[str, dict[str, Any]]:
    """Average within each case first, then over cases; resample cases."""
    cases = {case: i for i, case in enumerate(dict.fromkeys(row.case_id for row in rows))}
    of = np.array([cases[row.case_id] for row in rows], np.intp)
    sizes = np.bincount(of, minlength=len(cases)).astype(np.float64)
    folded = [
        _mean(m.name, (np.bincount(of, weights=m.numerator, minlength=len(cases)) / sizes).tolist()) for m in means
    ]
    return _cells(folded, np.arange(len(cases)), seed, resamples)
