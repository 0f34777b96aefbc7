"""What names a person is found before it is sent; what reports are full of is not taken for it."""

from __future__ import annotations

import pytest

from curation.text.identifiers import identifiers


@pytest.mark.parametrize(
    "text",
    [
        "Patient name: Jane Roe.",
        "Mrs. Roe was examined.",
        "DOB 03.04.1961",
        "Born on 3/4/1961.",
        "MRN: 0012345",
        "Patient ID 4711-99123",
        "Tel: 0212 555 01 99",
        "Call +90 212 555 01 99.",
        "jane.roe@example.org",
        "12345678901",
    ],
)
def test_signs_of_a_person(text: str) -> None:
    """Labelled names and numbers, dates of birth, telephone numbers, addresses."""
    assert identifiers(text)


def test_reports_are_not_persons(real_reports: list[dict[str, str]]) -> None:
    """Of the real, de-identified reports at most one in a hundred is held back."""
    held = sum(bool(identifiers(f"{row['Findings_EN']} {row['Impressions_EN']}")) for row in real_reports)
    assert held <= len(real_reports) / 100
    assert identifiers("Patient 14.10. Nodule of 12x10 mm, T12, compared with 03.04.2020.") == []
