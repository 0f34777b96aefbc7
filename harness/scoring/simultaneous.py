"""Many differences tested at once, so that verdicts and intervals share one error rate.

Cases are the units, since findings of one case are not independent. Each difference of a family is a sum over cases,
divided by its standard error. Under the null hypothesis the sign of a case's part is a coin toss. All differences are
given the same tosses, and the largest of them is kept (max-T, Westfall and Young 1993; Romano and Wolf 2005): what is
larger than the largest in 95 of 100 tosses is told apart, and the same bound times the standard error is half the
width of the interval. So an interval leaves out 0 exactly where the verdict says that two differ, and in at most 5 of
100 families of equal rows is any difference claimed.

The test assumes that a case's part is as likely positive as negative where rows are equal. With few cases, rows of the
same mean whose scores are *spread* unlike each other are told apart more often than that (``docs/scoring.md``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from harness.errors import UsageError
from harness.scoring.statistics import exact, generator, numbered

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

#: A family of equal rows has a difference claimed in it with at most this probability.
ERROR_RATE: Final = 0.05

#: Tosses that are drawn; of so few cases that there are no more than these, each is taken once.
TOSSES: Final = 10_000

#: Fewest cases of which one toss and its mirror are rarer than :data:`ERROR_RATE`: 2 of 2**6 are 0.03.
FEWEST_CASES: Final = next(n for n in range(1, 64) if 2 / 2**n < ERROR_RATE)

#: A sum of squared residuals below this share of the squares is that of rounding.
_NO_SCATTER = 1e-12

#: Differences times tosses that are held at a time: they stay in the processor's cache.
_AT_A_TIME = 1 << 17


@dataclass(frozen=True)
class Difference:
    """One difference of a family.

    Attributes
    ----------
    value
        Mean of the first minus mean of the second.
    ci95
        Its interval; all intervals of a family hold their true values together in 95 of 100 families. None of fewer
        than :data:`FEWEST_CASES` cases, or where every case differs by the same.
    p
        Two-sided, corrected for the family, never 0.
    n
        Cases.
    """

    value: float
    ci95: tuple[float, float] | None
    p: float
    n: int

    @property
    def apart(self) -> bool:
        """Whether the two are told apart."""
        return self.p < ERROR_RATE


def too_few(n_cases: int) -> str:
    """Say why rows on so few cases have no rank, in one sentence; empty where they may have one."""
    if n_cases >= FEWEST_CASES:
        return ""
    there = "there is one" if n_cases == 1 else f"there are {n_cases}"
    return f"{FEWEST_CASES} or more cases are needed to tell rows apart; {there}"


def compare_rows(scores: Floats, *, clusters: Sequence[str] | None = None, seed: int = 0) -> list[Difference]:
    """Compare every two rows on the same findings, as one family.

    Parameters
    ----------
    scores
        (n, k): the value of every row on every finding.
    clusters
        The case of every finding. None: every finding is a case of its own.
    seed
        Of the tosses, where they are drawn.

    Returns
    -------
    list of Difference
        In the order of ``numpy.triu_indices(k, 1)``: first and second, first and third, …
    """
    sums, sizes = _by_case(scores, clusters)
    first, second = np.triu_indices(scores.shape[1], 1)
    return _test(sums, sizes, first, second, seed)


def compare_differences(
    differences: Floats, *, clusters: Sequence[str] | None = None, seed: int = 0
) -> list[Difference]:
    """Test each column of differences on the same findings against 0, as one family.

    Parameters
    ----------
    differences
        (n, k): a difference on every finding in each column.
    clusters, seed
        As for :func:`compare_rows`.
    """
    sums, sizes = _by_case(differences, clusters)
    return _test(sums, sizes, np.arange(differences.shape[1]), None, seed)


def compare_groups(
    values: Floats,
    first: NDArray[np.bool_],
    second: NDArray[np.bool_],
    *,
    clusters: Sequence[str] | None = None,
    seed: int = 0,
) -> list[Difference]:
    """Compare two groups of the findings of rows, which share cases but no finding; all rows are one family.

    A case's part is what its findings of the first group have above the mean of both groups, over the findings of the
    first, less the same of the second.

    Parameters
    ----------
    values
        (n, k): the value of every row on every finding.
    first, second
        (n,) which findings are of each group; at least one each.
    clusters, seed
        As for :func:`compare_rows`; cases without a finding of a group do not count.
    """
    either = first | second
    value, a = values[either], first[either]
    names = None if clusters is None else [name for name, kept in zip(clusters, either, strict=True) if kept]
    case, m = numbered(names, len(value))
    share = np.where(a, 1 / a.sum(), -1 / (~a).sum())
    parts = np.zeros((m, value.shape[1]))
    np.add.at(parts, case, (value - value.mean(axis=0)) * share[:, np.newaxis])
    weights = np.zeros(m)  # how a case's part grows with the difference: 1 in all
    np.add.at(weights, case, np.where(a, (~a).mean() / a.sum(), a.mean() / (~a).sum()))
    return _test(parts, weights, np.arange(value.shape[1]), None, seed)


def rank_ranges(k: int, differences: Sequence[Difference]) -> list[tuple[int, int]]:
    """Return the best and the worst rank of every row that its comparisons leave open.

    Parameters
    ----------
    k
        Rows; the higher their mean, the better.
    differences
        Theirs, of :func:`compare_rows`.

    Returns
    -------
    list of (int, int)
        1 + the rows that are better, and the number of rows - those that are worse. All ranges hold the true ranks
        together in 95 of 100 families (Mogstad et al. 2024).
    """
    better, worse = [0] * k, [0] * k
    for i, j, found in zip(*np.triu_indices(k, 1), differences, strict=True):
        if found.apart:
            high, low = (i, j) if found.value > 0 else (j, i)
            better[low] += 1
            worse[high] += 1
    return [(1 + above, k - below) for above, below in zip(better, worse, strict=True)]


def _by_case(values: Floats, clusters: Sequence[str] | None) -> tuple[Floats, Floats]:
    """Return the sums of findings by case, (m, k), and how many there are in each, (m,)."""
    if not len(values):
        raise UsageError("there is no finding to compare", fix="compare runs of one split of one data set")
    case, m = numbered(clusters, len(values))
    sums = np.zeros((m, values.shape[1]))
    np.add.at(sums, case, values)
    return sums, np.bincount(case, minlength=m).astype(np.float64)


def _test(parts: Floats, weights: Floats, first: Places, second: Places | None, seed: int) -> list[Difference]:
    """Test differences of columns, as one family.

    Parameters
    ----------
    parts
        (m, k) what each case adds to each column.
    weights
        (m,) what each case adds to it for each unit of a difference.
    first, second
        (d,) the columns of every difference; no second: each column is a difference.
    seed
        Of the tosses.
    """
    m, total, squares = len(parts), float(weights.sum()), float((weights * weights).sum())
    parts = _on_one_grid(parts)
    weighted = _on_one_grid(parts * weights[:, np.newaxis])

    def apart(columns: Floats) -> Floats:
        return columns[:, first] if second is None else columns[:, first] - columns[:, second]

    step = max(1, _AT_A_TIME // max(1, len(first)))
    squared = sum((apart(parts[row : row + 1]) ** 2 for row in range(m)), np.zeros((1, len(first))))
    tosses = _tosses(m, seed)
    size = len(tosses)
    largest = np.zeros(size)
    of_data = scatter = values = np.zeros(0)
    for begin in range(0, size, step):
        signs = 1.0 - 2.0 * tosses[begin : begin + step]
        sums = apart(signs @ parts)
        estimate = sums / total
        residual = squared - 2 * estimate * apart(signs @ weighted) + estimate * estimate * squares
        nothing = residual <= _NO_SCATTER * squared
        with np.errstate(divide="ignore", invalid="ignore"):
            strength = np.where(nothing, np.where(sums != 0, np.inf, 0.0), sums * sums / residual)
        largest[begin : begin + step] = strength.max(axis=1, initial=0.0)
        if begin == 0:  # the first toss leaves every sign as it is
            of_data, scatter = strength[0], np.where(nothing[0], 0.0, residual[0])
            values = estimate[0]
    ordered = np.sort(largest)
    p_values = (size - np.searchsorted(ordered, of_data, side="left")) / size
    bound = ordered[size - math.ceil(ERROR_RATE * size)]
    enough = m >= FEWEST_CASES and math.isfinite(bound)
    half = np.sqrt(bound * scatter) / total if enough else np.zeros(len(first))
    found = zip(values.tolist(), half.tolist(), p_values.tolist(), strict=True)
    return [Difference(value, _interval(value, width, p), p, m) for value, width, p in found]


def _interval(value: float, half: float, p: float) -> tuple[float, float] | None:
    """Return the ends of an interval, on the side of 0 that the verdict is on; None without a width."""
    if not half > 0:
        return None
    low, high = value - half, value + half
    if p >= ERROR_RATE:  # where both are equally rare, rounding may not decide
        low, high = min(low, 0.0), max(high, 0.0)
    return low, high


def _on_one_grid(values: Floats) -> Floats:
    """Round all columns to multiples of one unit, so that differences of their sums are exact, too."""
    largest = np.full((1, values.shape[1]), np.abs(values).max(initial=0.0))
    return exact(np.concatenate([values, largest]))[:-1]


def _tosses(m: int, seed: int) -> NDArray[np.uint8]:
    """Return tosses for `m` cases, (tosses, m): 1 turns a sign round; the first one leaves all of them as they are.

    A toss and its mirror give the same size of a difference. So where all are taken, the first case keeps its sign.
    """
    if 2 ** (m - 1) <= TOSSES:
        numbers = np.arange(2 ** (m - 1), dtype="<u8")[:, np.newaxis].view(np.uint8)
        turned = np.unpackbits(numbers, axis=1, count=m - 1, bitorder="little") if m > 1 else np.zeros((1, 0), np.uint8)
        return np.concatenate([np.zeros((len(numbers), 1), np.uint8), turned], axis=1)
    raw = generator(seed, f"tosses/{m}").random_raw(TOSSES * -(-m // 64)).astype("<u8")
    drawn = np.unpackbits(raw.view(np.uint8).reshape(TOSSES, -1), axis=1, count=m)
    drawn[0] = 0
    return drawn
