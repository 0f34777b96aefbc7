"""Runs on the same findings: paired tests, shared ranks, and the certainty of the ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.errors import UsageError
from harness.scoring.profiles import Profile
from harness.scoring.statistics import FEWEST, RESAMPLES, compare, holm, rank_probabilities, shared_ranks
from harness.scoring.summary import finding_values

if TYPE_CHECKING:
    from harness.rows import FindingRow

#: Two runs differ when their corrected p-value is below this.
SIGNIFICANT = 0.05


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
        ``"pairs"``: for each metric and pair ``{"metric", "first", "second", "difference", "ci95", "p", "p_holm",
        "n"}``, Holm-corrected over the pairs of one metric; ``"ranks"``: for each metric and run ``{"metric",
        "run", "value", "rank", "rank_probability"}``, where runs that do not differ significantly share a rank.

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
        found = _pairs(metric, scores, clusters if by_case else None, seed, resamples)
        pairs += found
        chances = rank_probabilities(
            np.array(list(scores.values())).T,
            clusters=clusters if by_case else None,
            seed=seed,
            resamples=resamples,
        )
        enough = found[0]["n"] >= FEWEST  # of fewer cases, every resample is much the same
        ranks += _ranks(metric, scores, found, chances.tolist() if enough else [None] * len(names))
    return {"pairs": pairs, "ranks": ranks}


def _pairs(
    metric: str, scores: Mapping[str, list[float]], clusters: list[str] | None, seed: int, resamples: int
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for first, second in combinations(scores, 2):
        result = compare(scores[first], scores[second], clusters=clusters, seed=seed, resamples=resamples)
        rows.append(
            {
                "metric": metric,
                "first": first,
                "second": second,
                "difference": result.difference,
                "ci95": result.ci95 and list(result.ci95),
                "p": result.p_value,
                "n": result.n,
            }
        )
    for row, corrected in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["p_holm"] = corrected
    return rows


def _ranks(
    metric: str,
    scores: Mapping[str, list[float]],
    pairs: Sequence[Mapping[str, Any]],
    chances: Sequence[list[float] | None],
) -> list[dict[str, Any]]:
    names = list(scores)
    differ = np.zeros((len(names), len(names)), bool)
    for pair in pairs:
        i, j = names.index(pair["first"]), names.index(pair["second"])
        differ[i, j] = differ[j, i] = pair["p_holm"] < SIGNIFICANT
    means = [fmean(values) for values in scores.values()]
    return [
        {"metric": metric, "run": name, "value": mean, "rank": rank, "rank_probability": chance}
        for name, mean, rank, chance in zip(names, means, shared_ranks(means, differ), chances, strict=True)
    ]
