"""The review sheet in a real browser, opened from the disk."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = os.environ.get("BENCH_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.costly,
    pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed; install it or set BENCH_CHROMIUM"),
]


def test_marks_survive_a_reload_and_reach_the_file(three_reports: Path, tmp_path: Path, bench: Any) -> None:
    """A reviewer marks, reloads, saves; the file holds the marks, and Table 2 can be made of it."""
    bench("run", three_reports, "--out", tmp_path / "run")
    bench("review", "sample", tmp_path / "run", "--out", tmp_path / "sheet")
    address = (tmp_path / "sheet/review.html").as_uri()
    problems: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(accept_downloads=True)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.goto(address)
        section = page.locator("section#demo_2_a_1")
        section.get_by_label("misclassified L0").check()
        section.get_by_label("right category S").first.select_option("1e")
        section.get_by_label("missed step2 report").fill("1")
        section.get_by_label("done report").check()
        page.reload()
        assert page.locator("#progress").inner_text() == "1 of 3 reports done"
        assert section.get_by_label("misclassified L0").is_checked()
        with page.expect_download() as download:
            page.get_by_role("button", name="Save review.csv").click()
        download.value.save_as(tmp_path / "saved.csv")
        browser.close()
    assert problems == []
    with (tmp_path / "saved.csv").open(encoding="utf-8-sig", newline="") as stream:
        rows = {(row["report"], row["row"]): row for row in csv.DictReader(stream)}
    assert rows["demo_2_a_1", "L0"]["misclassified"] == "x"
    assert rows["demo_2_a_1", "report"]["missed_step2"] == "1"
    result = bench("review", "report", tmp_path / "saved.csv")
    assert result.exit_code == 0, result.output
    assert "1 report done, 2 not" in result.stdout
