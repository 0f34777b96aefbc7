"""The site in a real browser: offline, accessible, usable without scripts, and right down to the pixels."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.store.database import Store
from leaderboard.published.privacy import PrivacyPolicy
from leaderboard.site.build import Options, build_site
from tests.leaderboard.browsing import MARKS, only

pytestmark = MARKS

ROOT = Path(__file__).parents[2]
AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")
#: One page of every template.
KINDS = [
    "index.html", "tables/*-mlhc2025.html", "tables/*-miccai2026.html", "reported.html",
    "categories.html", "sizes.html", "groups.html", "distributions.html",
    "compare.html", "statements.html", "placements.html", "cost.html", "cases/index.html", "cases/*-case-0.html",
    "runs/index.html", "runs/run-01.html", "models/shifted.html", "methods.html",
    "submit.html", "downloads.html", "licences.html", "404.html",
]  # fmt: skip

#: Those that say most of a board that shows little.
SHORT = ["index.html", "compare.html", "statements.html", "cases/index.html", "runs/*.html"]


def test_figures_and_pictures_are_the_same_again(site: Path, scene: Any, tmp_path: Path) -> None:
    """Drawn once more, every file of the site is the same to the byte."""
    build_site(scene.store, tmp_path / "again", Options(figures=True, datasets=(scene.dataset,), runs=scene.runs))
    for path in (path for path in site.rglob("*") if path.is_file()):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(site)).read_bytes(), path
    assert len(list(site.rglob("*"))) == len(list((tmp_path / "again").rglob("*")))


@pytest.mark.parametrize("scheme", ["file", "http"])
def test_every_page_works_offline(site: Path, served: str, open_page: Any, scheme: str) -> None:
    """Every page, from a file or below a sub-path of a server: no error, and no request outside the folder."""
    base = f"{site.as_uri()}/" if scheme == "file" else served
    page = open_page(f"{base}index.html")
    for path in sorted(site.rglob("*.html")):
        page.goto(base + path.relative_to(site).as_posix())
        page.wait_for_load_state("load")
    assert page.faults == []
    outside = {url for url in page.requested if not url.startswith((base, "data:")) and not url.endswith("favicon.ico")}
    assert not outside
    assert len(page.requested) > len(list(site.rglob("*.html")))


def violations(page: Any, site: Path, kinds: list[str]) -> dict[str, list[Any]]:
    """Return, by page, the rules of WCAG 2 A and AA that axe finds broken, and whether it scrolls sideways."""
    broken: dict[str, list[Any]] = {}
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
    rules = {"runOnly": tags, "preload": False, "resultTypes": ["violations"]}
    for kind in kinds:
        page.goto(f"{site.as_uri()}/{only(site, kind)}")
        page.evaluate(AXE)
        found = page.evaluate("rules => axe.run(document, rules)", rules)["violations"]
        if found:
            broken[kind] = [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in found]
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            broken[kind] = [*broken.get(kind, []), "scrolls sideways"]
    return broken


@pytest.mark.parametrize(
    "look",
    [{"color_scheme": "light"}, {"color_scheme": "dark"}, {"viewport": {"width": 390, "height": 844}}],
    ids=["light", "dark", "phone"],
)
def test_accessible(site: Path, open_page: Any, look: dict[str, Any]) -> None:
    """No rule of WCAG 2 A and AA that axe knows is broken on any kind of page; on a phone nothing scrolls sideways."""
    page = open_page(f"{site.as_uri()}/index.html", **look)
    assert not violations(page, site, KINDS)


@pytest.mark.parametrize("board", ["empty", "closed"])
def test_boards_that_show_little_are_accessible(
    scene: Any, store: Store, tmp_path: Path, open_page: Any, board: str
) -> None:
    """Without any run, and with a split whose cases are private, the pages are accessible and say so."""
    if board == "empty":
        build_site(store, tmp_path / "site", Options(figures=True))
        said = {"index.html": "Nothing has been measured yet", "compare.html": "Nothing has been measured yet"}
    else:
        build_site(scene.store, tmp_path / "site", Options(policy=PrivacyPolicy(public=True), figures=True))
        said = {
            "index.html": "kept private",
            "cases/index.html": "kept private",
            "runs/run-01.html": "too few findings",
        }
    page = open_page("about:blank", viewport={"width": 390, "height": 844})
    assert not violations(page, tmp_path / "site", SHORT)
    for path, words in said.items():
        page.goto(f"{(tmp_path / 'site').as_uri()}/{path}")
        assert words in page.locator("main").inner_text(), path
    assert page.faults == []


def test_without_javascript(site: Path, open_page: Any) -> None:
    """Tables, figures, pictures and links are there without any script; controls that need one are not."""
    base = site.as_uri()
    page = open_page(f"{base}/index.html", java_script_enabled=False)
    page.get_by_role("link", name="Every row").first.click()
    assert page.locator("table tbody tr").count() > 3
    assert not page.locator("#filter").is_visible()
    page.get_by_role("link", name="Categories").click()
    assert page.locator("figure svg").first.is_visible()
    assert page.locator("table.categories tbody tr").count() == 14
    page.goto(f"{base}/{only(site, 'cases/*-case-0.html')}")
    assert page.locator(".panel img").count() == 4
    assert page.locator(".viewer").first.is_hidden()


def column(page: Any, key: str) -> list[str]:
    """Return the first words of a column of the full table, top to bottom, group by group, without hidden rows."""
    script = """key => { const table = document.querySelector('table[id^=rows]');
      const at = [...table.tHead.rows[0].cells].findIndex(cell => cell.dataset.key === key);
      return [...table.querySelectorAll('tbody tr')].filter(row => row.cells.length > 1 && !row.hidden)
        .map(row => row.cells[at].innerText.split('\\n')[0]); }"""
    return [str(text) for text in page.evaluate(script, key)]


def whole(site: Path) -> str:
    """Return the address of the page with every row, under the metrics of the paper."""
    return f"{site.as_uri()}/{only(site, 'tables/*-mlhc2025.html')}"


def in_time(page: Any, look: Callable[[], Any], wanted: Any) -> Any:
    """Return what `look` sees once that is `wanted`, or in the end: a page hears of a new address a little later."""
    until = time.monotonic() + 10
    while (seen := look()) != wanted and time.monotonic() < until:
        page.wait_for_timeout(20)
    return seen


def test_sort_filter_link_and_back(site: Path, open_page: Any) -> None:
    """Sorting and filtering are in the address: it can be opened elsewhere, and the back button undoes them."""
    page = open_page(whole(site))
    at_first = column(page, "model")
    assert at_first[:3] == ["Shifted", "Weak", "Boxes"]
    head = page.locator("table[id^=rows] th[data-key=model] button")
    head.click()
    head.click()
    assert column(page, "model")[:3] == ["Weak", "Shifted", "Boxes"]  # descending inside each group
    assert page.locator("th[aria-sort=descending]").count() == 1
    link = page.evaluate("location.href")
    page.go_back()
    page.go_back()
    assert in_time(page, lambda: column(page, "model"), at_first) == at_first
    assert page.locator("th[aria-sort]").count() == 0
    page.fill("#filter", "weak")
    assert column(page, "model") == ["Weak"]
    assert page.locator(".filter output").inner_text() == f"1 of {len(at_first)} rows"
    assert "q=weak" in page.evaluate("location.href")
    page.get_by_role("button", name="Show all rows").click()
    assert column(page, "model") == at_first
    assert column(open_page(link), "model")[:3] == ["Weak", "Shifted", "Boxes"]
    filtered = open_page(f"{whole(site)}#q=box%20boxes")
    assert column(filtered, "model") == ["Boxes"]
    assert filtered.locator("#filter").input_value() == "box boxes"


def test_rows_are_chosen_by_chips_and_names(bench: Any, store: Store, tmp_path: Path, open_page: Any) -> None:
    """Chips of one property add up, those of several exclude; numbers match nothing; every choice is in the address."""
    for number, (use, sees) in enumerate((("yes", "3-D"), ("no", "3-D"), ("unknown", "2-D"), ("yes", "2-D")), 1):
        licences = {"code": "MIT", "sources": {}, "weights": {}, "commercial": use}
        bench.add(
            plugin=f"m{number}", title=f"Model {number}", prompt="box" if number == 4 else "text", level=0.3,
            record={"licences": licences, "sees": {"of": sees}}, created=f"202{number}-01-01T10:00:00+00:00",
        )  # fmt: skip
    bench.add(plugin="m1", title="Model 1", created="2026-02-01T10:00:00+00:00")
    build_site(store, tmp_path / "site")
    page = open_page(whole(tmp_path / "site"))
    every = {"Model 1", "Model 2", "Model 3", "Model 4"}
    assert set(column(page, "model")) == every
    titles = [legend.inner_text() for legend in page.locator(".chips legend").all()]
    assert titles == ["Prompt", "Licence", "Sees", "Year"]
    page.get_by_role("button", name="2-D").click()
    assert set(column(page, "model")) == {"Model 3", "Model 4"}
    assert page.locator("tr.group:visible").count() == 2
    page.get_by_role("button", name="not known 2").click()
    assert column(page, "model") == ["Model 3"]
    said = page.locator(".filter output").inner_text()
    assert said == "1 of 4 rows; 1 earlier run, which a newer one replaced, is under Runs"
    page.get_by_role("button", name="commercial use allowed").click()
    assert set(column(page, "model")) == {"Model 3", "Model 4"}
    assert "sees=2-D&use=yes%2Cunknown" in page.evaluate("location.href")
    elsewhere = open_page(page.evaluate("location.href"))
    assert set(column(elsewhere, "model")) == {"Model 3", "Model 4"}
    elsewhere.fill("#filter", "model 3")
    assert column(elsewhere, "model") == ["Model 3"]
    elsewhere.fill("#filter", "0.3")
    assert column(elsewhere, "model") == []
    elsewhere.get_by_role("button", name="Show all rows").click()
    assert set(column(elsewhere, "model")) == every
    assert page.faults == elsewhere.faults == []


def test_columns_are_chosen(bench: Any, store: Store, tmp_path: Path, open_page: Any) -> None:
    """At first the scores; a category is one click away, is in the address, and sorts."""
    for title, level in (("a", 0.5), ("b", 0.4)):
        bench.add(title=title, plugin=title, level_of={"2d": 0.9 - level}, level=level)
    build_site(store, tmp_path / "site")
    page = open_page(whole(tmp_path / "site"))
    heads = "() => [...document.querySelectorAll('thead th')].filter(h => !h.hidden).map(h => h.dataset.key)"
    at_first = page.evaluate(heads)
    assert [key for key in at_first if key.startswith(("category", "size"))] == []
    page.locator("summary", has_text="Columns").click()
    page.get_by_role("checkbox", name="2d").check()
    assert "category-2d" in page.evaluate(heads)
    page.get_by_role("checkbox", name="share of findings with a Dice above 0.05").uncheck()
    page.locator("th[data-key=category-2d] button").click()
    elsewhere = open_page(page.evaluate("location.href"))
    assert "hit5" not in elsewhere.evaluate(heads)
    assert column(elsewhere, "model") == ["b", "a"]
    assert page.faults == elsewhere.faults == []


def test_any_two_rows_are_picked(
    bench: Any, store: Store, tmp_path: Path, open_page: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two rows are picked by name, which is in the address; a pair beyond the best leads to a run's own page."""
    monkeypatch.setattr("leaderboard.pages.pages.PAIRED", 3)
    for name, level in (("a", 0.8), ("b", 0.6), ("c", 0.4), ("d", 0.1)):
        bench.add(plugin=name, title=name, level=level, variant="v", cases=8)
    build_site(store, tmp_path / "site")
    page = open_page(f"{(tmp_path / 'site').as_uri()}/compare.html")
    shown = (
        "() => [...document.querySelectorAll('tbody tr[data-pair]')].filter(r => !r.hidden).map(r => r.dataset.pair)"
    )
    first, second = page.locator(".choose select").all()
    assert len(page.evaluate(shown)) == 3
    first.select_option(label="c v")
    both = ["run-01 run-03", "run-02 run-03"]
    assert in_time(page, lambda: page.evaluate(shown), both) == both
    second.select_option(label="a v")
    assert in_time(page, lambda: page.evaluate(shown), ["run-01 run-03"]) == ["run-01 run-03"]
    elsewhere = open_page(page.evaluate("location.href"))
    assert in_time(elsewhere, lambda: elsewhere.evaluate(shown), ["run-01 run-03"]) == ["run-01 run-03"]
    second.select_option(label="d v")
    assert in_time(page, lambda: page.evaluate(shown), []) == []
    page.get_by_role("link", name="beyond the best rows").click()
    page.wait_for_url("**/runs/run-03.html#against")
    assert page.locator("#pairs tbody tr").count() == 3
    page.go_back()
    page.go_back()
    assert in_time(page, lambda: page.evaluate(shown), ["run-01 run-03"]) == ["run-01 run-03"]
    assert page.faults == elsewhere.faults == []


def test_findings_are_put_in_order(site: Path, open_page: Any) -> None:
    """The worst, the best and the most disputed findings are a click away from the whole list in that order."""
    page = open_page(f"{site.as_uri()}/cases/index.html")
    heads = [head.inner_text() for head in page.locator(".columns h3").all()]
    assert heads == ["Most disputed", "Worst", "Best"]
    for place, (key, sign) in enumerate((("spread", -1), ("mean", 1), ("mean", -1))):
        page.locator("a.order").nth(place).click()
        way = "ascending" if sign > 0 else "descending"
        page.locator(f"table.findings th[data-key={key}][aria-sort={way}]").wait_for()
        cells = f"td:nth-child({7 if key == 'spread' else 4})"
        values = [float(text) * sign for text in page.locator(f"table.findings {cells}").all_inner_texts()]
        assert values == sorted(values)
    page.fill("#filter", "case-1")
    assert page.locator("table.findings tbody tr:visible").count() == 2


def test_sort_works_from_the_keyboard(site: Path, open_page: Any) -> None:
    """A heading is a button: focus and Enter sort."""
    page = open_page(whole(site))
    page.locator("table[id^=rows] th[data-key=average] button").focus()
    page.keyboard.press("Enter")
    values = [float(text) for text in column(page, "average")[:2]]
    assert values == sorted(values, reverse=True)


HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'\u202e" + "y" * 10_000


def test_hostile_texts_do_nothing(bench: Any, store: Store, tmp_path: Path, open_page: Any) -> None:
    """Names and texts with markup run nothing and load nothing on any page, figures included."""
    for plugin in ("a", "b"):
        bench.add(title=HOSTILE, plugin=plugin + HOSTILE, variant=HOSTILE, dataset=HOSTILE, text=HOSTILE, case=HOSTILE)
    out = tmp_path / "site"
    build_site(store, out, Options(figures=True))
    page = open_page(f"{out.as_uri()}/index.html", viewport={"width": 390, "height": 844})
    dialogs = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    for path in sorted(out.rglob("*.html")):
        page.goto(path.as_uri())
        assert not page.evaluate("document.documentElement.scrollWidth > innerWidth"), path
    assert dialogs == []
    assert page.faults == []
    assert all(url.startswith((out.as_uri(), "data:")) for url in page.requested)


@pytest.mark.slow
def test_pictures_for_the_documentation(tmp_path: Path, open_page: Any) -> None:
    """The demonstration's pages as the documentation shows them: wide, dark, on a tablet and a phone, in print.

    They are written to ``docs/img`` where GROUNDBENCH_WRITE_IMAGES is set.
    """
    command = [sys.executable, "-m", "harness", "--home", str(tmp_path / "home")]
    subprocess.run([*command, "demo", "--engine", "local"], check=True, cwd=ROOT)
    site = ["--out", str(tmp_path / "site"), "--cases", "public", "--dataset", "phantom"]
    subprocess.run([*command, "leaderboard", "build", *site], check=True, cwd=ROOT)
    folder = ROOT / "docs" / "img" if os.environ.get("GROUNDBENCH_WRITE_IMAGES") else tmp_path
    case, table = (only(tmp_path / "site", kind) for kind in ("cases/*phantom_1_a_1.html", "tables/*-mlhc2025.html"))
    run = only(tmp_path / "site", "runs/rules*.html")
    for name, path, width, height, look in (
        ("board-index", "index.html", 1200, 1000, {}),
        ("board-case", f"{case}#view=1&show=errors", 1200, 1100, {}),
        ("board-compare", "compare.html", 1200, 1180, {}),
        ("board-dark", table, 1200, 900, {"color_scheme": "dark"}),
        ("board-tablet", table, 820, 1100, {}),
        ("board-phone", table, 390, 1100, {}),
        ("board-print", run, 800, 1100, {}),
    ):
        page = open_page(f"{(tmp_path / 'site').as_uri()}/{path}", viewport={"width": width, "height": height}, **look)
        page.wait_for_load_state("networkidle")
        if name == "board-print":
            page.emulate_media(media="print")
        page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")  # it is painted
        page.screenshot(path=folder / f"{name}.png")
        assert page.faults == []


def test_index_is_interactive_at_once(site: Path, served: str, open_page: Any) -> None:
    """The front page is ready in less than half a second."""
    page = open_page(f"{served}index.html")
    ready = []
    for _ in range(3):  # a machine that does something else is not the page's
        page.reload()
        ready.append(page.evaluate("performance.getEntriesByType('navigation')[0].domInteractive"))
    assert min(ready) < 500
