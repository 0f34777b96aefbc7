"""From the findings of a split to the metrics of a profile, with intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.categories import is_focal
from harness.contract import Status
from harness.scoring.overlap import dice
from harness.scoring.profiles import Profile
from harness.scoring.statistics import RESAMPLES, exact, interval, resample_weights

if TYPE_CHECKING:
    from harness.store import FindingRow

Floats = NDArray[np.float64]

#: Percentiles of the findings' sizes between small, medium and large (paper, section 5.2).
SIZE_PERCENTILES = (50.0, 75.0)


@dataclass(frozen=True)
class _Metric:
    """A ratio of two sums over findings; of a mean, the second sum is their number.

    `empty` is the value where the denominator is 0.
    """

    name: str
    numerator: Floats
    denominator: Floats
    empty: float | None = None


def summarise(
    rows: Sequence[FindingRow], profile: Profile, *, seed: int = 0, resamples: int = RESAMPLES
) -> dict[str, dict[str, Any]]:
    """Compute every metric of a profile on the findings of one split.

    A finding that is not ``ok`` has Dice 0, is no hit, and leaves every entity of its ground truth unfound.

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
    metrics = _metrics(rows, profile)
    document: dict[str, dict[str, Any]] = {metric.name: {} for metric in metrics}

    def put(path: tuple[str, ...], cells: Mapping[str, dict[str, Any]]) -> None:
        for name, cell in cells.items():
            place = document[name]
            for step in path[:-1]:
                place = place.setdefault(step, {})
            place[path[-1]] = cell

    for path, members in _groups(rows).items():
        put(path, _cells(metrics, members, seed, resamples, "/".join(path)))
    put(("per_case",), _per_case([m for m in metrics if m.empty is None], rows, seed, resamples))
    return document


def _metrics(rows: Sequence[FindingRow], profile: Profile) -> list[_Metric]:
    values = np.array([_dice(row, profile) for row in rows], np.float64)
    ones = np.ones(len(rows))
    metrics = [_Metric("dice", values, ones)]
    for name, hit in profile.hits.items():
        metrics.append(_Metric(name, np.array([float(hit(value)) for value in values]), ones))
    return metrics


def _dice(row: FindingRow, profile: Profile) -> float:
    if row.status != Status.OK or row.truth_voxels is None or row.pred_voxels is None or row.intersection is None:
        return 0.0
    return dice(row.truth_voxels, row.pred_voxels, row.intersection, profile.smoothing)


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
    metrics: Sequence[_Metric], members: NDArray[np.intp], seed: int, resamples: int, stream: str
) -> dict[str, dict[str, Any]]:
    """Compute value and interval of every metric on one group."""
    n = len(members)
    if n == 0:
        return {metric.name: {"value": None, "ci95": None, "n": 0} for metric in metrics}
    columns = exact(np.stack([part[members] for m in metrics for part in (m.numerator, m.denominator)], axis=1))
    sums = resample_weights(n, resamples=resamples, seed=seed, stream=stream) @ columns
    draws = np.stack([_ratio(sums[:, 2 * i], sums[:, 2 * i + 1], m.empty) for i, m in enumerate(metrics)], axis=1)
    cells = {}
    for metric, ci95 in zip(metrics, interval(draws), strict=True):
        top, bottom = math.fsum(metric.numerator[members]), math.fsum(metric.denominator[members])
        value = top / bottom if bottom else metric.empty
        cells[metric.name] = {"value": value, "ci95": ci95, "n": n}
    return cells


def _ratio(top: Floats, bottom: Floats, empty: float | None) -> Floats:
    missing = math.nan if empty is None else empty
    return np.divide(top, bottom, out=np.full_like(top, missing), where=bottom != 0)


def _per_case(
    means: Sequence[_Metric], rows: Sequence[FindingRow], seed: int, resamples: int
) -> dict[str, dict[str, Any]]:
    """Average within each case first, then over cases; resample cases."""
    cases = {case: i for i, case in enumerate(dict.fromkeys(row.case_id for row in rows))}
    of = np.array([cases[row.case_id] for row in rows], np.intp)
    sizes = np.bincount(of, minlength=len(cases)).astype(np.float64)
    folded = [
        _Metric(m.name, np.bincount(of, weights=m.numerator, minlength=len(cases)) / sizes, np.ones(len(cases)))
        for m in means
    ]
    return _cells(folded, np.arange(len(cases)), seed, resamples, "per_case")
