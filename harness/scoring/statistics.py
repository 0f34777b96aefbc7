"""Statistics on findings: intervals of means and of shares over cases, and the chance of a rank.

The same seed gives the same digits on any machine and with any build of NumPy. Two things make it so. Random numbers
are taken from the raw 64-bit stream of PCG64, which NumPy guarantees, never from its distributions, which it does not.
And values are rounded to multiples of a power of two small enough that every sum of them is exact in a double, so that
the order in which a matrix product adds does not matter.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RESAMPLES = 1000

#: Fewest units (cases, or findings taken as such) whose resampling says anything about another sample of them.
FEWEST = 5

#: Draws weighed at a time: they stay in the processor's cache, and their products too small to be given to threads.
_DRAWS_AT_A_TIME = 1 << 14


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


def interval(draws: Floats, n: int) -> list[list[float] | None]:
    """Return the 95 % interval of every column of resamples of `n` units.

    Percentiles of so few units lie too near each other, as if their scatter were known. They are therefore taken
    further out, by as much as Student's t of n - 1 degrees of freedom lies outside the normal distribution
    (Hesterberg 2015, "expanded percentiles"): 0.02 and 99.98 of 5 units, 2.3 and 97.7 of 100.

    Returns
    -------
    list of (low, high)
        None of fewer than :data:`FEWEST` units, where a draw is not a number, or where all draws are the same.
    """
    if n < FEWEST:
        return [None] * draws.shape[1]
    return [
        [float(low), float(high)] if math.isfinite(low) and math.isfinite(high) and low < high else None
        for low, high in percentiles(draws, _tails(n)).T
    ]


def percentiles(draws: Floats, shares: Sequence[float]) -> Floats:
    """Return linear percentiles of every column, in the very digits of ``np.percentile``, which loads masked arrays.

    Parameters
    ----------
    draws
        (n, k) float64.
    shares
        (p,) in percent.

    Returns
    -------
    (p, k) float64
        Not a number where a column holds a draw that is none.
    """
    at = np.array(shares)[:, np.newaxis] / 100 * (len(draws) - 1)
    below = np.floor(at).astype(np.intp)
    share = at - below
    ordered = np.sort(draws, axis=0)  # what is not a number comes last
    low, high = ordered[below[:, 0]], ordered[np.minimum(below + 1, len(draws) - 1)[:, 0]]
    step = high - low
    found = np.where(share < 0.5, low + step * share, high - step * (1 - share))
    return np.where(np.isnan(ordered[-1]), np.nan, found)


@lru_cache(maxsize=1024)
def _tails(n: int) -> tuple[float, float]:
    """Return the percentiles, rounded so that they are the same with any build of the mathematical library."""
    below = round(100 * NormalDist().cdf(-math.sqrt(n / (n - 1)) * student_t(n - 1)), 6)
    return below, 100 - below


def student_t(freedom: int) -> float:
    """Return the 97.5 % quantile of Student's t.

    Newton's method from the normal quantile, which is below, on the share between -t and t (Abramowitz and Stegun 1964,
    26.7.3 and 26.7.4); that share is concave, so that no step goes too far. SciPy has it too, and takes longer to load
    than most runs take to look up what they have.

    Parameters
    ----------
    freedom
        Degrees of freedom, at least 1.
    """
    density = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(freedom * math.pi)
    t, step = NormalDist().inv_cdf(0.975), 1.0
    while step > 1e-13 * t:
        step = (0.95 - _within(t, freedom)) / (2 * density * (1 + t * t / freedom) ** (-(freedom + 1) / 2))
        t += step
    return t


def _within(t: float, freedom: int) -> float:
    """Return the share of Student's t between -t and t."""
    angle = math.atan(t / math.sqrt(freedom))
    square = math.cos(angle) ** 2
    odd = freedom % 2
    terms, term = [], math.sin(angle) * (math.cos(angle) if odd else 1.0)
    for k in range(1 + odd, freedom, 2):
        terms.append(term)
        term *= square * k / (k + 1)
    total = math.fsum(terms)
    return (angle + total) * 2 / math.pi if odd else total


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


def share_interval(hits: Floats, of: Floats) -> list[float] | None:
    """Return the 95 % interval of a share of units that come in cases: Wilson's, of as many as they are worth.

    Findings of a case that tend to be hit together tell less than as many single ones. Their number is divided by how
    much the share scatters more over cases than that of independent findings does (Korn and Graubard 1998), never below
    1 and never above their number. Where all or none were hit, the scatter is not known, and each case counts once.

    Parameters
    ----------
    hits, of
        (cases,) units that were hit, of so many.

    Returns
    -------
    [low, high]
        None with fewer than :data:`FEWEST` cases that hold a unit.
    """
    cases, n = int(np.count_nonzero(of)), float(of.sum())
    if cases < FEWEST:
        return None
    p = float(hits.sum()) / n
    residuals = hits - p * of
    variance = cases / (cases - 1) * math.fsum((residuals * residuals).tolist()) / (n * n)
    if n == cases:
        worth = n
    elif variance == 0:
        worth = float(cases)
    else:
        worth = min(n, max(1.0, p * (1 - p) / variance))
    return wilson(p * worth, worth)


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
    cluster, n = numbered(clusters, len(scores))
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


def numbered(clusters: Sequence[str] | None, n: int) -> tuple[NDArray[np.intp], int]:
    """Return the cluster of every finding as a number, and how many there are; no clusters: each is its own."""
    if clusters is None:
        return np.arange(n), n
    order = {name: i for i, name in enumerate(dict.fromkeys(clusters))}
    return np.array([order[name] for name in clusters], np.intp), len(order)
