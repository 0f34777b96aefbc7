"""Describe a data set as the paper describes its own: Table 3 and section 3.5."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from harness.categories import CATEGORIES, is_focal
from harness.dataset.cases import Case, Dataset

#: The headings of the paper's Table 3, by whether the category is focal.
GROUPS = {False: "Typically non-focal lung abnormalities", True: "Typically focal lung opacities"}


@dataclass(frozen=True)
class SplitSummary:
    """The size of one split."""

    cases: int
    patients: int  #: a case whose patient is not known counts as another one
    findings: int
    entities: int  #: declared by the index; findings without a declaration count as 0
    cts: int  #: cases with a CT
    masks: int  #: cases with a mask
    unknown_patients: int = 0  #: cases of which nothing says whose they are


@dataclass(frozen=True)
class CategoryRow:
    """One row of Table 3."""

    code: str
    group: str
    name: str
    count: int
    percent: float  #: of all findings, 0 to 100


@dataclass(frozen=True)
class Range:
    """Smallest and largest along each of the three array axes."""

    lowest: tuple[float, ...]
    highest: tuple[float, ...]


@dataclass(frozen=True)
class Summary:
    """Summary of a data set, or of some of its splits."""

    splits: dict[str, SplitSummary]
    total: SplitSummary
    categories: tuple[CategoryRow, ...]  #: every category of the paper, in its order, also those without a finding
    uncategorised: int  #: findings without a category, or with one that the paper does not know
    focal_percent: float | None  #: of the findings with a known category; None without any
    depth_mean: float | None  #: slices; None: no shape is known
    depth_sd: float | None  #: sample standard deviation; None with fewer than two cases
    shapes: Range | None  #: voxels
    spacings: Range | None  #: mm; None: no spacing is known

    def as_dict(self) -> dict[str, Any]:
        """Return the summary for a JSON document."""
        return asdict(self)


def summarise(dataset: Dataset, splits: Sequence[str]) -> Summary:
    """Count the content of the splits named `splits`; reads the headers of the CTs.

    Raises
    ------
    UsageError
        The split does not exist.
    DataError
        A CT's header cannot be read.
    """
    by_split = {name: dataset.split(name) for name in splits}
    cases = [case for name in splits for case in by_split[name]]
    codes = Counter(finding.category for case in cases for finding in case.findings)
    findings = codes.total()
    known = {code: codes[code] for code in CATEGORIES}
    categorised = sum(known.values())
    focal = sum(count for code, count in known.items() if is_focal(code))
    shapes = [case.shape for case in cases if case.has_shape]
    spacings = [case.spacing for case in cases if case.spacing is not None]
    depths = [shape[2] for shape in shapes]
    return Summary(
        splits={name: _count(by_split[name]) for name in splits},
        total=_count(cases),
        categories=tuple(
            CategoryRow(
                code, GROUPS[is_focal(code)], name, known[code], 100 * known[code] / findings if findings else 0
            )
            for code, name in CATEGORIES.items()
        ),
        uncategorised=findings - categorised,
        focal_percent=100 * focal / categorised if categorised else None,
        depth_mean=statistics.fmean(depths) if depths else None,
        depth_sd=statistics.stdev(depths) if len(depths) > 1 else None,
        shapes=_range(shapes),
        spacings=_range(spacings),
    )


def _count(cases: Sequence[Case]) -> SplitSummary:
    findings = [finding for case in cases for finding in case.findings]
    return SplitSummary(
        cases=len(cases),
        patients=len({(case.patient is None, case.patient or case.id) for case in cases}),
        unknown_patients=sum(case.patient is None for case in cases),
        findings=len(findings),
        entities=sum(finding.entities or 0 for finding in findings),
        cts=sum(case.ct is not None for case in cases),
        masks=sum(case.truth is not None for case in cases),
    )


def _range(triples: Iterable[tuple[float, ...]]) -> Range | None:
    axes = list(zip(*triples, strict=True))
    return Range(tuple(min(axis) for axis in axes), tuple(max(axis) for axis in axes)) if axes else None
