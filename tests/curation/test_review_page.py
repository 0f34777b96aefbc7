"""The review sheet in a real browser, opened from the disk."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from curation.review.sheet import page as sheet_page

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

expect = sync_api.expect

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
        expect(page.locator("#kept")).to_have_text("All marks kept.")
        page.reload()
        expect(page.locator("#progress")).to_have_text("1 of 3 reports done")
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


def test_marks_belong_to_one_sheet_and_windows_do_not_undo_each_other(tmp_path: Path) -> None:
    """Marks go with what was read, not with its names; what a browser cannot keep is said."""

    def sheet(text: str) -> str:
        row = {"report": "demo_2_a_1", "row": "S1", "label": "1a", "text": text, "sources": ""}
        end = {"report": "demo_2_a_1", "row": "report", "text": "the whole report"}
        texts = {"demo_2_a_1": {"findings": text, "impressions": ""}}
        columns = ["report", "row", "text", "descriptor", "false_positive", "done"]
        path = tmp_path / f"{text}.html"
        path.write_text(sheet_page({"columns": columns, "rows": [row, end], "reports": texts, "categories": {}}))
        return path.as_uri()

    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context()
        first, second = context.new_page(), context.new_page()
        for page in (first, second):
            page.goto(sheet("a nodule"))
        for page, label in ((first, "descriptor S1"), (second, "false positive S1")):
            page.get_by_label(label).check()
            expect(page.locator("#kept")).to_have_text("All marks kept.")
        first.reload()
        for label in ("descriptor S1", "false positive S1"):
            expect(first.get_by_label(label)).to_be_checked()
        first.goto(sheet("a module"))
        expect(first.get_by_label("descriptor S1")).not_to_be_checked()
        first.add_init_script("Object.defineProperty(window, 'indexedDB', { value: undefined })")
        first.reload()
        expect(first.locator("#kept")).to_contain_text("save the file before you leave")
        first.get_by_label("done report").check()
        expect(first.locator("#progress")).to_have_text("1 of 1 reports done")
        browser.close()
