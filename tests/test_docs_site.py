"""The documentation as a site, in a real browser from the disk: found by search, readable by all, alone."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "docs" / "_site"
AXE = (ROOT / "tests" / "leaderboard" / "vendor" / "axe.min.js").read_text(encoding="utf-8")
CHROMIUM = os.environ.get("BENCH_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.costly,
    pytest.mark.skipif(
        not (CHROMIUM and SITE.is_dir()) and not os.environ.get("BENCH_REQUIRE_BROWSER"),
        reason="`make docs-site` makes the site, and chromium shows it",
    ),
]
PAGES = ("docs/index", "docs/results", "docs/contract", "docs/python", "README", "search")


def test_the_site_serves_everybody_and_asks_nobody() -> None:
    """No page of six has a fault for axe; the search finds a word; nothing is asked outside the folder."""
    asked: list[str] = []
    faults: list[Any] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 800})
        page.on("request", lambda request: asked.append(request.url))
        for name in PAGES:
            page.goto((SITE / f"{name}.html").as_uri())
            page.evaluate(AXE)
            found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
            faults += [(name, fault["id"], fault["nodes"][0]["html"][:100]) for fault in found]
        page.goto((SITE / "search.html").as_uri() + "?q=fingerprint")
        page.wait_for_selector("ul.search li a")
        hits = page.locator("ul.search li a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
        browser.close()
    assert faults == []
    assert any("docs/data.html" in hit for hit in hits)
    assert not [url for url in asked if not url.startswith(("file:", "data:"))]
