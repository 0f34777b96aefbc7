"""The table beside volumes of DICOM series grows, keeps what people corrected, and holds no identifier."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation.ct.cases import IDENTIFIERS, add_cases
from curation.ct.dicom import find_series
from harness.dataset.patients import read_patients
from harness.errors import DataError
from tests.curation.ct.series import SCAN, write_series


def test_the_table_grows(tmp_path: Path) -> None:
    """One patient in two calls keeps the number; rows that a person corrected stay; an unnamed patient is one apart."""
    for name, about in {"a": {}, "b": {"PatientID": "MRN-2"}, "c": {}, "d": {"PatientID": ""}}.items():
        write_series(tmp_path / "dicom" / name, SCAN[:2], **about)
    found, _ = find_series(tmp_path / "dicom")
    add_cases(tmp_path, [series for series in found if series.name in "ab"])
    table = tmp_path / "patients.csv"
    table.write_text(table.read_text().replace("b,p2,061Y", "b,p2,047Y"))
    add_cases(tmp_path, found)
    people, problems = read_patients(table)
    assert not problems
    assert [people[name].patient for name in "abcd"] == ["p1", "p2", "p1", "p3"]
    assert [people[name].age for name in "ab"] == [61, 47]
    assert "MRN" not in table.read_text()
    assert (tmp_path / IDENTIFIERS).stat().st_mode & 0o077 == 0
    table.write_text("name\nx\n")
    with pytest.raises(DataError, match="other columns"):
        add_cases(tmp_path, found)
