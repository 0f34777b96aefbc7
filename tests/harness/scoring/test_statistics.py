"""Intervals over cases and chances of ranks: known answers, plain loops, the same digits anywhere."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from scipy import special

from harness.scoring.statistics import (
    exact,
    interval,
    percentiles,
    random_numbers,
    rank_probabilities,
    resampled_sums,
    share_interval,
    student_t,
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


def test_interval_is_taken_further_out_of_few_units() -> None:
    """The bounds are linear percentiles of the draws, where Student's t lies outside the normal; few have none."""
    draws = np.random.default_rng(0).random((1000, 3))
    draws[3, 1] = np.nan
    draws[:, 2] = 0.5
    # 100 * Phi(-sqrt(n / (n - 1)) * t(0.975, n - 1)), from tables of t: 2.776445, 2.093024, 1.971957
    for n, below in ((5, 0.095421), (20, 1.587985), (200, 2.401775)):
        low, high = np.percentile(draws[:, 0], [below, 100 - below])
        assert interval(draws, n) == [pytest.approx([low, high], abs=1e-5), None, None]
    assert interval(draws, 4) == [None, None, None]


@pytest.mark.parametrize("n", [2, 7, 1000])
def test_percentiles_are_those_of_numpy(n: int) -> None:
    """In every digit, with ties, and with a draw that is not a number."""
    draws = np.random.default_rng(n).random((n, 4))
    draws[:, 1] = np.rint(3 * draws[:, 1]) / 3
    draws[n // 2, 2] = np.nan
    for below in (0, 0.095421, 2.401775, 31.25, 50):
        shares = (below, 100 - below)
        assert np.array_equal(percentiles(draws, shares), np.percentile(draws, shares, axis=0), equal_nan=True)


def test_quantiles_of_student_are_those_of_scipy() -> None:
    """For odd and even degrees of freedom, few and many, to far below what a percentile is rounded to."""
    freedom = np.array([*range(1, 200), 999, 1000, 9_999, 20_000])
    found = [student_t(int(n)) for n in freedom]
    assert np.allclose(found, special.stdtrit(freedom, 0.975), rtol=1e-11, atol=0)


@pytest.mark.parametrize("alike", [False, True])
def test_a_mean_over_cases_is_covered_as_often_as_stated(alike: bool) -> None:
    """Of 300 samples of 20 cases about 95 in 100 intervals hold the true mean, also where findings of a case agree."""
    rng = np.random.default_rng(3)
    random, held = random_numbers(20, resamples=500, seed=0, stream="x"), 0
    for _ in range(300):
        sizes = rng.integers(1, 5, 20)
        of = np.repeat(np.arange(20), sizes)
        values = rng.random(20)[of] if alike else rng.random(len(of))
        sums = np.column_stack([np.bincount(of, values), sizes])
        drawn = resampled_sums(sums, random)
        ((low, high),) = interval(drawn[:, :1] / drawn[:, 1:], 20)
        held += low <= 0.5 <= high
    assert held / 300 == pytest.approx(0.94, abs=0.035)


@pytest.mark.parametrize(
    ("hits", "of", "worth"),
    [
        ([1, 0, 1, 0, 0, 1, 1, 0], [1] * 8, 8),  # one finding a case
        ([4, 0, 4, 0, 0, 4, 4, 0], [4] * 8, 7),  # four that are always alike are worth one: 8 / (8 / 7)
        ([2, 2, 2, 2, 2, 2], [4] * 6, 6),  # no scatter between cases that could be measured
        ([3, 3, 3, 3, 3], [3] * 5, 5),  # all of them: how alike they are is not known
        ([0, 0, 0, 0, 0, 0], [9] * 6, 6),
        ([2, 1, 2, 1, 1, 2, 1, 2], [3] * 8, 24),  # less scatter than of single ones: never worth more than they are
    ],
)
def test_a_share_counts_findings_by_what_they_are_worth(hits: list[int], of: list[int], worth: float) -> None:
    """Wilson's interval, of as many as would scatter alike over the cases."""
    assert share_interval(np.array(hits, float), np.array(of, float)) == pytest.approx(
        wilson(sum(hits) / sum(of) * worth, worth)
    )


def test_a_share_of_few_cases_has_no_interval() -> None:
    """Four cases, and cases that hold nothing do not count."""
    assert share_interval(np.array([1.0, 2, 0, 1]), np.full(4, 5.0)) is None
    assert share_interval(np.array([1.0, 2, 0, 1, 0]), np.array([5.0, 5, 5, 5, 0])) is None
    assert share_interval(np.array([1.0, 2, 0, 1, 0]), np.full(5, 5.0)) is not None


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


def test_rank_probabilities() -> None:
    """Rows and columns sum to 1; a sure winner wins; twins share their ranks."""
    rng = np.random.default_rng(0)
    base = rng.random(50) * 0.3
    chances = rank_probabilities(np.stack([base, base + 0.5, base], axis=1))
    assert chances.sum(axis=0) == pytest.approx(1)
    assert chances.sum(axis=1) == pytest.approx(1)
    assert chances[1].tolist() == [1, 0, 0]
    assert chances[0].tolist() == [0, 0.5, 0.5]
