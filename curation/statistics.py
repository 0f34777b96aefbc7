"""Whose scans a data set holds, and from which scanners: the statistics of the paper's section 3.5, by split."""

from __future__ import annotations

import csv
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from harness.categories import is_focal
from harness.dataset.cases import Case, Dataset
from harness.dataset.patients import age_of, sex_of
from harness.errors import DataError, UsageError

#: What the paper states: scans, findings, age, male patients in percent, slices, focal findings in percent.
PAPER: Final = ("1914", "4776", "41.7 ± 14.6", "56.3", "357 ± 118", "78")

#: Fact -> names of its column: of `curate intake`, and of CT-RATE's metadata.
_COLUMNS: Final = {
    "age": ("age", "PatientAge"), "sex": ("sex", "PatientSex"), "manufacturer": ("manufacturer", "Manufacturer"),
    "model": ("model", "ManufacturerModelName"), "kernel": ("kernel", "ConvolutionKernel"),
}  # fmt: skip


@dataclass(frozen=True)
class Spread:
    """A mean over scans; a scan of which the value is not known does not count."""

    mean: float
    sd: float | None  #: sample standard deviation; None of a single scan
    n: int


def spread(values: Sequence[float]) -> Spread | None:
    """Return mean and standard deviation; None without any value."""
    if not values:
        return None
    return Spread(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None, len(values))


@dataclass(frozen=True)
class Group:
    """The scans of one split, or all."""

    scans: int
    findings: int
    age: Spread | None  #: years
    male: float | None  #: percent of the scans whose patient's sex is known
    sexes: int  #: scans whose patient's sex is known
    depth: Spread | None  #: slices
    focal: float | None  #: percent of the findings with a category
    scanners: Mapping[str, int]  #: manufacturer and model -> scans, the most frequent first; ``not stated``
    kernels: Mapping[str, int]


def read_facts(path: Path) -> dict[str, dict[str, str]]:
    """Read what a table states of cases: that of ``bench curate intake``, or CT-RATE's metadata.

    Raises
    ------
    UsageError, DataError
        It does not exist, or is no table of cases.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist", fix="give patients.csv of `bench curate intake`") from error
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {error}", fix="save it as CSV in UTF-8") from error
    facts = {}
    for row in rows:
        case = (row.get("case") or row.get("VolumeName") or "").removesuffix(".nii.gz")
        if not case:
            raise DataError(f"{path} has a row without a case", fix="add the column case, or VolumeName")
        facts[case] = {
            fact: next((row[name] or "" for name in names if name in row), "").strip()
            for fact, names in _COLUMNS.items()
        }
    return facts


def describe(dataset: Dataset, facts: Mapping[str, Mapping[str, str]]) -> dict[str, Group]:
    """Return split -> its statistics, and those of ``all``.

    Parameters
    ----------
    dataset
        The data set; what its index states of age and sex goes before the table.
    facts
        As :func:`read_facts` returns them; empty: the index alone.

    Raises
    ------
    DataError
        A text of the table is not an age.
    """
    cases = list(dataset)
    splits = dict.fromkeys(case.split for case in cases)
    groups = {split: _group([case for case in cases if case.split == split], facts) for split in splits}
    return groups | {"all": _group(cases, facts)}


def _group(cases: Sequence[Case], facts: Mapping[str, Mapping[str, str]]) -> Group:
    ages, sexes = [], []
    scanners: Counter[str] = Counter()
    kernels: Counter[str] = Counter()
    for case in cases:
        known = facts.get(case.id, {})
        try:
            age = case.age if case.age is not None else age_of(known.get("age"))
        except ValueError as error:
            raise DataError(f"{case.id}: {error}", fix="correct the table") from error
        ages += [] if age is None else [age]
        sexes += [sex] if (sex := case.sex or sex_of(known.get("sex"))) else []
        scanners[" ".join(filter(None, (known.get("manufacturer"), known.get("model")))) or "not stated"] += 1
        kernels[known.get("kernel") or "not stated"] += 1
    codes = [finding.category for case in cases for finding in case.findings if finding.category]
    return Group(
        scans=len(cases),
        findings=sum(len(case.findings) for case in cases),
        age=spread(ages),
        male=100 * sexes.count("M") / len(sexes) if sexes else None,
        sexes=len(sexes),
        depth=spread([case.shape[2] for case in cases]),
        focal=100 * sum(map(is_focal, codes)) / len(codes) if codes else None,
        scanners=dict(scanners.most_common()),
        kernels=dict(kernels.most_common()),
    )


def as_document(groups: Mapping[str, Group]) -> dict[str, Any]:
    """Return the statistics for a JSON document."""
    return {"schema": 1, "groups": {name: asdict(group) for name, group in groups.items()}}
