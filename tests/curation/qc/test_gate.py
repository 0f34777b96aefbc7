"""Verdicts are read as spreadsheets save them, belong to one mask, and are never lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from curation.qc.gate import Row, mask_digest, read_sheet, row_of, verdicts, waiting, write_sheet
from curation.qc.report import Checked
from harness.dataset.problems import DataProblem, Level
from harness.errors import DataError


def checked(*levels: Level) -> Checked:
    """Return a finding with problems of these levels."""
    problems = tuple(DataProblem(level, "size", "x", "too much", "look") for level in levels)
    return Checked("c", "test", "0", "=Nodule", "2d", problems, ())


def test_what_waits() -> None:
    """Problems of the gate's level and above need a verdict; `every` asks for one of each."""
    rows = [
        (row_of("c", f"0-{n}", "m", item), item)
        for n, item in enumerate((checked(), checked(Level.INFO), checked(Level.WARNING), checked(Level.ERROR)))
    ]
    asked = {gate: len(waiting(rows, {}, gate)) for gate in ("none", "error", "warning", "every")}
    assert asked == {"none": 0, "error": 1, "warning": 2, "every": 4}
    assert len(waiting(rows, {("c", "0-3", "m"): "accept", ("c", "0-2", "other"): "accept"}, "warning")) == 1
    assert rows[0][0].text == "'=Nodule"


def test_a_sheet_keeps_what_was_filled_in(tmp_path: Path) -> None:
    """Written again, it has every verdict: beside its mask, or as a row of its own where the mask has changed."""
    path = tmp_path / "review.csv"
    write_sheet(path, [Row("c", "0-a", "m", "2d", "t", ""), Row("c", "1-b", "m", "2d", "t", "error x")])
    rows = read_sheet(path)
    assert [row.finding for row in rows] == ["1-b", "0-a"]
    text = path.read_text(encoding="utf-8-sig").replace(",", ";").splitlines()
    path.write_text("\n".join(line.replace("error x;;;", "error x;Reject;R. N.;Größe") for line in text), "cp1254")
    assert verdicts(read_sheet(path)) == {("c", "1-b", "m"): "reject"}
    write_sheet(path, [Row("c", "0-a", "m", "2d", "t", ""), Row("c", "1-b", "new", "2d", "t", "")])
    rows = read_sheet(path)
    assert [(row.mask, row.verdict, row.note) for row in rows] == [
        ("m", "", ""),
        ("new", "", ""),
        ("m", "Reject", "Größe"),
    ]


@pytest.mark.parametrize("rows", ["c;0-a;m;;;;maybe", "c;0-a;m;;;;accept\nc;0-a;m;;;;reject"])
def test_sheets_that_say_nothing_clear(tmp_path: Path, rows: str) -> None:
    """Another word, or both of one mask, are refused; and a table of other columns."""
    path = tmp_path / "review.csv"
    path.write_text(f"case;finding;mask;category;text;problems;verdict\n{rows}\n")
    with pytest.raises(DataError):
        read_sheet(path)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="lacks the columns"):
        read_sheet(path)


def test_the_digest_is_of_the_voxels() -> None:
    """Equal voxels in another memory order are the same mask."""
    labels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    assert mask_digest(labels) == mask_digest(np.asfortranarray(labels)) != mask_digest(labels + 1)
