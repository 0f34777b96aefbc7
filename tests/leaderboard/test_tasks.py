"""What readers come for, done in a real browser and counted in clicks from the front page."""

from __future__ import annotations

import http.server
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest

from harness.status import Status
from harness.store.database import Store
from leaderboard.site.build import Options, build_site

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = os.environ.get("BENCH_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.costly,
    pytest.mark.skipif(
        not CHROMIUM and not os.environ.get("BENCH_REQUIRE_BROWSER"),
        reason="chromium is not installed; install it or set BENCH_CHROMIUM",
    ),
]
AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")

#: Rows of the board: level, and level on nodules.
LEVELS = {"Alpha": (0.6, 0.2), "Beta": (0.4, 0.9), "Gamma": (0.3, 0.3), "Delta": (0.2, 0.2), "Mine 3": (0.1, 0.1)}

#: Pages of that board, one of every template.
KINDS = [
    "index.html", "tables/*-mlhc2025.html", "tables/*-miccai2026.html", "reported.html", "categories.html",
    "sizes.html", "groups.html", "distributions.html", "compare.html", "compare/*.html", "statements.html",
    "placements.html", "cost.html", "cases/index.html", "cases/*-case-0.html", "runs/index.html", "runs/run-01.html",
    "models/alpha.html", "changes.html", "methods.html", "submit.html", "downloads.html", "licences.html", "404.html",
]  # fmt: skip


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory, maker: Callable[[Store], Any]) -> Path:
    """Return the folder of a site with five rows, two splits of one data set, failures, and a row that came again."""
    home = tmp_path_factory.mktemp("home")
    with Store(home / "results.db") as store:
        bench = maker(store)
        for title, (level, nodules) in LEVELS.items():
            failures = {3: Status.TIMEOUT, 9: Status.INFRA_ERROR} if title == "Alpha" else {}
            bench.add(
                title=title, plugin=title.lower().replace(" ", "-"), level=level, level_of={"2d": nodules},
                cases=10, failures=failures, prompt="box" if title == "Delta" else "text",
            )  # fmt: skip
        bench.add(title="Alpha", plugin="alpha", split="val", fingerprint="cd" * 32, cases=2)
        bench.add(title="Mine 3", plugin="mine-3", level=0.15, level_of={"2d": 0.1}, cases=10)
        build_site(store, home / "www" / "some" / "board", Options(figures=True))
    return home / "www" / "some" / "board"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Return a browser; its loop is over before other modules start theirs."""
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-quic"])
        yield browser
        browser.close()


class Reader:
    """Somebody who begins at the front page, and whose clicks are counted; complaints of the page collect."""

    def __init__(self, browser: Any, board: Path, **look: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **look})
        self.page = self.context.new_page()
        self.faults: list[str] = []
        self.page.on("console", lambda message: self.faults.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.goto(f"{board.as_uri()}/index.html")
        self.clicks = 0

    def click(self, what: Any) -> None:
        """Click the first of what was found."""
        what.first.click()
        self.clicks += 1

    def link(self, name: str | re.Pattern[str]) -> None:
        """Click a link by its name, and wait until the page that it leads to is loaded and its scripts have run."""
        link = self.page.get_by_role("link", name=name).first
        path = link.evaluate("link => link.pathname")
        self.click(self.page.get_by_role("link", name=name))
        self.page.wait_for_url(lambda url: urlsplit(url).path == path)

    def names(self, table: str) -> list[str]:
        """Return the names of the rows of a table that are not hidden."""
        return [str(name) for name in self.page.locator(f"{table} tbody tr:visible .name").all_inner_texts()]


@pytest.fixture
def reader(browser: Any, board: Path) -> Iterator[Reader]:
    """Return a reader on the front page, who ends without a complaint of any page."""
    found = Reader(browser, board)
    yield found
    assert found.faults == []
    found.context.close()


def test_own_row(reader: Reader) -> None:
    """One click and its name: rank, scores and all other columns."""
    reader.link(re.compile("Every row of phantom-small, test"))
    reader.page.fill("#filter", "mine 3")
    assert reader.names("table[id^=rows]") == ["Mine 3"]
    assert "which a newer one replaced" in reader.page.locator(".filter output").inner_text()
    assert reader.clicks == 1


def test_best_on_nodules(reader: Reader) -> None:
    """Two clicks: the category's name puts every row in its order."""
    reader.link("Categories")
    reader.link(re.compile("^2d"))
    assert reader.names("table[id^=rows]")[:2] == ["Beta", "Gamma"]
    shown = reader.page.locator("thead th:visible").evaluate_all("heads => heads.map(head => head.dataset.key)")
    assert shown == ["rank", "model", "level", "average", "category-2d"]
    assert reader.clicks == 2


def test_is_a_better_than_b_and_how_sure(reader: Reader) -> None:
    """A click, two choices: difference, interval, p and verdict; one click more says on which findings."""
    reader.link("Compare")
    first, second = reader.page.locator(".choose select").all()[:2]
    first.select_option(label="Alpha zero-shot")
    second.select_option(label="Gamma zero-shot")
    [row] = reader.page.locator("table[id^=pairs] tbody tr:visible").all()
    assert re.search(r"\+0\.\d{3}", row.inner_text())
    assert "first is better" in row.inner_text()
    reader.click(row.get_by_role("link", name="on which findings"))
    assert "The first is better on" in reader.page.locator("#findings + p").inner_text()
    assert reader.page.locator("#by-category").is_visible()
    assert reader.page.locator("#by-size").is_visible()
    assert reader.clicks == 2


def test_ten_worst_and_why(reader: Reader) -> None:
    """Two clicks: ten findings, each with a reason, and a link to its place in its case."""
    reader.link(re.compile("run of"))
    reader.link("Worst and best findings")
    table = reader.page.locator("#worst ~ .scroll table").first
    assert table.locator("tbody tr").count() == 10
    reasons = table.locator("td.reason").all_inner_texts()
    assert all(len(reason) > 10 for reason in reasons)
    assert "it took longer than it declares (the model)" in " ".join(reasons)
    reader.click(table.locator("a"))
    reader.page.wait_for_url("**#finding-*")
    assert reader.clicks == 3


def test_what_failed_and_whose_fault(reader: Reader) -> None:
    """One click on the number of valid masks."""
    reader.link("58/60")
    section = reader.page.locator("section", has=reader.page.locator("#coverage"))
    rows = section.locator("table").first.locator("tbody tr").all_inner_texts()
    assert sorted(row.split("\t")[0] for row in rows) == ["the harness", "the model"]
    assert reader.clicks == 1


def test_cite_a_row_and_the_board(reader: Reader) -> None:
    """Three clicks to an entry for BibTeX; the board's own is a click from every page."""
    reader.link(re.compile("run of"))
    reader.link("Cite")
    reader.click(reader.page.locator("summary", has_text="BibTeX"))
    assert "@misc{run-01-2026," in reader.page.locator("#cite ~ details pre").first.inner_text()
    assert reader.clicks == 3
    reader.page.locator("footer").get_by_role("link", name="Cite").click()
    assert "@misc{board-2026," in reader.page.locator("#cite ~ pre").first.inner_text()


def test_what_changed_since_a_date(reader: Reader) -> None:
    """A click and the date, which stands in the address; a row that came again says by how much it moved."""
    reader.link("What changed")
    reader.page.fill("#since", "2026-11-05")
    rows = reader.page.locator("#changes tbody tr:visible")
    assert [text.split("\t")[0] for text in rows.all_inner_texts()] == ["2026-11-07", "2026-11-06", "2026-11-05"]
    assert "run again" in rows.first.inner_text()
    assert "since=2026-11-05" in reader.page.evaluate("location.href")
    assert reader.clicks == 1


def test_share_a_view(reader: Reader, browser: Any, board: Path) -> None:
    """Filter, order and columns are in the address, which shows a reader elsewhere the same."""
    reader.link(re.compile("Every row of phantom-small, test"))
    reader.click(reader.page.locator(".chips button[value=text]"))
    reader.click(reader.page.locator("th[data-key=average] button"))
    reader.click(reader.page.locator("th[data-key=average] button"))
    mine = reader.names("table[id^=rows]")
    assert mine[:2] == ["Mine 3", "Gamma"]
    other = Reader(browser, board)
    other.page.goto(reader.page.evaluate("location.href"))
    assert other.names("table[id^=rows]") == mine
    other.context.close()


@pytest.mark.parametrize("width", [820, 390])
def test_no_table_is_cut_and_every_page_is_accessible(browser: Any, board: Path, width: int) -> None:
    """On a tablet and a phone: no column of a score table lies out of sight, and no rule that axe knows is broken."""
    reader = Reader(browser, board, viewport={"width": width, "height": 1000})
    broken = {}
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    cut = (
        "[...document.querySelectorAll('.cards')].map(t => t.parentElement).filter(b => b.scrollWidth > b.clientWidth)"
    )
    for kind in KINDS:
        [path] = sorted(board.glob(kind))[:1]
        reader.page.goto(path.as_uri())
        reader.page.evaluate(AXE)
        rules = {"runOnly": tags, "preload": False, "resultTypes": ["violations"]}
        found = reader.page.evaluate("rules => axe.run(document, rules)", rules)["violations"]
        wrong = [(rule["id"], rule["nodes"][0]["html"][:150]) for rule in found]
        if reader.page.evaluate(f"{cut}.length"):
            wrong.append(("cut", str(reader.page.evaluate(f"{cut}.map(box => box.ariaLabel)"))))
        if wrong:
            broken[kind] = wrong
    assert broken == {}
    reader.context.close()


def test_theme_is_chosen_and_kept(reader: Reader) -> None:
    """System, light, dark: the ground changes, on other pages too, and in print it is light."""
    ground = "getComputedStyle(document.body).backgroundColor"
    button = reader.page.get_by_role("button", name="Theme")
    assert button.inner_text() == "Theme: system"
    light = reader.page.evaluate(ground)
    button.click()
    button.click()
    assert reader.page.get_by_role("button", name="Theme").inner_text() == "Theme: dark"
    dark = reader.page.evaluate(ground)
    assert dark != light
    reader.link("Methods")
    reader.page.wait_for_url("**/methods.html")  # and until it is loaded
    for _ in range(20):  # a browser writes down in its own time what a page lets it keep
        if reader.page.evaluate(ground) == dark:
            break
        reader.page.wait_for_timeout(250)
        reader.page.reload()
    assert reader.page.evaluate(ground) == dark
    reader.page.emulate_media(media="print")
    assert not reader.page.locator("nav").first.is_visible()
    assert not reader.page.locator("#theme").is_visible()


class _Host(http.server.SimpleHTTPRequestHandler):
    """Serves a folder as hosts of static pages do: with its 404 page for whatever does not exist."""

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Send the page of the site."""
        content = (Path(self.directory) / "some" / "board" / "404.html").read_bytes()
        self.send_response(code)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def test_on_a_host(browser: Any, board: Path) -> None:
    """Below folders the page for what does not exist has its look and leads back; the front page is light and fast."""
    root = board.parent.parent
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Host, directory=str(root))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        base = f"http://127.0.0.1:{server.server_address[1]}/some/board/"
        reader = Reader(browser, board)
        reader.page.goto(urljoin(base, "runs/deep/gone.html"))
        reader.page.wait_for_selector("#front[href$='/some/board/index.html']")
        assert "sans-serif" in reader.page.evaluate("getComputedStyle(document.body).fontFamily")
        reader.link("the front page")
        assert reader.page.url == f"{base}index.html"
        sizes = "performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))"
        assert reader.page.evaluate(f"{sizes}.reduce((sum, one) => sum + one.decodedBodySize, 0)") < 120_000
        ready = []
        for _ in range(3):  # a machine that does something else is not the page's
            reader.page.reload()
            ready.append(reader.page.evaluate("performance.getEntriesByType('navigation')[0].domInteractive"))
        assert min(ready) < 500
        reader.context.close()
        server.shutdown()
        thread.join()
