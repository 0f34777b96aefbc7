"""Whose scan a case is: by the data set's own table, else by the names of CT-RATE; otherwise it is not known.

The table may state ages and sexes too.

Splits are by patient, so a wrong answer costs either way: two scans of one person on both sides of a split, or a
hundred people taken for one. A name of another form says nothing.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Final

from harness.dataset.problems import DataProblem, Level
from harness.host.sizes import size

#: A table beside the index, with the columns ``case`` and ``patient``, ``age`` or ``sex``.
PATIENTS: Final = "patients.csv"

_MAX_BYTES: Final = 64 * 2**20
_SUFFIX: Final = ".nii.gz"

#: What is read -> names of its column, in small letters without blanks: ours, and that of CT-RATE's metadata tables.
_COLUMNS: Final = {
    "case": ("case", "volumename"),
    "patient": ("patient", "patientid"),
    "age": ("age", "patientage"),
    "sex": ("sex", "patientsex"),
}

#: A number of years, or an age string of DICOM (PS3.5, value representation AS).
_AGE = re.compile(r"(?P<number>[0-9]{1,3}(?:\.[0-9]+)?) ?(?P<unit>[YMWDymwd]?)")
_A_YEAR: Final = {"Y": 1.0, "M": 12.0, "W": 52.18, "D": 365.25}
_NOT_STATED: Final = frozenset({"", "nan", "none", "unknown"})
_OLDEST: Final = 130

#: ``<split>_<patient>_<scan letter>_<reconstruction>`` (CT-RATE; the phantom has the same form).
_SCAN = re.compile(r"(?P<patient>(?:train|valid|test|phantom)_[0-9]+)_[a-z]+_[0-9]+")


def patient_by_name(case: str) -> str | None:
    """Return ``train_19753`` for ``train_19753_a_2``, and None for a name of another form."""
    match = _SCAN.fullmatch(case)
    return match["patient"] if match else None


@dataclass(frozen=True)
class Person:
    """What a data set states of the patient of a case; None where it does not."""

    patient: str | None = None  #: by whatever name the data set uses
    age: int | None = None  #: years
    sex: str | None = None  #: ``"F"`` or ``"M"``


def age_of(stated: object) -> int | None:
    """Return an age in whole years: of a number, or of DICOM's form (``045Y``, ``018M``); None where it is not stated.

    Raises
    ------
    ValueError
        It is neither, or no age of a person.
    """
    text = str("" if stated is None else stated).strip()
    if text.lower() in _NOT_STATED:
        return None
    match = _AGE.fullmatch(text)
    years = int(float(match["number"]) / _A_YEAR[match["unit"].upper() or "Y"]) if match else -1
    if not 0 <= years <= _OLDEST:
        raise ValueError(f"{text[:40]!r} is not an age in years")
    return years


def sex_of(stated: object) -> str | None:
    """Return ``"F"`` or ``"M"``, and None for anything else (DICOM: ``O``, empty)."""
    return {"f": "F", "female": "F", "m": "M", "male": "M"}.get(str(stated).strip().lower())


def read_patients(path: Path) -> tuple[dict[str, Person], list[DataProblem]]:
    """Read a table of patients: CSV with the column ``case`` and one of ``patient``, ``age`` and ``sex`` or more.

    CT-RATE's metadata tables are read as they are (``VolumeName``, ``PatientAge``, ``PatientSex``); other columns are
    ignored. Cells may be separated by semicolons or tabs, and the file be UTF-16, as spreadsheets write them.

    Returns
    -------
    tuple
        Case (without ``.nii.gz``) -> what is stated of its patient, and the faults: unreadable, columns missing, an
        empty field for the case or, where there is the column, for the patient, a text that is not an age, a case of
        which different things are stated, or patients whose names differ in letter case or zeros at their beginning
        only, as a spreadsheet may have left one of them.
    """

    def fault(what: str) -> DataProblem:
        fix = f"write {PATIENTS} with the columns `case` and `patient`, one line a case"
        return DataProblem(Level.ERROR, "patients", path.name, what, fix)

    try:
        if path.stat().st_size > _MAX_BYTES:
            return {}, [fault(f"the file is larger than {size(_MAX_BYTES)}")]
        columns, rows = _cells(path)
    except (OSError, ValueError, csv.Error) as error:
        return {}, [fault(f"the file cannot be read: {error}")]
    if not columns & {name for what in ("patient", "age", "sex") for name in _COLUMNS[what]}:
        return {}, [fault("it has none of the columns `patient`, `age` and `sex`")]
    found: dict[str, Person] = {}
    problems = []
    for line, row in enumerate(rows, start=2):
        case, patient, age, sex = (
            next((row[name] or "" for name in names if name in columns), "").strip() for names in _COLUMNS.values()
        )
        if not case or (columns & set(_COLUMNS["patient"]) and not patient):
            problems.append(fault(f"line {line} lacks its case or its patient"))
            continue
        try:
            person = Person(patient or None, age_of(age), sex_of(sex))
        except ValueError as error:
            problems.append(fault(f"line {line}: {error}"))
            continue
        before = found.setdefault(case.removesuffix(_SUFFIX), person)
        if before.patient != person.patient:
            problems.append(fault(f"line {line}: {case} is said to be of two patients"))
        elif before != person:
            problems.append(fault(f"line {line}: {case} stands there twice, with another age or sex"))
    return found, problems + [fault(what) for what in _written_twice(found.values())]


def _written_twice(people: Iterable[Person]) -> Iterator[str]:
    """Yield which names of patients may be one name, of which a spreadsheet took zeros or a person changed letters."""
    first: dict[str, str] = {}
    for name in dict.fromkeys(person.patient for person in people if person.patient):
        other = first.setdefault(name.casefold().lstrip("0"), name)
        if other != name:
            yield f"the patients {other!r} and {name!r} may be one: write each in one way"


def _cells(path: Path) -> tuple[set[str], list[dict[str, str]]]:
    """Return the columns of a table, in small letters without blanks, and its rows by them."""
    raw = path.read_bytes()
    text = raw.decode("utf-16" if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig")
    separator = max(",;\t", key=text.partition("\n")[0].count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
    reader.fieldnames = [re.sub(r"[\s_]", "", name).lower() for name in reader.fieldnames or ()]
    return set(reader.fieldnames), list(reader)


def merged(
    first: Mapping[str, Person], second: Mapping[str, Person], where: str
) -> tuple[Mapping[str, Person], list[DataProblem]]:
    """Return what two tables say together; where they contradict each other neither is believed."""
    together, against = dict(first), []
    for case, other in second.items():
        pairs = list(zip(astuple(first.get(case, Person())), astuple(other), strict=True))
        together[case] = Person(*(b if a is None else a for a, b in pairs))
        if any(None not in pair and pair[0] != pair[1] for pair in pairs):
            against.append(case)
    what = f"{', '.join(sorted(against)[:3])}: the index and {PATIENTS} name different patients, ages or sexes"
    problem = DataProblem(Level.ERROR, "patients", where, what, "keep one of the two tables")
    return together, [problem] if against else []


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
