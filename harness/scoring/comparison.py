"""Runs on the same findings: what can be told apart, the ranks that this leaves open, and how certain they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import UsageError
from harness.scoring.profiles import Profile
from harness.scoring.simultaneous import ERROR_RATE, Difference, compare_rows, rank_ranges, too_few
from harness.scoring.statistics import RESAMPLES, rank_probabilities
from harness.scoring.summary import finding_values

if TYPE_CHECKING:
    from harness.rows import FindingRow


@dataclass(frozen=True)
class Ranking:
    """Rows on the same findings by one metric, all compared as one family.

    Attributes
    ----------
    names
        The rows.
    pairs
        Every two of them, with their difference.
    ranks
        The best and the worst rank that the comparisons leave to each row; None where there are too few cases.
    chances
        How often each row takes each rank when the cases are drawn again; None as for `ranks`.
    """

    names: tuple[str, ...]
    pairs: tuple[tuple[str, str, Difference], ...]
    ranks: Mapping[str, tuple[int, int] | None]
    chances: Mapping[str, list[float] | None]


def rank_rows(
    scores: Mapping[str, Sequence[float]],
    clusters: Sequence[str] | None,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Ranking:
    """Compare every two rows and rank them.

    Parameters
    ----------
    scores
        Row -> its value on every finding, in the same order.
    clusters
        The case of every finding; None: each is a case of its own.
    seed, resamples
        Of the tosses of the test, and of the bootstrap of the chances.
    """
    names = tuple(scores)
    table: NDArray[np.float64] = np.array([scores[name] for name in names], np.float64).T
    found = compare_rows(table, clusters=clusters, seed=seed)
    nothing = dict.fromkeys(names)
    pairs = tuple((*two, one) for two, one in zip(combinations(names, 2), found, strict=True))
    if too_few(len(table) if clusters is None else len(set(clusters))):
        return Ranking(names, pairs, nothing, nothing)
    ranges = rank_ranges(len(names), found)
    chances = rank_probabilities(table, clusters=clusters, seed=seed, resamples=resamples).tolist()
    return Ranking(names, pairs, dict(zip(names, ranges, strict=True)), dict(zip(names, chances, strict=True)))


def compare_runs(
    runs: Mapping[str, Sequence[FindingRow]],
    profile: Profile,
    *,
    by_case: bool = True,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """Compare two or more runs on every metric of a profile that is a mean over findings.

    Parameters
    ----------
    runs
        Id -> rows; all on the same findings.
    profile
        Which metrics.
    by_case
        Treat the findings of one case as a cluster, as they are not independent.
    seed, resamples
        Of every resampling.

    Returns
    -------
    dict
        ``"pairs"``: for each metric and pair ``{"metric", "first", "second", "difference", "ci95", "p", "n"}``, with
        one error rate for all pairs of a metric; ``"ranks"``: for each metric and run ``{"metric", "run", "value",
        "rank", "of", "rank_probability"}``, where ``"rank"`` is the best and the worst that the pairs leave open, None
        with too few cases.

    Raises
    ------
    UsageError
        Fewer than two runs, or other findings.
    """
    if len(runs) < 2:
        raise UsageError("a comparison needs two runs", fix="name two or more different runs")
    ordered = {name: sorted(rows, key=lambda row: (row.case, row.finding)) for name, rows in runs.items()}
    names = list(ordered)
    keys = {name: [(row.case, row.finding) for row in rows] for name, rows in ordered.items()}
    for name in names[1:]:
        if keys[name] != keys[names[0]]:
            raise UsageError(
                f"{names[0]} and {name} were not measured on the same findings",
                fix="compare runs of one split of one data set",
            )
    values = {name: finding_values(rows, profile) for name, rows in ordered.items()}
    clusters = [case for case, _ in keys[names[0]]]
    pairs: list[dict[str, Any]] = []
    ranks: list[dict[str, Any]] = []
    for metric in values[names[0]]:
        scores = {name: values[name][metric] for name in names}
        found = rank_rows(scores, clusters if by_case else None, seed=seed, resamples=resamples)
        pairs += [
            {
                "metric": metric,
                "first": first,
                "second": second,
                "difference": one.value,
                "ci95": one.ci95 and list(one.ci95),
                "p": one.p,
                "n": one.n,
            }
            for first, second, one in found.pairs
        ]
        ranks += [
            {
                "metric": metric,
                "run": name,
                "value": fmean(scores[name]),
                "rank": None if (range_ := found.ranks[name]) is None else list(range_),
                "of": len(names),
                "rank_probability": found.chances[name],
            }
            for name in names
        ]
    return {"pairs": pairs, "ranks": ranks}


def verdict(difference: float, p: float, n_cases: int) -> str:
    """Return in words whether two rows can be told apart.

    Parameters
    ----------
    difference, p, n_cases
        Of a :class:`~harness.scoring.simultaneous.Difference`.
    """
    if p < ERROR_RATE:
        return "first is better" if difference > 0 else "second is better"
    return "too few cases to tell" if too_few(n_cases) else "cannot be told apart"


def rank_words(ranks: Sequence[int] | None, of: int) -> str:
    """Return the ranks that are left open to a row in words: ``"2\N{EN DASH}5 of 12"``; a dash without any."""
    if ranks is None:
        return "\N{EM DASH}"
    best, worst = ranks
    return f"{best} of {of}" if best == worst else f"{best}\N{EN DASH}{worst} of {of}"
