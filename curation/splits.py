"""Scans to train, val and test: whole patients, shares or exact numbers, categories in proportion where that is asked.

A scan in which only some entities of a finding were drawn can be scored against nothing, and stays in train.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from harness.errors import DataError, UsageError

SPLITS: Final = ("train", "val", "test")

#: A share of the patients (float), or a number of scans (int).
Amount = float | int


@dataclass(frozen=True)
class ToSplit:
    """What of a scan matters to its split."""

    patient: str
    categories: tuple[str, ...]  #: of its findings
    exhaustive: bool = True  #: whether all entities were to be drawn


@dataclass(frozen=True)
class _Group:
    """The scans of one patient."""

    patient: str
    scans: int
    categories: Counter[str]
    exhaustive: bool


def split_scans(
    scans: Mapping[str, ToSplit], val: Amount, test: Amount, seed: int, *, stratify: bool = False
) -> dict[str, str]:
    """Return scan -> split: the same for the same scans, amounts and seed, whatever their order.

    Patients are ordered by a digest of the seed and their name, and the first ones that fit become test, then val;
    with `stratify`, each next one is that with which the categories of the split come closest to those of all scans.
    With a share above 0 a split gets at least one patient where there are as many patients as splits.

    Raises
    ------
    UsageError
        The amounts are not valid, or more than there is.
    DataError
        Too few scans were drawn exhaustively, or whole patients do not make the exact number.
    """
    if min(val, test) < 0 or sum(amount for amount in (val, test) if isinstance(amount, float)) > 1:
        raise UsageError(f"{val} and {test} cannot make a split", fix="e.g. --val 0.05 --test 0.1, or --val 100")
    groups = _groups(scans, seed)
    free = [group for group in groups if group.exhaustive]
    wanted = {name: amount for name, amount in (("test", test), ("val", val)) if amount > 0}
    split_of = {group.patient: "train" for group in groups}
    for name, amount in wanted.items():
        exact = isinstance(amount, int)
        least = 1 if len(groups) > len(wanted) else 0
        size = amount if isinstance(amount, int) else max(least, round(amount * len(groups)))
        chosen = _choose(free, size, groups if stratify else (), exact=exact)
        got = sum(group.scans if exact else 1 for group in chosen)
        if got != size:
            kind = "scans" if exact else "patients"
            limited = "" if len(free) == len(groups) else " whose findings were drawn with all entities"
            raise DataError(
                f"{name} should have {size} {kind}, which whole patients{limited} do not make",
                fix="ask for another number, or annotate more scans without --most-entities",
            )
        split_of |= {group.patient: name for group in chosen}
        free = [group for group in free if split_of[group.patient] == "train"]
    return {name: split_of[scan.patient] for name, scan in scans.items()}


def _groups(scans: Mapping[str, ToSplit], seed: int) -> list[_Group]:
    of: dict[str, list[ToSplit]] = {}
    for scan in scans.values():
        of.setdefault(scan.patient, []).append(scan)
    groups = [
        _Group(name, len(own), Counter(code for s in own for code in s.categories), all(s.exhaustive for s in own))
        for name, own in of.items()
    ]
    return sorted(groups, key=lambda group: hashlib.sha256(f"{seed}\0{group.patient}".encode()).digest())


def _choose(free: Sequence[_Group], size: int, everything: Sequence[_Group], *, exact: bool) -> list[_Group]:
    """Return groups of `size` scans or patients together; less where none fits any more.

    `everything` holds the groups whose categories are kept in proportion; empty: in the order given.
    """
    left = list(free)
    weigh = [group.scans if exact else 1 for group in left]
    codes = sorted({code for group in everything for code in group.categories})
    counts = _counts(left, codes)
    total = _counts(everything, codes).sum(axis=0)
    amount = sum(group.scans if exact else 1 for group in everything)
    chosen: list[_Group] = []
    have = np.zeros(len(codes))
    filled = 0
    while filled < size:
        possible = [weight for weight in set(weigh) if _reachable(weigh, size - filled, weight)]
        fits = np.flatnonzero(np.isin(weigh, possible))
        if not len(fits):
            break
        best = int(fits[0])
        if codes:
            goal = total * ((filled + np.array(weigh)[fits, None]) / amount)
            best = int(fits[(((have + counts[fits] - goal) ** 2) / total).sum(axis=1).argmin()])
        chosen.append(left.pop(best))
        filled += weigh.pop(best)
        have += counts[best]
        counts = np.delete(counts, best, axis=0)
    return chosen


def _reachable(weights: Sequence[int], size: int, first: int) -> bool:
    """Return whether some of the weights, `first` among them, sum to `size`."""
    if set(weights) == {1}:
        return size <= len(weights)
    rest = Counter(weights)
    rest[first] -= 1
    sums = 1  # bit n: n is a sum
    for weight, count in rest.items():
        for _ in range(min(count, size // weight)):
            sums |= sums << weight
    return first <= size and bool(sums >> (size - first) & 1)


def _counts(groups: Sequence[_Group], codes: Sequence[str]) -> npt.NDArray[np.float64]:
    return np.array([[group.categories[code] for code in codes] for group in groups], float).reshape(
        len(groups), len(codes)
    )
