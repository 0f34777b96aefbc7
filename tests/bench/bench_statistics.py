"""Simulated boards with known answers: false claims, power, and how often intervals hold what is true.

Prints the table of ``docs/scoring.md``. Run it as ``make bench-statistics``, or
``python tests/bench/bench_statistics.py --share 0.1`` for a tenth of the boards.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import NormalDist

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[threads] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from harness.scoring.simultaneous import compare_rows  # noqa: E402
from harness.scoring.statistics import interval, random_numbers, resampled_sums  # noqa: E402

Floats = NDArray[np.float64]

CASES = (4, 8, 50, 200)

#: Rows of a board -> boards of each number of cases.
BOARDS = {5: 400, 25: 200, 100: 50}

#: Boards of equal rows, by cases and rows: what only counts false claims costs little.
EQUAL_BOARDS = {(8, 5): 6000, (8, 25): 2000, (20, 5): 3000, (50, 5): 3000, (50, 25): 4000, (200, 25): 600}

#: By how much the first row is better.
GAINS = (0.0, 0.02, 0.05, 0.1)

#: Share of findings that a row misses altogether.
MISSED = 0.4

_CDF = np.vectorize(NormalDist().cdf)


def board(draw: np.random.Generator, cases: int, rows: int) -> tuple[Floats, list[str]]:
    """Return scores of equal rows, many of them 0, and the case of each finding: one to four in a case, which agree."""
    sizes = draw.integers(1, 5, cases)
    case = np.repeat(np.arange(cases), sizes)
    hard = draw.normal(0, 0.55, cases)[case] + draw.normal(0, 0.55, len(case))
    own = draw.normal(0, 0.35, (cases, rows))[case] + draw.normal(0, 0.52, (len(case), rows))
    quantile = _CDF(hard[:, np.newaxis] + own)
    return np.maximum(0.0, quantile - MISSED) / (1 - MISSED) * 0.85, [str(number) for number in case]


def holm_before(scores: Floats, clusters: Sequence[str], draw: np.random.Generator) -> Floats:
    """Return Holm's p of every pair by 10,000 flips of each for itself, as boards had it up to scorer 3."""
    sums = np.zeros((len(set(clusters)), scores.shape[1]))
    np.add.at(sums, np.array([int(name) for name in clusters]), scores)
    first, second = np.triu_indices(scores.shape[1], 1)
    total = np.abs(sums.sum(axis=0)[first] - sums.sum(axis=0)[second]) * (1 - 1e-12)
    extreme = np.ones(len(first))
    for _ in range(20):
        flipped = (2.0 * draw.integers(0, 2, (500, len(sums))) - 1) @ sums
        for part in np.split(flipped, 20):
            extreme += (np.abs(part[:, first] - part[:, second]) >= total).sum(axis=0)
    p = extreme / 10_001
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return adjusted


def mean_holds(scores: Floats, clusters: Sequence[str], truth: float, *, by_case: bool) -> bool | None:
    """Return whether the interval of the first row's mean holds the true one; None where there is no interval."""
    unit = np.array([int(name) for name in clusters]) if by_case else np.arange(len(scores))
    n = int(unit.max()) + 1
    sums = np.column_stack([np.bincount(unit, scores[:, 0]), np.bincount(unit)]).astype(np.float64)
    drawn = resampled_sums(sums, random_numbers(n, resamples=1000, seed=0, stream="bench"))
    means = drawn[:, :1] / drawn[:, 1:]
    ends = interval(means, n)[0] if by_case else np.percentile(means, (2.5, 97.5)).tolist()
    return None if ends is None else bool(ends[0] <= truth <= ends[1])


def simulate(cases: int, rows: int, boards: int, truth: float) -> list[str]:
    """Return the cells of one line of the table."""
    draw = np.random.default_rng(1000 * cases + rows)
    best = np.arange(rows - 1)  # the pairs of the first row come first
    false, false_before, held, held_for_one, before_for_one = [], [], [], [], []
    power: dict[float, list[float]] = {gain: [] for gain in GAINS[1:]}
    power_before: dict[float, list[float]] = {gain: [] for gain in GAINS[1:]}
    for _ in range(boards):
        scores, clusters = board(draw, cases, rows)
        held_for_one.append(mean_holds(scores, clusters, truth, by_case=True))
        before_for_one.append(mean_holds(scores, clusters, truth, by_case=False))
        for gain in GAINS:
            scores[:, 0] += gain
            found, before = compare_rows(scores, clusters=clusters), holm_before(scores, clusters, draw) < 0.05
            scores[:, 0] -= gain
            apart = np.array([one.apart for one in found])
            if gain:
                power[gain].append(float(apart[best].mean()))
                power_before[gain].append(float(before[best].mean()))
                continue
            false.append(bool(apart.any()))
            false_before.append(bool(before.any()))
            if found[0].ci95 is not None:
                held.append(all(one.ci95 is not None and one.ci95[0] <= 0 <= one.ci95[1] for one in found))

    def share(values: Sequence[bool | float | None]) -> str:
        known = [value for value in values if value is not None]
        return f"{np.mean(known):.2f}" if known else "—"

    return [
        str(cases),
        str(rows),
        str(boards),
        share(false),
        share(false_before),
        *(f"{share(power[gain])} ({share(power_before[gain])})" for gain in GAINS[1:]),
        share(held),
        f"{share(held_for_one)} ({share(before_for_one)})",
    ]


def unlike(cases: int, boards: int) -> str:
    """Return how often two rows of one mean are told apart, one always at 0.2, the other mostly 0 and rarely high."""
    draw = np.random.default_rng(cases)
    told = 0
    for _ in range(boards):
        rare = np.where(draw.random(cases) < 0.25, 0.8, 0.0)
        told += compare_rows(np.column_stack([np.full(cases, 0.2), rare]))[0].apart
    return f"{told / boards:.3f}"


def false_claims(cases: int, rows: int, boards: int) -> float:
    """Return the share of boards of equal rows on which any two are told apart."""
    draw = np.random.default_rng(78 * cases + rows)
    told = 0
    for _ in range(boards):
        scores, clusters = board(draw, cases, rows)
        told += any(one.apart for one in compare_rows(scores, clusters=clusters))
    return told / boards


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=1.0, help="of the boards")
    arguments = parser.parse_args()
    many, _ = board(np.random.default_rng(0), 20_000, 5)
    heads = ["cases", "rows", "boards", "false claims", "before", *(f"power {gain:g} (before)" for gain in GAINS[1:])]
    heads += ["all intervals hold", "mean's interval holds (before)"]
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")  # noqa: T201 - its output
    for cases in CASES:
        for rows, boards in BOARDS.items():
            cells = simulate(cases, rows, max(2, round(boards * arguments.share)), float(many.mean()))
            print(f"| {' | '.join(cells)} |", flush=True)  # noqa: T201
    for (cases, rows), whole in EQUAL_BOARDS.items():
        boards = max(2, round(whole * arguments.share))
        rate = false_claims(cases, rows, boards)
        print(f"\n{rows} equal rows on {cases} cases, {boards} boards: false claims {rate:.3f}", flush=True)  # noqa: T201
    rates = ", ".join(f"{cases}: {unlike(cases, round(1000 * arguments.share))}" for cases in (8, 20, 50, 200))
    print(f"\nOne mean, unlike spread, told apart at cases {rates}")  # noqa: T201


if __name__ == "__main__":
    main()
