"""No text that a table holds is a formula for the program that opens it."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from harness.host.spreadsheets import harmless
from harness.rows import FindingRow
from harness.runs.rows import write_rows

FORMULAS = ['=HYPERLINK("http://example.org")', "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_becomes_a_text(text: str) -> None:
    """By an apostrophe, which every program takes for the sign of a text."""
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize("cell", ["a = b", "", "1-2", -1, 0.5, None, True])
def test_others_stay(cell: object) -> None:
    """Numbers as well, negative ones included."""
    assert harmless(cell) is cell


def test_scores_of_foreign_texts_hold_no_formula(tmp_path: Path) -> None:
    """What an index says of a finding is in the table of scores as a text."""
    write_rows(
        tmp_path / "rows.csv", [FindingRow("=case", FORMULAS[0], 0, "1a", FORMULAS[1], "ok", "@reason", dice=-0.0)]
    )
    with (tmp_path / "rows.csv").open(encoding="utf-8", newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert [row[name] for name in ("case", "finding", "text", "reason")] == [
        "'=case", f"'{FORMULAS[0]}", f"'{FORMULAS[1]}", "'@reason",
    ]  # fmt: skip
    assert not any(cell.startswith(("=", "+", "@")) for cell in row.values())
