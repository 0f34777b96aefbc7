"""Detection by the size of a lesion: how many entities of each size were found."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np

from harness.rows import FindingRow
from harness.scoring.statistics import numbered, share_interval

#: Cut-offs in millimetres that chest radiology uses: below 3, 3 to 6, 6 to 10, 10 to 20, and from 20 on.
CUT_OFFS: Final = (3.0, 6.0, 10.0, 20.0)


def diameter(mm3: float) -> float:
    """Return the diameter in millimetres of the sphere of this volume: ``(6 V / pi) ** (1/3)``."""
    return math.cbrt(6 * mm3 / math.pi)


def recall_by_size(rows: Iterable[FindingRow], cut_offs: Sequence[float] = CUT_OFFS) -> list[dict[str, Any]]:
    """Count the entities of each size, and how many of them were found by overlap.

    Parameters
    ----------
    rows
        Findings whose instances were counted. Those of unknown spacing, whose entities have no size, are left out.
    cut_offs
        Millimetres, ascending; an entity of exactly a cut-off belongs to the larger group.

    Returns
    -------
    list of dict
        ``{"from_mm", "to_mm", "found", "n", "cases", "value", "ci95"}`` for each size, the smallest first: recall, None
        where there is no entity, and its interval (:func:`harness.scoring.statistics.share_interval`), also None where
        they are of too few cases. The first begins at 0, the last has no end (None).
    """
    sizes = [
        (diameter(instance.mm3), instance.status == "found", row.case)
        for row in rows
        for instance in row.details.rows or ()
        if instance.side == "truth" and instance.mm3 is not None
    ]
    groups = []
    for low, high in pairwise([0.0, *cut_offs, math.inf]):
        inside = [(found, case) for size, found, case in sizes if low <= size < high]
        hits = np.array([found for found, _ in inside], np.float64)
        case, cases = numbered([name for _, name in inside], len(inside))
        of = np.bincount(case, minlength=cases).astype(np.float64)
        groups.append(
            {
                "from_mm": low,
                "to_mm": None if high == math.inf else high,
                "found": int(hits.sum()),
                "n": len(inside),
                "cases": cases,
                "value": int(hits.sum()) / len(inside) if inside else None,
                "ci95": share_interval(np.bincount(case, hits, cases).astype(np.float64), of),
            }
        )
    return groups
