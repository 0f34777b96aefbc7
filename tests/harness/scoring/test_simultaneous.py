"""Differences tested together: every toss of a slow oracle, verdicts that agree with intervals, known error rates."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from statistics import fmean

import numpy as np
import pytest

from harness.errors import UsageError
from harness.scoring.simultaneous import (
    ERROR_RATE,
    FEWEST_CASES,
    Difference,
    compare_differences,
    compare_groups,
    compare_rows,
    rank_ranges,
    too_few,
)


def _strength(parts: Sequence[float], weights: Sequence[float]) -> tuple[float, float]:
    """Return a difference and its standard error, from what each case adds and how much it weighs."""
    m, total = len(parts), math.fsum(weights)
    value = math.fsum(parts) / total
    squares = math.fsum((part - weight * value) ** 2 for part, weight in zip(parts, weights, strict=True))
    return value, math.sqrt(m / (m - 1) * squares) / total


def slowly(parts: Sequence[Sequence[float]], weights: Sequence[float]) -> list[tuple[float, float, float, float]]:
    """Return (difference, low, high, p) of each of some differences, with every toss, one at a time."""
    largest = []
    for signs in itertools.product((1, -1), repeat=len(weights)):
        each = (_strength([s * part for s, part in zip(signs, one, strict=True)], weights) for one in parts)
        largest.append(max(abs(value) / error for value, error in each))
    largest.sort(reverse=True)
    bound = largest[math.ceil(ERROR_RATE * len(largest)) - 1]
    found = []
    for one in parts:
        value, error = _strength(one, weights)
        p = sum(other >= abs(value) / error * (1 - 1e-9) for other in largest) / len(largest)
        found.append((value, value - bound * error, value + bound * error, p))
    return found


def _board(seed: int, cases: int, rows: int, gain: float = 0.0) -> tuple[np.ndarray, list[str]]:
    """Return scores of rows on one to three findings a case, half of them 0, the first row better by `gain`."""
    draw = random.Random(seed)
    scores, clusters = [], []
    for case in range(cases):
        level = draw.uniform(0.1, 0.5)
        for _ in range(draw.randint(1, 3)):
            scores.append([max(0.0, level + draw.gauss(0, 0.2)) + (gain if row == 0 else 0) for row in range(rows)])
            clusters.append(f"case-{case}")
    return np.array(scores), clusters


def _by_case(scores: np.ndarray, clusters: Sequence[str], a: int, b: int) -> list[float]:
    names = list(dict.fromkeys(clusters))
    return [sum(x[a] - x[b] for x, case in zip(scores.tolist(), clusters, strict=True) if case == n) for n in names]


@pytest.mark.parametrize(("cases", "rows"), [(6, 2), (7, 4), (9, 3)])
@pytest.mark.parametrize("gain", [0.0, 0.4])
def test_every_toss_one_at_a_time(cases: int, rows: int, gain: float) -> None:
    """Differences, intervals and p of all pairs are those of a loop over every flip of the cases' signs."""
    scores, clusters = _board(cases, cases, rows, gain)
    pairs = list(itertools.combinations(range(rows), 2))
    sizes = [clusters.count(name) for name in dict.fromkeys(clusters)]
    expected = slowly([_by_case(scores, clusters, a, b) for a, b in pairs], sizes)
    found = compare_rows(scores, clusters=clusters)
    assert [one.p for one in found] == [p for *_, p in expected]
    assert {one.n for one in found} == {cases}
    for one, (value, low, high, _) in zip(found, expected, strict=True):
        assert one.value == pytest.approx(value, abs=1e-12)
        assert one.ci95 == pytest.approx((low, high), abs=1e-9)


def test_drawn_tosses_are_near_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where tosses are drawn, p is within what 4,000 draws allow of that of all 4,096."""
    scores, clusters = _board(3, 13, 3, 0.15)
    every = compare_rows(scores, clusters=clusters)
    monkeypatch.setattr("harness.scoring.simultaneous.TOSSES", 4000)
    drawn = compare_rows(scores, clusters=clusters)
    assert drawn != every
    for one, other in zip(drawn, every, strict=True):
        assert one.p == pytest.approx(other.p, abs=4 * (0.25 / 4000) ** 0.5)
        assert one.ci95 == pytest.approx(other.ci95, abs=0.02)


@pytest.mark.parametrize("cases", [1, 2, 4, 5, 6, 8, 15])
@pytest.mark.parametrize("rows", [2, 5])
def test_an_interval_leaves_out_0_where_the_verdict_says_so(cases: int, rows: int) -> None:
    """On many boards of many gains, no interval without 0 stands beside "cannot be told apart", nor the reverse."""
    told = 0
    for seed in range(12):
        scores, clusters = _board(seed, cases, rows, 0.04 * seed)
        for one in compare_rows(scores, clusters=clusters):
            told += one.apart
            assert (one.ci95 is None) == (cases < FEWEST_CASES)
            assert one.ci95 is None or one.apart == (not one.ci95[0] <= 0 <= one.ci95[1])
    assert bool(told) == (cases >= FEWEST_CASES)


def test_too_few_cases_tell_nothing_however_far_apart() -> None:
    """Five cases cannot reach 0.05 with any scores, six can; the sentence says so."""
    for cases in (5, 6):
        scores = np.column_stack([np.full(cases, 0.9), np.linspace(0.0, 0.1, cases)])
        (one,) = compare_rows(scores)
        assert (one.p, one.apart) == (2 / 2**cases, cases == 6)
    assert FEWEST_CASES == 6
    assert too_few(6) == ""
    assert too_few(4) == "6 or more cases are needed to tell rows apart; there are 4"
    assert too_few(1) == "6 or more cases are needed to tell rows apart; there is one"


def test_equal_rows_and_rows_that_differ_by_the_same() -> None:
    """Equal rows have p 1; a row that is better by the same in every case is told apart, without an interval."""
    values = np.random.default_rng(0).random(40)
    equal, better = (compare_rows(np.column_stack([values, values - by])) for by in (0.0, 0.25))
    assert equal == [Difference(0.0, None, 1.0, 40)]
    assert (better[0].value, better[0].ci95, better[0].apart) == (pytest.approx(0.25), None, True)


def test_findings_of_one_case_count_once() -> None:
    """Findings that repeat within a case add nothing: the interval is that of the cases."""
    rng = np.random.default_rng(1)
    delta = rng.normal(0.1, 0.3, 20)
    (once,) = compare_differences(delta[:, np.newaxis])
    (repeated,) = compare_differences(np.repeat(delta, 5)[:, np.newaxis], clusters=[str(i // 5) for i in range(100)])
    assert repeated.ci95 == pytest.approx(once.ci95, abs=1e-9)
    assert (repeated.p, repeated.n) == (once.p, 20)
    (apart,) = compare_differences(np.repeat(delta, 5)[:, np.newaxis])
    assert apart.ci95[1] - apart.ci95[0] < 0.6 * (once.ci95[1] - once.ci95[0])


def test_more_rows_ask_for_more_and_order_does_not_matter() -> None:
    """In a larger family the same pair has a wider interval and no smaller p; columns may come in any order."""
    scores, clusters = _board(5, 40, 12, 0.1)
    few, many = compare_rows(scores[:, :2], clusters=clusters), compare_rows(scores, clusters=clusters)
    assert many[0].value == few[0].value
    assert many[0].p >= few[0].p
    assert many[0].ci95[0] < few[0].ci95[0]
    turned = compare_rows(scores[:, ::-1], clusters=clusters)
    assert turned[-1].value == -many[0].value
    assert turned[-1].ci95 == pytest.approx((-many[0].ci95[1], -many[0].ci95[0]), abs=1e-12)


def test_blocks_change_no_digit(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many tosses are held at a time, every digit is the same."""
    scores, clusters = _board(6, 20, 6, 0.1)
    whole = compare_rows(scores, clusters=clusters)
    monkeypatch.setattr("harness.scoring.simultaneous._AT_A_TIME", 100)
    assert compare_rows(scores, clusters=clusters) == whole
    assert compare_rows(scores[:, :1], clusters=clusters) == []


@pytest.mark.parametrize("rows", [2, 8])
def test_equal_rows_are_rarely_called_different(rows: int) -> None:
    """Of 400 boards of equal rows about one in twenty has any pair told apart."""
    claimed = 0
    for seed in range(400):
        scores, clusters = _board(seed, 9, rows)
        claimed += any(one.apart for one in compare_rows(scores, clusters=clusters))
    assert claimed / 400 == pytest.approx(0.04, abs=0.035)


def test_groups_of_one_row_by_every_toss() -> None:
    """Two groups of findings that share cases: the oracle's parts are written out from the definition."""
    draw = random.Random(2)
    values, first, clusters = [], [], []
    for case in range(8):
        for number in range(draw.randint(2, 4)):
            first.append(number == 0)
            values.append(draw.gauss(0.6 if number == 0 else 0.4, 0.1))
            clusters.append(f"case-{case}")
    n_first, n = sum(first), len(first)
    mean = fmean(values)
    parts, weights = [0.0] * 8, [0.0] * 8
    for value, inside, name in zip(values, first, clusters, strict=True):
        case = int(name[-1])
        parts[case] += (value - mean) / n_first if inside else -(value - mean) / (n - n_first)
        weights[case] += (n - n_first) / n / n_first if inside else n_first / n / (n - n_first)
    ((value, low, high, p),) = slowly([parts], weights)
    chosen = np.array(first)
    (found,) = compare_groups(np.array(values)[:, np.newaxis], chosen, ~chosen, clusters=clusters)
    sides = [[v for v, inside in zip(values, first, strict=True) if inside == side] for side in (True, False)]
    assert found.value == pytest.approx(fmean(sides[0]) - fmean(sides[1]), abs=1e-12)
    assert value == pytest.approx(found.value, abs=1e-12)
    assert found.ci95 == pytest.approx((low, high), abs=1e-9)
    assert (found.p, found.n) == (p, 8)


@pytest.mark.parametrize("scatter", [0.02, 0.3])
def test_two_groups_of_one_mean_are_rarely_told_apart(scatter: float) -> None:
    """About one row in twenty, though one group scatters far more or less than the other; others change nothing."""
    draw = np.random.default_rng(11)
    first = np.arange(80) % 4 == 0
    cases = [str(i // 4) for i in range(80)]
    p = []
    for _ in range(300):
        level = np.repeat(draw.normal(0, 0.1, 20), 4)
        values = level + np.where(first, draw.normal(0.5, scatter, 80), draw.normal(0.5, 0.1, 80))
        p += [one.p for one in compare_groups(values[:, np.newaxis], first, ~first, clusters=cases)]
    assert 0.02 < np.mean(np.array(p) < ERROR_RATE) < 0.09
    more = np.append(values, 9.0)[:, np.newaxis]
    (same,) = compare_groups(more, np.append(first, False), np.append(~first, False), clusters=[*cases, "other"])
    assert same.p == p[-1]


def test_ranks_are_what_the_pairs_leave_open() -> None:
    """First and second cannot be told apart, both are better than the third, and nothing is known of the fourth."""
    verdicts = {(0, 1): 0, (0, 2): 1, (0, 3): 0, (1, 2): 1, (1, 3): 0, (2, 3): 0}
    pairs = [Difference(0.1, None, 0.01 if apart else 0.5, 9) for apart in verdicts.values()]
    assert rank_ranges(4, pairs) == [(1, 3), (1, 3), (3, 4), (1, 4)]
    assert rank_ranges(2, [Difference(-0.1, None, 0.01, 9)]) == [(2, 2), (1, 1)]
    assert rank_ranges(1, []) == [(1, 1)]


def test_nothing_to_compare_is_refused() -> None:
    """No finding, no comparison."""
    with pytest.raises(UsageError):
        compare_rows(np.zeros((0, 2)))
