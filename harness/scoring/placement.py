"""Where a mask lies: on its finding, on another finding of the case, where another text's mask lies, or elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from harness.rows import FindingRow, Other, Others
from harness.scoring.others import SHARED
from harness.scoring.profiles import PROFILES
from harness.scoring.statistics import share_interval
from harness.status import Status

#: When a mask is on a finding: the paper's HIT at 5 % (section 5.1).
ON: Final = PROFILES["mlhc2025"].hits["hit5"]

#: Dice from which two masks count as the same: more than readers of one lesion reach (0.83 to 0.85 with their
#: consensus, docs/scoring.md), so that the other text has changed less than another reader would.
SAME: Final = 0.9

FOUND, SAME_MASK, OTHER_FINDING, ELSEWHERE = "found", "same_mask", "other_finding", "elsewhere"
NOT_FOUND, NO_MASK, NOTHING_TO_FIND, NOT_KNOWN = "not_found", "no_mask", "nothing_to_find", "not_known"

#: Every placement, and how it is called. The last two have no share: they say nothing about the model.
PLACEMENTS: Mapping[str, str] = MappingProxyType(
    {
        FOUND: "found",
        OTHER_FINDING: "taken for another finding",
        SAME_MASK: "the same mask for two texts",
        ELSEWHERE: "found elsewhere",
        NOT_FOUND: "not found",
        NO_MASK: "no valid mask",
        NOTHING_TO_FIND: "nothing to find",
        NOT_KNOWN: "not known",
    }
)

#: Those that are not counted in shares.
APART: Final = (NOTHING_TO_FIND, NOT_KNOWN)


@dataclass(frozen=True)
class Placement:
    """Where one mask lies.

    Attributes
    ----------
    name
        A key of :data:`PLACEMENTS`.
    other
        The finding it was taken for, or whose text got the same mask, with the Dice; None with any other name.
    """

    name: str
    other: Other | None = None

    @property
    def words(self) -> str:
        """Say it in one line."""
        if self.other is None:
            return PLACEMENTS[self.name]
        what = "taken for" if self.name == OTHER_FINDING else "the same mask as for"
        return f"{what} finding {self.other.finding} (Dice {self.other.dice:.3f})"


def placement(row: FindingRow) -> Placement:
    """Return where the mask of a finding lies (``docs/scoring.md``, "Where the masks lie").

    Parameters
    ----------
    row
        The finding's score. The Dice is that of the raw unions, under every profile.
    """
    if row.status != Status.OK or row.truth_voxels is None or row.pred_voxels is None or row.intersection is None:
        return Placement(NO_MASK)
    if row.truth_voxels == 0:
        return Placement(NOTHING_TO_FIND)
    if row.details.others is None:
        return Placement(NOT_KNOWN)
    apart = row.intersection <= SHARED * min(row.truth_voxels, row.pred_voxels)
    off = Placement(ELSEWHERE if row.pred_voxels and apart else NOT_FOUND)
    return _beside_others(row.dice, row.details.others) or off


def _beside_others(own: float, others: Others) -> Placement | None:
    """Return the placement of a mask that is on some finding, or the same as another; None for any other mask."""
    best = 0.0 if others.truth is None else others.truth.dice
    if ON(own) and own > best:
        return Placement(FOUND)
    if others.mask is not None and others.mask.dice >= SAME:
        return Placement(SAME_MASK, others.mask)
    if ON(own) and own == best:
        return Placement(FOUND)
    return Placement(OTHER_FINDING, others.truth) if ON(best) else None


def placement_columns(row: FindingRow) -> dict[str, Any]:
    """Return the columns of a table of findings: the placement, and both others with their Dice, None where none."""
    columns: dict[str, Any] = {"placement": placement(row).name}
    others = row.details.others
    for kind, other in (("truth", others and others.truth), ("mask", others and others.mask)):
        columns |= {f"other_{kind}": other and other.finding, f"other_{kind}_dice": other and other.dice}
    return columns


def placement_shares(rows: Iterable[FindingRow]) -> dict[str, dict[str, Any]]:
    """Return the share of every placement among the findings where it is known.

    Parameters
    ----------
    rows
        The findings.

    Returns
    -------
    dict
        Placement -> ``{"count", "n", "cases", "value", "ci95"}``: findings, of so many of so many cases, their share,
        and its interval (:func:`harness.scoring.statistics.share_interval`). Share and interval are None without any
        finding, the interval also of too few cases; and all but the count of :data:`APART`.
    """
    by_case: dict[str, Counter[str]] = {}
    for row in rows:
        by_case.setdefault(row.case, Counter())[placement(row).name] += 1
    known = [counts for counts in by_case.values() if any(name not in APART for name in counts)]
    of = np.array([sum(n for name, n in counts.items() if name not in APART) for counts in known], np.float64)
    shares: dict[str, dict[str, Any]] = {}
    for name in PLACEMENTS:
        count = sum(counts[name] for counts in by_case.values())
        shares[name] = {"count": count, "n": None, "cases": None, "value": None, "ci95": None}
        if name not in APART:
            shares[name] |= {"n": int(of.sum()), "cases": len(known)}
        if name not in APART and known:
            ci95 = share_interval(np.array([counts[name] for counts in known], np.float64), of)
            shares[name] |= {"value": count / int(of.sum()), "ci95": ci95}
    return shares
