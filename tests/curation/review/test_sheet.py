"""The sheet that reviewers fill in: which findings are sampled, and how they are shown."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from curation.review.sheet import choose, page
from harness.errors import DataError, UsageError


def test_a_sample_of_a_run(three_reports: Path, tmp_path: Path, bench: Any) -> None:
    """The sheet holds every rewritten sentence and abnormal finding of the drawn reports, and is never overwritten."""
    bench("run", three_reports, "--out", tmp_path / "run")
    result = bench("review", "sample", tmp_path / "run", "--out", tmp_path / "sheet", "--n", 2, "--seed", 1)
    assert result.exit_code == 0, result.output
    with (tmp_path / "sheet/review.csv").open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len({r["report"] for r in rows}) == 2
    html = (tmp_path / "sheet/review.html").read_text(encoding="utf-8")
    assert "http" not in html.replace("http-equiv", "")
    assert all(json.dumps(r["text"])[1:-1] in html for r in rows)
    again = bench("review", "sample", tmp_path / "run", "--out", tmp_path / "sheet")
    assert isinstance(again.exception, UsageError)
    report = bench("review", "report", tmp_path / "sheet/review.csv")
    assert isinstance(report.exception, DataError)


def test_no_text_becomes_a_formula(tmp_path: Path, bench: Any) -> None:
    """A report that begins like a formula is text to the reviewer's spreadsheet."""
    source = tmp_path / "r.csv"
    source.write_text('VolumeName,Findings_EN,Impressions_EN\nx_1_a,"=HYPERLINK(""x"") nodule in the lung.",\n')
    bench("run", source, "--out", tmp_path / "run")
    assert bench("review", "sample", tmp_path / "run", "--out", tmp_path / "sheet").exit_code == 0
    with (tmp_path / "sheet/review.csv").open(encoding="utf-8-sig", newline="") as stream:
        cells = [cell for r in csv.DictReader(stream) for cell in r.values()]
    assert any("HYPERLINK" in cell for cell in cells)
    assert not any(cell.startswith("=") for cell in cells)


def test_the_same_sample_whatever_the_order() -> None:
    """The draw depends on the ids and the seed alone."""
    ids = [f"r{n}" for n in range(50)]
    assert choose(ids, 10, 3) == choose(ids[::-1], 10, 3)
    assert choose(ids, 10, 3) != choose(ids, 10, 4)


def test_texts_cannot_break_the_page() -> None:
    """A report that holds markup stays text."""
    html = page({"rows": [], "x": "</script><script>alert(1)</script>\u2028"})
    assert "<script>alert" not in html
