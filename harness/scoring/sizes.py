"""How large findings are: two measures, the groups that the one is cut into, and the bins that the other is counted in.

The *share* of the scan's volume that a finding fills decides its size group (paper, section 5.2). The *volume* in µl is
the number of its voxels after resampling to 1 mm³ (paper, Figure S1), up to rounding at its edges.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from harness.categories import is_focal
from harness.dataset import Case, Dataset
from harness.dataset.measured import Measurements
from harness.errors import DataError
from harness.rows import FindingRow

#: Percentiles of the findings' sizes between small, medium and large (paper, section 5.2).
PERCENTILES = (50.0, 75.0)

#: Bins for each power of ten of the volume.
_PER_DECADE = 4


@dataclass(frozen=True)
class SizeCuts:
    """Where findings are divided into small, medium and large ones.

    Attributes
    ----------
    small, medium
        Largest shares of the scan that are small, and medium.
    of
        What they are percentiles of: the findings of the ``"split"``, or only those that were ``"scored"``; or
        ``"fixed"``, chosen by a person.
    n
        Findings that the percentiles were taken from; 0 where they are fixed.
    lacking
        Findings of the split that have no truth here, so that their size is not known.
    """

    small: float
    medium: float
    of: Literal["split", "scored", "fixed"]
    n: int = 0
    lacking: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def recorded(cls, record: Mapping[str, Any]) -> Self | None:
        """Return the cuts that a run's record names; None for runs of versions that did not record them."""
        found = record.get("sizes")
        known = {one.name for one in fields(cls)}
        return None if not found else cls(**{name: value for name, value in found.items() if name in known})

    def same_groups(self, other: SizeCuts | None) -> bool:
        """Return whether every finding is in the same group by both."""
        return other is not None and (self.small, self.medium) == (other.small, other.medium)

    @property
    def bounds(self) -> str:
        """What is small, medium and large, in words."""
        small, medium = (f"{100 * share:.3g} %" for share in (self.small, self.medium))
        return f"small: up to {small} of the scan; medium: up to {medium}; large: above"

    @property
    def origin(self) -> str:
        """Where the cuts come from, in words."""
        if self.of == "fixed":
            return "fixed cuts"
        lacking = f", without {self.lacking} that have no ground truth here" if self.lacking else ""
        place = "of the split" if self.of == "split" else "that were scored"
        return f"the 50th and 75th percentile of the {self.n} findings {place}{lacking}"


def cuts_of(
    ratios: Iterable[float | None], of: Literal["split", "scored"] = "scored", *, lacking: int = 0
) -> SizeCuts | None:
    """Cut at the percentiles of some shares of the scan, of which unknown ones do not count; None without any."""
    known = [ratio for ratio in ratios if ratio is not None]
    if not known:
        return None
    small, medium = np.percentile(np.array(known, np.float64), PERCENTILES).tolist()
    return SizeCuts(small, medium, of, len(known), lacking)


def cuts_on(dataset: Dataset, split: str, rows: Sequence[FindingRow]) -> SizeCuts | None:
    """Cut at the percentiles of all findings of a split, however many of them were scored.

    So a finding is in one group whether the whole split was run or a part of it.

    Parameters
    ----------
    dataset, split
        The data. Where not all findings were scored, its truths are measured; what has been validated is cached.
    rows
        The findings that were scored.

    Raises
    ------
    DataError
        A truth cannot be read.
    """
    cases = dataset.split(split)
    total = sum(len(case.findings) for case in cases)
    ratios = [row.details.size_ratio for row in rows]
    if len(rows) < total:
        measured = Measurements(dataset.cache)
        ratios = [ratio for case in cases if case.truth is not None for ratio in _ratios(case, case.truth, measured)]
    return cuts_of(ratios, "split", lacking=total - len(ratios))


def _ratios(case: Case, truth: Path, measured: Measurements) -> list[float]:
    try:
        counts = measured.labels(truth, len(case.findings))
    except OSError as error:
        raise DataError(f"cannot read {truth}: {error.strerror}", fix="put the data set back", path=truth) from error
    return [sum(voxels.values()) / math.prod(case.shape) for voxels in counts]


@dataclass(frozen=True)
class Bin:
    """Findings whose volume in µl is at least `low` and below `high`; those without a category are in neither count."""

    low: float
    high: float
    focal: int
    non_focal: int


def volume_bins(findings: Iterable[tuple[float | None, str | None]]) -> list[Bin]:
    """Count findings by volume, focal and non-focal ones apart (paper, Figure S1).

    Parameters
    ----------
    findings
        Volume in µl (voxels at 1 mm³) and category of each; those of no or unknown volume are in no bin.
    """
    known = [(volume, category) for volume, category in findings if volume]
    if not known:
        return []
    bins = []
    for low, high in pairwise(log_bins([volume for volume, _ in known])):
        inside = [is_focal(category) for volume, category in known if category and low <= volume < high]
        bins.append(Bin(low, high, sum(inside), len(inside) - sum(inside)))
    return bins


def log_bins(values: Sequence[float], *, per_decade: int = _PER_DECADE) -> list[float]:
    """Return the edges of bins of equal width on a logarithmic axis that hold all of `values`, which are above 0."""
    low = math.floor(math.log10(min(values)) * per_decade + 1e-9)
    low -= 10 ** (low / per_decade) > min(values)
    high = max(low + 1, math.ceil(math.log10(max(values)) * per_decade + 1e-9))
    high += 10 ** (high / per_decade) <= max(values)
    return [10 ** (step / per_decade) for step in range(low, high + 1)]
