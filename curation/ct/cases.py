"""The table of cases beside volumes made of DICOM series: whose scan each is, and how it was made."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from curation.ct.dicom import Series
from curation.pipeline import write_text
from harness.dataset.patients import PATIENTS
from harness.errors import DataError

_COLUMNS: Final = (
    "case", "patient", "age", "sex", "manufacturer", "model", "kernel", "kvp", "slice_thickness", "series",
)  # fmt: skip
#: Number -> identifier of the hospital, which leaves the folder with nobody.
IDENTIFIERS: Final = "identifiers.private.csv"


def add_cases(folder: Path, taken: Iterable[Series]) -> None:
    """Add series to ``patients.csv``; patients have numbers there, which ``identifiers.private.csv`` leads back.

    A row that is there stays as it is.

    Raises
    ------
    DataError
        A table that is there has other columns.
    """
    rows = {row["case"]: row for row in _rows(folder / PATIENTS, "case")}
    people = {row["identifier"]: row["patient"] for row in _rows(folder / IDENTIFIERS, "identifier")}
    for item in taken:
        stated = str(item.headers[0].get("PatientID") or "").strip()
        # A series that names no patient is a patient of its own, which nothing can be known of.
        patient = people.setdefault(stated or f"series {item.uid}", f"p{len(people) + 1}")
        rows.setdefault(item.name, {"case": item.name, "patient": patient, "series": item.uid, **item.facts()})
    _write(folder / PATIENTS, _COLUMNS, rows.values())
    _write(
        folder / IDENTIFIERS, ("patient", "identifier"), ({"patient": p, "identifier": i} for i, p in people.items())
    )
    (folder / IDENTIFIERS).chmod(0o600)


def _rows(path: Path, needed: str) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except FileNotFoundError:
        return []
    if any(not row.get(needed) for row in rows):
        raise DataError(f"{path} has other columns than those written here", fix="name another folder with --out")
    return rows


def _write(path: Path, columns: Iterable[str], rows: Iterable[dict[str, str]]) -> None:
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, tuple(columns), restval="", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, stream.getvalue())
