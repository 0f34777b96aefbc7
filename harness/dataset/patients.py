"""Whose scan a case is: by the data set's own table, else by the names of CT-RATE; otherwise it is not known.

Splits are by patient, so a wrong answer costs either way: two scans of one person on both sides of a split, or a
hundred people taken for one. A name of another form says nothing.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from harness.dataset.problems import DataProblem, Level

#: A table beside the index, with the columns ``case`` and ``patient``.
PATIENTS: Final = "patients.csv"

_MAX_BYTES: Final = 64 * 2**20
_SUFFIX: Final = ".nii.gz"

#: ``<split>_<patient>_<scan letter>_<reconstruction>`` (CT-RATE; the phantom has the same form).
_SCAN = re.compile(r"(?P<patient>(?:train|valid|test|phantom)_[0-9]+)_[a-z]+_[0-9]+")


def patient_by_name(case: str) -> str | None:
    """Return ``train_19753`` for ``train_19753_a_2``, and None for a name of another form."""
    match = _SCAN.fullmatch(case)
    return match["patient"] if match else None


def read_patients(path: Path) -> tuple[dict[str, str], list[DataProblem]]:
    """Read a table of patients: CSV with the columns ``case`` and ``patient``; other columns are ignored.

    Returns
    -------
    tuple
        Case (without ``.nii.gz``) -> patient, and the faults: unreadable, columns missing, an empty field, or a case
        that is said to be of two patients.
    """

    def fault(what: str) -> DataProblem:
        fix = f"write {PATIENTS} with the columns `case` and `patient`, one line a case"
        return DataProblem(Level.ERROR, "patients", path.name, what, fix)

    try:
        if path.stat().st_size > _MAX_BYTES:
            return {}, [fault(f"the file is larger than {_MAX_BYTES // 2**20} MiB")]
        rows = list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, ValueError, csv.Error) as error:
        return {}, [fault(f"the file cannot be read: {error}")]
    found: dict[str, str] = {}
    problems = []
    for line, row in enumerate(rows, start=2):
        case, patient = ((row.get(name) or "").strip() for name in ("case", "patient"))
        if not case or not patient:
            problems.append(fault(f"line {line} lacks its case or its patient"))
        elif found.setdefault(case.removesuffix(_SUFFIX), patient) != patient:
            problems.append(fault(f"line {line}: {case} is said to be of two patients"))
    return found, problems


def merged(
    first: Mapping[str, str], second: Mapping[str, str], where: str
) -> tuple[Mapping[str, str], list[DataProblem]]:
    """Return what two tables say together; where they contradict each other neither is believed."""
    against = sorted(case for case in first.keys() & second.keys() if first[case] != second[case])
    what = f"{', '.join(against[:3])}: the index and {PATIENTS} name different patients"
    problem = DataProblem(Level.ERROR, "patients", where, what, "keep one of the two tables")
    return {**first, **second}, [problem] if against else []


def unknown_patients(cases: Iterable[tuple[str, str | None]]) -> Iterator[DataProblem]:
    """Say which cases have no known patient, where that leaves open whether splits share one.

    Parameters
    ----------
    cases
        Split and patient of every case.
    """
    listed = list(cases)
    unknown = Counter(split for split, patient in listed if patient is None)
    if unknown and len({split for split, _ in listed}) > 1:
        what = (
            f"nothing says whose scans {unknown.total()} of {len(listed)} cases are; each is taken for another "
            "patient, so that a patient in two splits would not be seen"
        )
        fix = f"add {PATIENTS} beside the index (columns `case` and `patient`)"
        yield DataProblem(Level.WARNING, "patients-unknown", ", ".join(sorted(unknown)), what, fix)
