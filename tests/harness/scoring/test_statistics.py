"""Intervals, paired tests and ranks: known answers, plain loops, the same digits anywhere."""

from __future__ import annotations

import itertools
import random
from fractions import Fraction
from statistics import fmean, variance

import numpy as np
import pytest

from harness.errors import UsageError
from harness.scoring.statistics import (
    compare,
    compare_all,
    compare_groups,
    exact,
    holm,
    interval,
    random_numbers,
    rank_probabilities,
    resampled_sums,
    shared_ranks,
    wilson,
)


def test_the_stream_is_pinned() -> None:
    """The same seed gives these very numbers, whatever the machine; the first units' do not depend on the others."""
    pinned = [[1220412934, 1665340071], [2402425647, 4153244236], [3083993119, 1751023892], [182845611, 706694446]]
    assert random_numbers(2, resamples=4, seed=0, stream="all").tolist() == pinned
    assert random_numbers(9, resamples=4, seed=0, stream="all")[:, :2].tolist() == pinned
    assert random_numbers(2, resamples=4, seed=1, stream="all").tolist() != pinned


@pytest.mark.parametrize("n", [1, 13, 20])
def test_sums_are_those_of_a_loop_that_draws(n: int) -> None:
    """Each resample adds up `n` units drawn with replacement, whichever of more random numbers there are."""
    random = random_numbers(20, resamples=600, seed=7, stream="x")
    values = exact(np.random.default_rng(0).random((n, 2)))
    expected = [[sum(values[(number * n) >> 32] for number in row[:n])] for row in random.tolist()]
    assert np.array_equal(resampled_sums(values, random), np.concatenate(expected))


def test_every_unit_is_drawn_alike() -> None:
    """Over many resamples, units are drawn once each on average, as often as a multinomial lets them."""
    drawn = resampled_sums(np.eye(40), random_numbers(40, resamples=4000, seed=0, stream="x"))
    assert drawn.sum(axis=1).tolist() == [40.0] * 4000
    assert drawn.mean(axis=0) == pytest.approx(1, abs=5 * (0.975 / 4000) ** 0.5)
    assert drawn.var() == pytest.approx(0.975, rel=0.02)


def test_sums_do_not_depend_on_their_order() -> None:
    """After rounding, any order of adding gives the same sum to the last bit."""
    rng = np.random.default_rng(0)
    values = exact(rng.random((997, 1)))[:, 0]
    sums = {float(np.add.accumulate(values[rng.permutation(997)])[-1]) for _ in range(20)}
    assert len(sums) == 1
    whole = np.arange(997.0)[:, np.newaxis]
    assert np.array_equal(exact(whole), whole)


@pytest.mark.parametrize("largest", [1.0, 0.1, 3.0, 2.0**20, np.nextafter(2.0**20, np.inf), 1e6])
def test_the_largest_sums_are_exact(largest: float) -> None:
    """Even as many times the largest value as there are rows is a sum without rounding."""
    values = exact(np.array([[largest], [largest / 3], [largest / 7]]))[:, 0].tolist()
    for i, j, k in itertools.product(range(3), repeat=3):
        total = Fraction(values[i]) + Fraction(values[j]) + Fraction(values[k])
        assert Fraction(values[i] + values[j] + values[k]) == total


def test_rounding_is_far_below_what_is_reported() -> None:
    """Rounding moves a value by less than 1e-12."""
    values = np.random.default_rng(0).random((1000, 3))
    assert np.abs(exact(values) - values).max() < 1e-12


def test_interval_is_the_percentile_interval() -> None:
    """The bounds are NumPy's linear percentiles of the draws; a draw that is not a number has none."""
    draws = np.random.default_rng(0).random((1000, 2))
    draws[3, 1] = np.nan
    assert interval(draws) == [np.percentile(draws[:, 0], [2.5, 97.5]).tolist(), None]


def test_permutation_test_against_all_sign_flips() -> None:
    """On few findings the sampled p-value is near that of every possible sign flip."""
    rng = np.random.default_rng(3)
    a, b = rng.random(10), rng.random(10) * 0.6
    delta = a - b
    flips = np.array(list(itertools.product((1, -1), repeat=10)))
    truth = (np.abs(flips @ delta) >= abs(delta.sum()) - 1e-12).mean()
    result = compare(a, b, permutations=20_000)
    assert result.p_value == pytest.approx(truth, abs=0.01)
    assert result.difference == pytest.approx(delta.mean(), abs=1e-12)
    assert result.ci95[0] < result.difference < result.ci95[1]


def test_equal_rows_do_not_differ() -> None:
    """The same values give difference 0 and p-value 1."""
    values = np.random.default_rng(0).random(40)
    result = compare(values, values)
    assert (result.difference, result.ci95, result.p_value) == (0.0, None, 1.0)


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [
        (0, 10, 0.0, 0.2775327998628892),
        (10, 10, 0.7224672001371107, 1.0),
        (5, 10, 0.236593090512564, 0.763406909487436),
    ],
)
def test_wilson_is_the_published_interval(hits: int, n: int, low: float, high: float) -> None:
    """Known answers of statsmodels' proportion_confint(method="wilson")."""
    assert wilson(hits, n) == pytest.approx([low, high], abs=1e-12)


@pytest.mark.parametrize("n", [1, 2, 4])
def test_few_cases_give_a_difference_without_an_interval(n: int) -> None:
    """With one case, an interval excluded 0 while the test could not: there is none now."""
    assert compare([0.9] * n, [0.1 * i for i in range(n)]).ci95 is None


def test_clusters_widen_the_interval() -> None:
    """Findings that repeat within a case count once: the interval is that of the cases."""
    rng = np.random.default_rng(1)
    case = np.repeat(np.arange(20), 5)
    delta = rng.normal(0.1, 0.3, 20)[case]
    names = [str(c) for c in case]
    wide = compare(delta, np.zeros(100), clusters=names)
    narrow = compare(delta, np.zeros(100))
    assert wide.n == 20
    assert wide.ci95[1] - wide.ci95[0] > 1.5 * (narrow.ci95[1] - narrow.ci95[0])
    assert wide.p_value > narrow.p_value


def test_many_comparisons_at_once_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any number of pairs at once gives each the digits that it has alone, whatever the blocks they are done in."""
    rng = np.random.default_rng(2)
    table = np.where(rng.random((60, 5)) < 0.3, 0.0, rng.random((60, 5)))
    names = [str(i // 3) for i in range(60)]
    pairs = list(itertools.combinations(range(5), 2))
    differences = np.stack([table[:, a] - table[:, b] for a, b in pairs], axis=1)
    alone = [compare(table[:, a], table[:, b], clusters=names) for a, b in pairs]
    assert compare_all(differences, clusters=names) == alone
    monkeypatch.setattr("harness.scoring.statistics._PAIRS_AT_A_TIME", 3)
    assert compare_all(differences, clusters=names) == alone
    assert compare_all(differences[:, :0], clusters=names) == []


def test_only_paired_findings_compare() -> None:
    """Rows measured on different findings are refused."""
    with pytest.raises(UsageError):
        compare([0.1], [0.1, 0.2])


def test_holm_known_answer() -> None:
    """The worked example of Holm's procedure."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


def test_ties_share_a_rank() -> None:
    """A row ranks below only those that are higher and different."""
    differ = np.array([[0, 0, 1], [0, 0, 0], [1, 0, 0]], bool)
    assert shared_ranks([0.5, 0.4, 0.3], differ) == [1, 1, 2]


def test_rank_probabilities() -> None:
    """Rows and columns sum to 1; a sure winner wins; twins share their ranks."""
    rng = np.random.default_rng(0)
    base = rng.random(50) * 0.3
    chances = rank_probabilities(np.stack([base, base + 0.5, base], axis=1))
    assert chances.sum(axis=0) == pytest.approx(1)
    assert chances.sum(axis=1) == pytest.approx(1)
    assert chances[1].tolist() == [1, 0, 0]
    assert chances[0].tolist() == [0, 0.5, 0.5]


def _two_groups(draw: random.Random, cases: int, gap: float) -> tuple[list[float], np.ndarray, list[str]]:
    """Return values, which of them are of the first group, and their cases: a case has a level of its own."""
    values, first, clusters = [], [], []
    for case in range(cases):
        level = draw.gauss(0.4, 0.1)
        for number in range(draw.randint(2, 5)):
            first.append(draw.random() < 0.3 or number == 0)
            values.append(level + gap * first[-1] + draw.gauss(0, 0.1))
            clusters.append(f"case-{case}")
    return values, np.array(first), clusters


def _t(first: list[float], second: list[float]) -> float:
    """Return Welch's t, without a sign."""
    return abs(fmean(first) - fmean(second)) / (variance(first) / len(first) + variance(second) / len(second)) ** 0.5


def test_two_groups_of_one_row_by_every_exchange() -> None:
    """The p-value is the share of all ways to choose 4 of 11 findings that are at least as far apart."""
    values, first, clusters = _two_groups(random.Random(2), 4, 0.12)
    values, first, clusters = values[:11], first[:11], clusters[:11]
    assert first.sum() == 4
    (result,) = compare_groups(np.array(values)[:, np.newaxis], first, ~first, clusters=clusters)
    sides = [[v for v, inside in zip(values, first, strict=True) if inside == side] for side in (True, False)]
    assert result.difference == pytest.approx(fmean(sides[0]) - fmean(sides[1]), abs=1e-12)
    all_of_them = list(itertools.combinations(range(11), 4))
    exchanged = [_t([values[i] for i in c], [values[i] for i in range(11) if i not in c]) for c in all_of_them]
    exact_p = sum(t >= _t(*sides) - 1e-9 for t in exchanged) / len(exchanged)
    assert 0.01 < exact_p < 0.6
    assert result.p_value == pytest.approx(exact_p, abs=0.02)
    assert result.n == 11


def test_two_groups_of_rows_resampled_slowly() -> None:
    """The interval is that of both means over cases that are drawn again, one by one; rows do not touch each other."""
    values, first, clusters = _two_groups(random.Random(5), 40, 0.1)
    table = np.column_stack([np.zeros(len(values)), values])
    nothing, result = compare_groups(table, first, ~first, clusters=clusters)
    assert (nothing.difference, nothing.ci95, nothing.p_value) == (0.0, None, 1.0)
    draw, names = random.Random(0), sorted(set(clusters))
    members = {name: [i for i, case in enumerate(clusters) if case == name] for name in names}
    drawn = []
    for _ in range(2000):
        chosen = [i for name in draw.choices(names, k=len(names)) for i in members[name]]
        sides = [[values[i] for i in chosen if first[i] == side] for side in (True, False)]
        drawn.append(fmean(sides[0]) - fmean(sides[1]))
    assert result.ci95 == pytest.approx(np.percentile(drawn, (2.5, 97.5)), abs=0.006)


@pytest.mark.parametrize("scatter", [0.02, 0.3])
def test_two_groups_of_one_mean_are_rarely_told_apart(scatter: float) -> None:
    """About one row in twenty has a p-value below 0.05, though one group scatters far more or less than the other."""
    draw = np.random.default_rng(11)
    first = np.arange(80) < 16
    values = np.where(first[:, np.newaxis], draw.normal(0.5, scatter, (80, 400)), draw.normal(0.5, 0.1, (80, 400)))
    p = [one.p_value for one in compare_groups(values, first, ~first, resamples=1, permutations=1000)]
    assert 0.02 < np.mean(np.array(p) < 0.05) < 0.09
    assert 0.4 < np.mean(p) < 0.6


def test_a_group_of_few_cases_has_no_interval() -> None:
    """Six findings of one kind in four cases; findings that are no part of either group change nothing."""
    values = np.array([0.9, 0.8, 0.9, 0.7, 0.8, 0.9] + [0.1 + 0.01 * n for n in range(20)])[:, np.newaxis]
    first = np.arange(26) < 6
    cases = ["a", "a", "b", "b", "c", "d", *(f"case-{n}" for n in range(20))]
    (result,) = compare_groups(values, first, ~first, clusters=cases)
    assert result.ci95 is None
    assert result.p_value < 0.001
    more = compare_groups(
        np.vstack([values, [[0.5]]]), np.append(first, False), np.append(~first, False), clusters=[*cases, "z"]
    )
    assert more == [result]
