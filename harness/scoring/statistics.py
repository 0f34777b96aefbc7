"""Statistics on findings: intervals, paired tests, corrections and ranks.

The same seed gives the same digits on any machine and with any build of NumPy. Two things make it so. Random numbers
are taken from the raw 64-bit stream of PCG64, which NumPy guarantees, never from its distributions, which it does not.
And values are rounded to multiples of a power of two small enough that every sum of them is exact in a double, so that
the order in which a matrix product adds does not matter.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from harness.errors import UsageError

Floats = NDArray[np.float64]

#: Bounds of every interval: percentiles of the draws, linearly interpolated.
PERCENTILES = (2.5, 97.5)

RESAMPLES = 1000

#: Fewest units (findings, or cases) whose resampling says anything about another sample of them.
FEWEST = 5

#: Variances and differences below this are those of rounding.
_NO_SCATTER = 1e-15

#: Draws weighed at a time: they stay in the processor's cache, and their products too small to be given to threads.
_DRAWS_AT_A_TIME = 1 << 14

#: Pairs compared at a time, so that memory does not grow with their number.
_PAIRS_AT_A_TIME = 256

#: Permutations of two groups that are held at a time: 20 MB for 5,000 findings.
_EXCHANGES_AT_A_TIME = 500


def generator(seed: int, stream: str) -> np.random.PCG64:
    """Return the random bits of one purpose; another name gives an independent stream."""
    digest = hashlib.sha256(f"{seed}/{stream}".encode()).digest()
    return np.random.PCG64(np.random.SeedSequence(int.from_bytes(digest[:16], "little")))


def random_numbers(n: int, *, resamples: int, seed: int, stream: str) -> NDArray[np.uint32]:
    """Draw the random numbers of bootstrap resamples, for :func:`resampled_sums`.

    Parameters
    ----------
    n
        Units (findings, or cases).
    resamples
        How many times they are drawn.
    seed, stream
        The draws are determined by these two.

    Returns
    -------
    (resamples, n) uint32
        The first columns are the same for any `n`.
    """
    raw = generator(seed, stream).random_raw(-(-n * resamples // 2)).astype("<u8")
    return np.ascontiguousarray(raw.view("<u4")[: n * resamples].reshape(n, resamples).T, np.uint32)


def resampled_sums(values: Floats, random: NDArray[np.uint32]) -> Floats:
    """Sum the rows of bootstrap resamples: as many as there are, drawn with replacement.

    A resample is a row of weights, which count how often each unit was drawn; all sums of all resamples are then one
    matrix product.

    Parameters
    ----------
    values
        (n, k); rounded by :func:`exact` first.
    random
        (resamples, n or more), see :func:`random_numbers`. A unit is drawn as often as any other to within n / 2**32.

    Returns
    -------
    (resamples, k) float64
    """
    n, values = len(values), exact(values)
    sums = [np.empty((0, values.shape[1]))]
    step = max(1, _DRAWS_AT_A_TIME // max(1, n))
    for first in range(0, len(random), step):
        part = random[first : first + step, :n]
        drawn = np.multiply(part, np.uint64(n), dtype=np.uint64)
        drawn >>= np.uint64(32)
        drawn += np.arange(0, drawn.size, n, dtype=np.uint64)[:, np.newaxis]
        weights = np.bincount(drawn.reshape(-1).view(np.int64), minlength=drawn.size).reshape(drawn.shape)
        sums.append(weights.astype(np.float64) @ values)
    return np.concatenate(sums)


def exact(values: Floats) -> Floats:
    """Round so that any weighted sum of the rows is exact, if the weights are whole and sum to at most the row count.

    Parameters
    ----------
    values
        (n, k). A column of whole numbers is unchanged while its sums stay below 2**53.

    Returns
    -------
    (n, k) float64
        Off by less than 2**-42 of the column's largest value for n up to 1,000.
    """
    _, exponent = np.frexp(np.abs(values).max(axis=0, initial=1.0))  # every value is below 2**exponent
    unit = np.ldexp(1.0, exponent + (len(values).bit_length() - 53))
    rounded: Floats = np.rint(values / unit) * unit
    return rounded


def interval(draws: Floats) -> list[list[float] | None]:
    """Return the percentile interval of every column; None where a draw is not a number."""
    return [
        [float(low), float(high)] if math.isfinite(low) and math.isfinite(high) else None
        for low, high in _percentiles(draws).T
    ]


def wilson(hits: float, n: float) -> list[float]:
    """Return the 95 % interval of a share (Wilson 1927): it has a width where all or none of `n` were hit.

    ``(p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)``, with ``p = hits / n`` and z the 97.5 % quantile of
    the normal distribution.
    """
    p, z = hits / n, NormalDist().inv_cdf(0.975)
    centre = p + z * z / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = ((centre + sign * half) / (1 + z * z / n) for sign in (-1, 1))
    return [low if hits else 0.0, high if hits < n else 1.0]


def supported(bounds: Sequence[float] | None, n: int) -> list[float] | None:
    """Return a resampled interval, or None where so few units, or units that are all the same, cannot give one."""
    if bounds is None or n < FEWEST or not bounds[0] < bounds[1]:
        return None
    return list(bounds)


def _percentiles(draws: Floats) -> Floats:
    bounds: Floats = np.percentile(draws, PERCENTILES, axis=0)
    return bounds


@dataclass(frozen=True)
class Comparison:
    """Two rows on the same findings.

    Attributes
    ----------
    difference
        Mean of the first minus mean of the second.
    ci95
        Percentile interval of the difference over paired bootstrap resamples; None with fewer than :data:`FEWEST`
        units, or where they all differ by the same.
    p_value
        Two-sided, of the sign-flip permutation test.
    n
        Units compared.
    """

    difference: float
    ci95: tuple[float, float] | None
    p_value: float
    n: int


def compare(
    first: Sequence[float],
    second: Sequence[float],
    *,
    clusters: Sequence[str] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
    permutations: int = 10_000,
) -> Comparison:
    """Compare two rows on the same findings, in the same order.

    Parameters
    ----------
    first, second
        One value a finding.
    clusters
        The case of every finding: cases are then resampled and their signs flipped as a whole, since findings of one
        case are not independent. None: every finding on its own.
    seed, resamples, permutations
        Of the bootstrap and of the permutation test.

    Returns
    -------
    Comparison
        The p-value is (1 + permutations at least as far from 0) / (1 + permutations), never 0.

    Raises
    ------
    UsageError
        The two were not measured on the same findings.
    """
    if len(first) != len(second) or not len(first):
        raise UsageError(
            f"{len(first)} and {len(second)} findings cannot be paired", fix="compare runs of one split of one data set"
        )
    delta = (np.asarray(first, np.float64) - np.asarray(second, np.float64))[:, np.newaxis]
    return compare_all(delta, clusters=clusters, seed=seed, resamples=resamples, permutations=permutations)[0]


def compare_all(
    differences: Floats,
    *,
    clusters: Sequence[str] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
    permutations: int = 10_000,
) -> list[Comparison]:
    """Do many comparisons of :func:`compare` at once, digit by digit the same.

    Parameters
    ----------
    differences
        (n, k): a column for every pair, first minus second on each finding.
    clusters, seed, resamples, permutations
        As for :func:`compare`; the draws are the same for every pair.
    """
    cluster, n = _numbered(clusters, len(differences))
    member = (cluster == np.arange(n)[:, np.newaxis]).astype(np.float64)
    sizes = member.sum(axis=1)
    random = random_numbers(n, resamples=resamples, seed=seed, stream="compare")
    raw = generator(seed, f"permute/{n}").random_raw(permutations * -(-n // 64))
    bits = np.unpackbits(raw.astype("<u8").view(np.uint8).reshape(permutations, -1), axis=1, count=n)
    signs = bits.astype(np.float64)
    found = []
    for first in range(0, differences.shape[1], _PAIRS_AT_A_TIME):
        delta = exact(differences[:, first : first + _PAIRS_AT_A_TIME])
        sums = member @ delta
        totals = resampled_sums(np.column_stack([sums, sizes]), random)
        bounds = _percentiles(totals[:, :-1] / totals[:, -1:])
        total = sums.sum(axis=0)
        extreme = (np.abs(total - 2 * (signs @ sums)) >= np.abs(total)).sum(axis=0)
        found += [
            Comparison(
                difference=math.fsum(column) / len(column),
                ci95=None if (ends := supported((low, high), n)) is None else (float(ends[0]), float(ends[1])),
                p_value=(1 + int(count)) / (1 + permutations),
                n=n,
            )
            for column, low, high, count in zip(delta.T.tolist(), *bounds, extreme, strict=True)
        ]
    return found


def compare_groups(
    values: Floats,
    first: NDArray[np.bool_],
    second: NDArray[np.bool_],
    *,
    clusters: Sequence[str] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
    permutations: int = 10_000,
) -> list[Comparison]:
    """Compare two groups of the findings of rows, which share cases but no finding.

    Parameters
    ----------
    values
        (n, k): the value of every row on every finding.
    first, second
        (n,) which findings are of each group; at least two each.
    clusters, seed, resamples, permutations
        As for :func:`compare`; the draws are the same for every row.

    Returns
    -------
    list of Comparison
        The interval is that of the difference of both means over bootstrap resamples of whole cases (those without a
        finding of a group are left out), None where either group is in fewer than :data:`FEWEST` cases. The p-value is
        that of a permutation test that exchanges findings between the groups. Its statistic is the difference divided
        by its standard error (Welch 1947), so that groups that scatter differently are not taken for unequal ones
        (Janssen 1997). The units are the findings of both.
    """
    either = first | second
    value, a = exact(values[either]), first[either]
    names = None if clusters is None else [name for name, kept in zip(clusters, either, strict=True) if kept]
    cluster, n_cases = _numbered(names, len(value))
    random = random_numbers(n_cases, resamples=resamples, seed=seed, stream="compare")
    drawn = generator(seed, f"exchange/{len(a)}")
    observed = _standardised(value, a[np.newaxis].astype(np.float64))
    extreme = np.zeros(value.shape[1], np.int64)
    for done in range(0, permutations, _EXCHANGES_AT_A_TIME):
        many = min(_EXCHANGES_AT_A_TIME, permutations - done)
        keys = drawn.random_raw(many * len(a)).reshape(many, len(a))
        members = np.zeros(keys.shape)
        np.put_along_axis(members, np.argpartition(keys, a.sum() - 1, axis=1)[:, : a.sum()], 1.0, axis=1)
        extreme += (_standardised(value, members) >= observed).sum(axis=0)
    sums = np.zeros((n_cases, 2, 1 + value.shape[1]))
    np.add.at(sums, (cluster, 1 - a.astype(np.intp)), np.column_stack([np.ones(len(value)), value]))
    totals = resampled_sums(sums.reshape(n_cases, -1), random).reshape(resamples, 2, -1)
    totals = totals[(totals[:, :, 0] > 0).all(axis=1)]
    means = totals[:, :, 1:] / totals[:, :, :1]
    fewest = int((sums[:, :, 0] > 0).sum(axis=0).min())
    bounds = _percentiles(means[:, 0] - means[:, 1]).T.tolist() if len(totals) else [None] * value.shape[1]
    found = []
    for column, ends, count in zip(value.T, bounds, extreme, strict=True):
        apart = [math.fsum(column[group]) / int(group.sum()) for group in (a, ~a)]
        low, high = supported(ends, fewest) or (None, None)
        ci95 = None if low is None or high is None else (low, high)
        found.append(Comparison(apart[0] - apart[1], ci95, (1 + int(count)) / (1 + permutations), len(a)))
    return found


def _standardised(values: Floats, members: Floats) -> Floats:
    """Return how far apart two groups are, in standard errors.

    Parameters
    ----------
    values
        (n, k), rounded by :func:`exact`.
    members
        (m, n): 1 for the first group, 0 for the second.

    Returns
    -------
    (m, k) float64
        Infinite where both groups are constant and differ.
    """
    squares = exact(values * values)
    n = members.sum(axis=1, keepdims=True)
    sums, summed = members @ values, members @ squares
    apart = np.zeros_like(sums)
    variance = np.zeros_like(sums)
    for sign, count, total, square in (
        (1, n, sums, summed),
        (-1, len(values) - n, values.sum(axis=0) - sums, squares.sum(axis=0) - summed),
    ):
        mean = total / count
        apart += sign * mean
        variance += np.maximum(square / count - mean * mean, 0.0) / (count - 1)
    apart = np.abs(apart)
    tiny = variance < _NO_SCATTER
    with np.errstate(divide="ignore"):
        return np.where(
            tiny, np.where(apart < _NO_SCATTER, 0.0, np.inf), apart / np.sqrt(np.where(tiny, 1.0, variance))
        )


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for many comparisons (Holm 1979); the order is kept."""
    m = len(p_values)
    adjusted = [0.0] * m
    worst = 0.0
    for place, i in enumerate(sorted(range(m), key=lambda i: p_values[i])):
        worst = max(worst, min(1.0, (m - place) * p_values[i]))
        adjusted[i] = worst
    return adjusted


def shared_ranks(values: Sequence[float], differ: NDArray[np.bool_]) -> list[int]:
    """Rank rows so that those that do not differ significantly share a rank.

    Parameters
    ----------
    values
        (k,) the rows' means, higher is better.
    differ
        (k, k) whether two rows differ by the corrected paired test.

    Returns
    -------
    list of int
        1 + the number of rows that are both higher and different.
    """
    return [
        1 + sum(bool(differ[i, j]) and values[j] > values[i] for j in range(len(values))) for i in range(len(values))
    ]


def rank_probabilities(
    scores: Floats, *, clusters: Sequence[str] | None = None, seed: int = 0, resamples: int = RESAMPLES
) -> Floats:
    """Estimate the probability of each row to have each rank on another sample of the same kind.

    Parameters
    ----------
    scores
        (n, k): the value of every row on every finding.
    clusters
        The case of every finding: cases are then resampled as a whole.
    seed, resamples
        Of the bootstrap, which all rows share.

    Returns
    -------
    (k, k) float64
        First axis: row; second axis: rank, best first. Rows that tie in a resample share the ranks they span equally.
    """
    cluster, n = _numbered(clusters, len(scores))
    k = scores.shape[1]
    sums = np.zeros((n, k))
    np.add.at(sums, cluster, exact(scores))
    totals = resampled_sums(sums, random_numbers(n, resamples=resamples, seed=seed, stream="ranks"))
    above = (totals[:, np.newaxis, :] > totals[:, :, np.newaxis]).sum(axis=2)
    level = (totals[:, np.newaxis, :] == totals[:, :, np.newaxis]).sum(axis=2)
    ranks = np.arange(k)
    spans = (ranks >= above[:, :, np.newaxis]) & (ranks < (above + level)[:, :, np.newaxis])
    shares: Floats = (spans / level[:, :, np.newaxis]).sum(axis=0) / resamples
    return shares


def _numbered(clusters: Sequence[str] | None, n: int) -> tuple[NDArray[np.intp], int]:
    """Return the cluster of every finding as a number, and how many there are."""
    if clusters is None:
        return np.arange(n), n
    order = {name: i for i, name in enumerate(dict.fromkeys(clusters))}
    return np.array([order[name] for name in clusters], np.intp), len(order)
