"""From the findings of a split to the metrics of a profile, with intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.categories import is_focal
from harness.errors import DataError
from harness.rows import FindingRow, InstanceCounts, Matches
from harness.scoring.groups import members
from harness.scoring.overlap import dice
from harness.scoring.profiles import Profile
from harness.scoring.sizes import SizeCuts, cuts_of
from harness.scoring.statistics import RESAMPLES, interval, numbered, random_numbers, resampled_sums, share_interval
from harness.status import Status

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Family:
    """Metrics that come from the same sums over findings.

    Attributes
    ----------
    names
        Of the metrics.
    parts
        (findings, k) the summands.
    values
        (m, k) sums over (m, 1) findings -> (m, metrics).
    shares
        For each metric what it is a share of, or None where it is a mean.
    """

    names: tuple[str, ...]
    parts: Floats
    values: Callable[[Floats, Floats], Floats]
    shares: tuple[_Share | None, ...]


@dataclass(frozen=True)
class _Share:
    """So many of so many.

    Attributes
    ----------
    hits, of
        The columns of the summands that are added up for the two; `of` is empty for the findings themselves.
    """

    hits: tuple[int, ...]
    of: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Measured:
    """Metrics of one group of findings, each with its interval."""

    path: tuple[str, ...]
    n: int
    cases: int
    names: tuple[str, ...]
    values: tuple[float | None, ...]
    intervals: tuple[list[float] | None, ...]


def summarise(
    rows: Sequence[FindingRow],
    profile: Profile,
    *,
    cuts: SizeCuts | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, dict[str, Any]]:
    """Compute every metric of a profile on the findings of one split.

    A finding that is not ``ok`` has Dice 0, is not a hit, and misses every entity of its ground truth. Counts of
    instances are summed over findings before they are divided.

    Parameters
    ----------
    rows
        One row a finding, in any order.
    profile
        Which metrics.
    cuts
        Where size groups are divided; by default at the percentiles of `rows`.
    seed, resamples
        Of the bootstrap over cases. Each group is resampled on its own, so that no resample of a small group is empty.

    Returns
    -------
    dict
        metric -> group -> ``{"value", "ci95", "n", "cases"}``, the interval None where there are too few cases: see
        ``docs/scoring.md``. Groups: ``all``, ``focal``, ``non_focal``, ``per_case`` (the
        mean over cases of the mean within each), ``by_category`` and ``by_size`` with a mapping each. A group of no
        findings has the value None.
    """
    rows = _counted(rows, profile)
    families = _families(rows, profile)
    cases, n_cases = numbered([row.case for row in rows], len(rows))
    random = random_numbers(n_cases, resamples=resamples, seed=seed, stream="summary")
    measured = [_measure(path, families, members, cases, random) for path, members in members_of(rows, cuts).items()]
    per_case, each = _per_case(families[0], cases, n_cases), np.arange(n_cases)
    measured.append(_measure(("per_case",), [per_case], each, each, random))
    return _document(measured)


def summarise_groups(
    rows: Sequence[FindingRow], profile: Profile, *, seed: int = 0, resamples: int = RESAMPLES
) -> dict[str, dict[str, Any]]:
    """Compute every metric of a profile on the groups of :data:`harness.scoring.groups.GROUPINGS`.

    They are made when they are shown and stored nowhere: what a group is may change, the scores of findings do not.

    Returns
    -------
    dict
        metric -> key of a grouping -> label -> ``{"value", "ci95", "n", "cases"}``, as :func:`summarise`.
    """
    rows = _counted(rows, profile)
    families = _families(rows, profile)
    cases, n_cases = numbered([row.case for row in rows], len(rows))
    random = random_numbers(n_cases, resamples=resamples, seed=seed, stream="summary")
    return _document([_measure(path, families, np.array(of), cases, random) for path, of in members(rows).items()])


def _counted(rows: Sequence[FindingRow], profile: Profile) -> list[FindingRow]:
    """Return the findings that count, sorted: all but, with the organisers' quirks, those of cases not delivered."""
    rows = sorted(rows, key=lambda row: (row.case, row.finding))
    if not profile.organiser_quirks:
        return rows
    delivered = {row.case for row in rows if row.status != Status.MISSING_OUTPUT}
    return [row for row in rows if row.case in delivered]


def _document(measured: Sequence[_Measured]) -> dict[str, dict[str, Any]]:
    """Nest metric, group, and the cell of value and interval."""
    document: dict[str, dict[str, Any]] = {}
    for group in measured:
        for name, value, ci95 in zip(group.names, group.values, group.intervals, strict=True):
            place = document.setdefault(name, {})
            for step in group.path[:-1]:
                place = place.setdefault(step, {})
            place[group.path[-1]] = {"value": value, "ci95": ci95, "n": group.n, "cases": group.cases}
    return document


def finding_values(rows: Sequence[FindingRow], profile: Profile) -> dict[str, list[float]]:
    """Return, for every metric that is a mean over findings, its value on each of `rows`."""
    means, *_ = _families(rows, profile)
    return dict(zip(means.names, means.parts.T.tolist(), strict=True))


def _families(rows: Sequence[FindingRow], profile: Profile) -> list[_Family]:
    """Return the summands: the means first, then the counts of instances."""
    scores = [_dice(row, profile) for row in rows]
    means = {"dice": scores} | {name: [float(hit(score)) for score in scores] for name, hit in profile.hits.items()}
    counted = []
    if profile.instances is not None:
        unfiltered = replace(profile, instances=None)
        means["dice_unfiltered"] = [_dice(row, unfiltered) for row in rows]
        counted.append(_pooled("instance", [_matched(row, lambda counts: counts.overlap) for row in rows], profile))
        if all(_has_distances(row) for row in rows):
            counted.append(
                _pooled("distance", [_matched(row, lambda counts: counts.distance) for row in rows], profile)
            )
    return [_means(tuple(means), np.array(list(means.values()), np.float64).T, set(profile.hits)), *counted]


def _means(names: tuple[str, ...], values: Floats, hits: Collection[str] = ()) -> _Family:
    """Return metrics that are means, of which those called `hits` are shares of findings."""
    shares = tuple(_Share((column,)) if name in hits else None for column, name in enumerate(names))
    return _Family(names, values, lambda sums, n: sums / n, shares)


def _dice(row: FindingRow, profile: Profile) -> float:
    """Return the Dice of the profile: of the components kept where it filters them; 0 for anything but ok."""
    if row.status != Status.OK or row.truth_voxels is None or row.pred_voxels is None or row.intersection is None:
        return 0.0
    if profile.instances is None:
        return dice(row.truth_voxels, row.pred_voxels, row.intersection, profile.smoothing)
    counts = _instances(row)
    return dice(row.truth_voxels, counts.kept_voxels, counts.kept_intersection, profile.smoothing)


def _instances(row: FindingRow) -> InstanceCounts:
    """Return the counts of a finding that is ok; raises DataError where its instances were not counted."""
    if row.details.instances is None:
        raise DataError(
            f"finding {row.finding} of {row.case} was scored without counting instances",
            fix="run the model again with --fresh, or choose --profile mlhc2025",
        )
    return row.details.instances


def _has_distances(row: FindingRow) -> bool:
    return row.status != Status.OK or _instances(row).distance is not None


def _matched(row: FindingRow, pick: Callable[[InstanceCounts], Matches | None]) -> tuple[int, int, int]:
    """Return (tp, fp, fn); every entity of a finding that is not ok was missed."""
    if row.status != Status.OK:
        return 0, 0, row.details.truth_entities or 0
    matches = pick(_instances(row))
    assert matches is not None  # noqa: S101 - distances are pooled only where every finding has them
    return matches.tp, matches.fp, matches.fn


def _pooled(prefix: str, counts: Sequence[tuple[int, int, int]], profile: Profile) -> _Family:
    """Pool the counts over findings first (micro), then divide.

    Where the denominator is 0, the value is 1 if there was nothing to find, else 0; the organisers' precision
    is 1 in either case.
    """

    def values(sums: Floats, _: Floats) -> Floats:
        tp, fp, fn = np.ascontiguousarray(sums.T)
        empty = (fn == 0).astype(np.float64)
        ratios = np.stack([np.ones_like(empty) if profile.organiser_quirks else empty, empty, empty])
        bottoms = np.stack([tp + fp, tp + fn, 2 * tp + fp + fn])
        np.divide([tp, tp, 2 * tp], bottoms, out=ratios, where=bottoms != 0)
        return ratios.T

    names = (f"{prefix}_precision", f"{prefix}_recall", f"{prefix}_f1")
    shares = (_Share((0,), (0, 1)), _Share((0,), (0, 2)), None)
    return _Family(names, np.array(counts, np.float64).reshape(-1, 3), values, shares)


def members_of(rows: Sequence[FindingRow], cuts: SizeCuts | None = None) -> dict[tuple[str, ...], NDArray[np.intp]]:
    """Return the members of every group of findings: group, or parent and group, to positions in `rows`.

    Parameters
    ----------
    rows
        One row a finding.
    cuts
        Where size groups are divided; by default at the percentiles of `rows`.
    """
    groups: dict[tuple[str, ...], NDArray[np.intp]] = {
        ("all",): np.arange(len(rows)),
        ("focal",): np.flatnonzero([row.category is not None and is_focal(row.category) for row in rows]),
        ("non_focal",): np.flatnonzero([row.category is not None and not is_focal(row.category) for row in rows]),
    }
    categories = np.array([row.category or "" for row in rows])
    for category in sorted(set(categories.tolist()) - {""}):
        groups["by_category", category] = np.flatnonzero(categories == category)
    sizes = np.array([row.details.size_ratio for row in rows], np.float64)  # None becomes nan
    cuts = cuts or cuts_of(row.details.size_ratio for row in rows)
    small, medium = (math.nan, math.nan) if cuts is None else (cuts.small, cuts.medium)
    groups["by_size", "small"] = np.flatnonzero(sizes <= small)
    groups["by_size", "medium"] = np.flatnonzero((sizes > small) & (sizes <= medium))
    groups["by_size", "large"] = np.flatnonzero(sizes > medium)
    return groups


def _measure(
    path: tuple[str, ...],
    families: Sequence[_Family],
    members: NDArray[np.intp],
    cases: NDArray[np.intp],
    random: NDArray[np.uint32],
) -> _Measured:
    """Compute every metric on one group, and its interval over resamples of the group's cases.

    Parameters
    ----------
    path, families, members
        The group, its metrics, and the places of its findings.
    cases
        (findings,) the case of every finding of the split, as a number.
    random
        Of the bootstrap.
    """
    n = len(members)
    names = tuple(name for family in families for name in family.names)
    if n == 0:
        return _Measured(path, 0, 0, names, (None,) * len(names), (None,) * len(names))
    present, case = np.unique(cases[members], return_inverse=True)
    parts = np.concatenate([family.parts[members] for family in families], axis=1)
    sums = np.zeros((len(present), parts.shape[1]))
    np.add.at(sums, case, parts)
    sizes = np.bincount(case).astype(np.float64)[:, np.newaxis]
    whole = np.array([[math.fsum(column) for column in parts.T.tolist()]])
    drawn = resampled_sums(np.concatenate([sums, sizes], axis=1), random)
    counts = drawn[:, -1:]
    bounds = np.cumsum([family.parts.shape[1] for family in families])[:-1]
    of_families = (np.split(columns, bounds, axis=1) for columns in (whole, drawn[:, :-1], sums))
    values: list[float] = []
    resampled: list[Floats] = []
    shares: list[tuple[_Share | None, Floats]] = []
    for family, of_data, of_draws, of_cases in zip(families, *of_families, strict=True):
        values += family.values(of_data, np.full((1, 1), float(n)))[0].tolist()
        resampled.append(family.values(of_draws, counts))
        shares += [(share, of_cases) for share in family.shares]
    ends = interval(np.concatenate(resampled, axis=1), len(present))
    intervals = [
        found if share is None else _of_share(share, of_cases, sizes, found)
        for (share, of_cases), found in zip(shares, ends, strict=True)
    ]
    return _Measured(path, n, len(present), names, tuple(values), tuple(intervals))


def _of_share(share: _Share, sums: Floats, sizes: Floats, resampled: list[float] | None) -> list[float] | None:
    """Return the interval of a share of findings, or that of a share of instances where resampling gives none."""
    if share.of and resampled is not None:
        return resampled
    of = sums[:, share.of].sum(axis=1) if share.of else sizes[:, 0]
    return share_interval(sums[:, share.hits].sum(axis=1), of)


def _per_case(means: _Family, cases: NDArray[np.intp], n_cases: int) -> _Family:
    """Average within each case; the cases then take the place of the findings."""
    sizes = np.bincount(cases, minlength=n_cases)
    sums = [np.bincount(cases, weights=column, minlength=n_cases) for column in means.parts.T]
    return _means(means.names, np.stack([total / sizes for total in sums], axis=1))
