"""What a filled-in sheet says: the paper's Table 2, intervals, two reviewers."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from curation.review.report import agreement, mean_rate, read_sheet, table2
from curation.review.sheet import COLUMNS
from harness.errors import DataError, UsageError


def row(report: str, name: str, label: str = "", **cells: str) -> dict[str, str]:
    """Return one row of a sheet."""
    return dict.fromkeys(COLUMNS, "") | {"report": report, "row": name, "label": label} | cells


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    """Write a sheet."""
    with path.open("w", newline="", encoding="utf-8-sig") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A sheet of three reports, one of them not done."""
    return write(
        tmp_path / "review.csv",
        [
            row("a", "L0", "Lungs/Airways/Pleura", misclassified="x"),
            row("a", "L1", "Lungs/Airways/Pleura", descriptor="1"),
            row("a", "S1", "2d", right_category="1e"),
            row("a", "S2", "2d", descriptor="yes"),
            row("a", "report", done="x", missed_step2="2"),
            row("b", "L0", "Lungs/Airways/Pleura"),
            row("b", "S1", "2c", false_positive="x"),
            row("b", "report", done="x", missed_step1="1"),
            row("c", "L0", "Bones", misclassified="x"),
            row("c", "report"),
        ],
    )


def test_table_2_by_hand(filled: Path) -> None:
    """Errors over findings by report, then the mean; what was missed counts as a finding; open reports do not count."""
    rates = table2(read_sheet(filled))
    values = {name: [rate and round(rate.value, 6) for rate in steps] for name, steps in rates.items()}
    assert values == {
        "misclassification": [0.25, None],
        "descriptor": [0.25, 0.125],
        "false positive": [0.0, 0.5],
        "false negative": [0.25, 0.25],
    }


def test_intervals() -> None:
    """The interval is mean \N{PLUS-MINUS SIGN} 1.96 standard errors, kept between 0 and 1."""
    rate = mean_rate([0.0, 0.2, 0.4])
    assert (rate.value, rate.n) == (pytest.approx(0.2), 3)
    assert rate.high == pytest.approx(0.2 + 1.96 * 0.2 / 3**0.5)
    assert rate.low == 0.0
    assert mean_rate([0.5]).low == 0.5


def test_the_report_of_a_sheet(filled: Path, bench: Any) -> None:
    """The command prints the paper's figures beside ours, and the categories' precision and recall."""
    result = bench("review", "report", filled)
    assert "0.11 [0.05, 0.17]" in result.stdout
    assert "macro mean" in result.stdout
    document = json.loads(bench("review", "report", filled, "--json").stdout)
    assert (document["reports"], document["not_done"]) == (2, 1)
    assert document["categories"]["accuracy"] == pytest.approx(2 / 3)


def test_a_sheet_that_a_spreadsheet_saved(filled: Path, tmp_path: Path) -> None:
    """Semicolons and Windows' encoding, as spreadsheets of some countries save, change nothing."""
    first = read_sheet(filled)
    rows = [dict(row, note="a\xf1o") for row in first.rows]
    with (tmp_path / "saved.csv").open("w", encoding="cp1254", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, delimiter=";")
        writer.writeheader()
        writer.writerows(rows)
    assert table2(read_sheet(tmp_path / "saved.csv")) == table2(first)


def test_two_reviewers(filled: Path, tmp_path: Path) -> None:
    """Agreement and kappa by hand: of six rows both mark one as a descriptor error, and one of them another."""
    first = read_sheet(filled)
    rows = [dict(r) for r in first.rows]
    rows[1]["descriptor"] = ""
    second = read_sheet(write(tmp_path / "second.csv", rows))
    both = agreement(first, second)
    assert both["descriptor"]["n"] == 6
    assert both["descriptor"]["agreement"] == pytest.approx(5 / 6)
    chance = (2 * 1 + 4 * 5) / 36
    assert both["descriptor"]["kappa"] == pytest.approx((5 / 6 - chance) / (1 - chance))
    assert both["misclassified"]["kappa"] == 1.0
    other = read_sheet(write(tmp_path / "other.csv", [row("z", "report", done="x")]))
    with pytest.raises(DataError, match="share no report"):
        agreement(first, other)


@pytest.mark.parametrize(
    ("cells", "said"),
    [({"misclassified": "maybe"}, "maybe"), ({"right_category": "9z"}, "9z"), ({"missed_step1": "two"}, "two")],
)
def test_cells_that_say_nothing(tmp_path: Path, cells: dict[str, str], said: str) -> None:
    """An invalid mark is reported with its row."""
    with pytest.raises(DataError, match=said) as refusal:
        read_sheet(write(tmp_path / "x.csv", [row("a", "L0", **cells)]))
    assert "row 2" in refusal.value.message


def test_files_that_are_no_sheet(tmp_path: Path) -> None:
    """A missing file and other columns are reported."""
    with pytest.raises(UsageError):
        read_sheet(tmp_path / "none.csv")
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="lacks"):
        read_sheet(tmp_path / "x.csv")
