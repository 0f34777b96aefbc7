"""The content of the whole site, read back from its HTML."""

from __future__ import annotations

import posixpath
import re
from dataclasses import replace

import pytest

from harness.store.database import Store
from leaderboard.board.reported import read_boards
from leaderboard.site.build import ASSETS
from tests.leaderboard.pages.reading import section, whole

#: Each builds a whole board.
pytestmark = pytest.mark.costly

HOSTILE = "</td><script>alert('x')</script>\"'&{{ 7 * 7 }}\u202edesrever" + "y" * 10_000


def test_markup_is_well_formed_and_accessible(full_pages) -> None:
    """Every element is closed by itself; ids are unique, links lead to a page and a place, tables have captions."""
    site = full_pages
    ids = {path: [n.attributes["id"] for n in page.all() if "id" in n.attributes] for path, page in site.items()}
    assets = {*ASSETS, "changes.xml"} | {f"downloads/{name}" for name in ("SHA256SUMS", "board.bib", "CITATION.cff")}
    for path, page in site.items():
        if path == "404.html":
            continue
        assert len(ids[path]) == len(set(ids[path])), path
        for node in page.all():
            for name in ("href", "src"):
                target, _, place = node.attributes.get(name, "data:").partition("#")
                target = target.partition("?")[0]  # what a page is to show
                if not target.startswith("data:"):
                    found = posixpath.normpath(posixpath.join(posixpath.dirname(path), target)) if target else path
                    assert found in site.keys() | assets, f"{path} links to {found}"
                    assert not place or "=" in place or place in ids[found], f"{path} links to {found}#{place}"
        for table in page.all("table"):
            assert len(table.all("caption")) == 1
            assert all(head.attributes["scope"] in {"col", "row", "rowgroup"} for head in table.all("th"))
            width = len(table.all("thead")[0].all("th"))
            for row in table.all("tr"):
                cells = [*row.all("th"), *row.all("td")]
                assert sum(int(cell.attributes.get("colspan", 1)) for cell in cells) == width, path
        assert len(page.all("h1")) == 1
        assert page.all("html")[0].attributes["lang"] == "en"
        assert page.all("a")[0].attributes["class"] == "skip"


def test_nothing_is_loaded_from_anywhere(full_pages) -> None:
    """No page names an address outside the folder, and each forbids scripts and styles that are not its own files."""
    for path, page in full_pages.items():
        if path == "404.html":
            continue
        for node in page.all():
            assert not [name for name in node.attributes if name == "style" or name.startswith("on")], path
            for name in ("src", "href", "srcset", "data", "action"):
                assert not re.match(r"[a-z]+://|//|/", node.attributes.get(name, "")), path
        assert len(page.all("style")) == 0
        [policy] = [m.attributes["content"] for m in page.all("meta") if "http-equiv" in m.attributes]
        assert policy.startswith("default-src 'none'; style-src 'self' file:; script-src 'self' file:;")


def test_hostile_texts_are_shown_as_text(bench, store: Store, pages) -> None:
    """Markup, quotes, template code, right-to-left marks and 10 kB in any name stay text, cut where too long."""
    bench.add(
        title=HOSTILE, plugin=HOSTILE, variant=HOSTILE, plugin_version=HOSTILE, dataset=HOSTILE, split=HOSTILE,
        fingerprint=HOSTILE, engine=HOSTILE, image_id=HOSTILE, created=HOSTILE, prompt=HOSTILE,
        record={"hardware": {"cpu": HOSTILE, "cores": HOSTILE}, HOSTILE: [HOSTILE]}, text=HOSTILE, case=HOSTILE,
    )  # fmt: skip
    bench.add(rankable=False, unrankable=[HOSTILE], failures={0: HOSTILE}, title=HOSTILE, text=HOSTILE)
    site = pages(store)
    assert {len(page.all("script")) for path, page in site.items() if path != "404.html"} == {2}
    page = site["index.html"]
    shown = HOSTILE[:159] + "…"
    assert page.all("h2")[0].text == f"{shown} , {shown}"
    assert page.all("bdi", "name")[0].text == shown
    table = next(page for path, page in site.items() if path.startswith("tables/") and page.all("span", "failed"))
    assert shown in [node.text for node in table.all("td", "reason")]
    assert table.all("span", "failed")[0].text == f"{shown}: 1"
    [case] = [page for path, page in site.items() if path.startswith("cases/") and page.all("blockquote")][:1]
    assert case.all("blockquote")[0].text == HOSTILE


def test_statements_and_their_answers(bench, store: Store, pages) -> None:
    """Each in a table with its answer in every place; below, what it rests on, on which data, with intervals."""
    record = {"exposure": {"of": "none", "origin": "ours"}, "sees": {"of": "3-D", "origin": "ours"}}
    bench.add(title="Good", plugin="good", level=0.3, level_of={"2d": 0.9, "2a": 0.9}, cases=8, record=record)
    page = pages(store)["statements.html"]
    table = page.all("table")[0]
    heads = [head.text for head in table.all("thead")[0].all("th")]
    assert heads == ["Statement", "Table 4 of the paper", "phantom-small , test"]
    rows = {row.all("th")[0].text: [cell.text for cell in row.all("td")] for row in table.all("tbody")[0].all("tr")}
    assert rows["Models do better on focal findings than on non-focal ones."] == ["does not", "holds"]
    assert rows["SegVol does better than SAT on large findings."] == ["rows lacking", "rows lacking"]
    assert len(rows) == len(page.all("h3")) == len(page.all("details")) // 2
    first, second = page.all("details")[:2]
    assert "4 of 9 as stated; intervals apart for 2, apart the other way for 2" in first.text
    assert "8 cases, 48 findings: not the paper's data." in second.text
    (row,) = second.all("tbody")[0].all("tr")
    number, signed_ = r"0\.\d{3}", r"\+0\.\d{3}"
    shown = f"Good zero-shot {number} n = 24 non-focal findings {number} n = 24 {signed_} \\[{signed_} to {signed_}\\]"
    assert re.fullmatch(f"{shown} {number} as stated", row.text)


def test_cases_lead_to_their_neighbours(bench, store: Store, pages) -> None:
    """From a case one goes to the one before and the one after, on the same data set."""
    bench.add(cases=3, per_case=2)
    cases = {path: page for path, page in pages(store).items() if re.search(r"case-\d", path)}
    led = [[link.text for link in page.all("a") if "rel" in link.attributes] for page in cases.values()]
    assert led == [["Next case"], ["Previous case", "Next case"], ["Previous case"]]


def test_cases_show_text_and_every_row(bench, store: Store, pages) -> None:
    """A case's page has each finding's text and every row's Dice, best first; known answers are left out."""
    bench.add(title="bad", plugin="bad", level=0.1)
    bench.add(title="good", plugin="good", level=0.9)
    bench.add(title="oracle", plugin="oracle", level=2.0, rankable=False, unrankable=["known answer: x"])
    site = pages(store)
    [case] = [page for path, page in site.items() if path.endswith("-case-0.html")]
    assert len(case.all("blockquote")) == 6
    rows = case.all("table")[0].all("tbody")[0].all("tr")
    assert [row.all("th")[0].text for row in rows] == ["good zero-shot", "bad zero-shot"]
    spread = [float(cell.text) for cell in site["cases/index.html"].all("td", "number")[3::4]]
    assert spread == sorted(spread, reverse=True)
    assert len(spread) == 24


def test_compare_says_what_is_different(bench, store: Store, pages) -> None:
    """Every pair of ranked rows is there with difference, interval, p-values, and a verdict in words."""
    for title, level in (("c", 0.1), ("a", 0.5), ("b", 0.5)):
        bench.add(title=title, plugin=title, level=level, cases=8)
    rows = pages(store)["compare.html"].all("table")[0].all("tbody")[0].all("tr")
    verdicts = {(row.all("th")[0].text[0], row.all("td")[0].text[0]): row.all("td")[-1].text for row in rows}
    assert [row.all("td")[1].text[0] for row in rows] == ["+", "+", "+"]  # the better row is first
    assert sorted(verdicts.values()) == ["cannot be told apart", "first is better", "first is better"]
    assert {pair for pair, verdict in verdicts.items() if verdict == "first is better"} == {("a", "c"), ("b", "c")}


def test_groups_are_shown_where_they_are_known(bench, store: Store, pages) -> None:
    """The page has each group that is known of a finding, and none of which nothing is known; n adds up to all."""
    run = bench.add()
    names = [row.all("th")[0].text for row in pages(store)["groups.html"].all("tbody")[0].all("tr")]
    assert names == [
        "Text names a size: no", "Text names a side: one", "Entities: one", "Words in the text: up to 8",
    ]  # fmt: skip
    rows = store.findings(run.id)
    for place, case in enumerate(store.cases(run.id)):
        told = [replace(row, details=replace(row.details, prior=place == 0 or None)) for row in rows]
        store.save_case(run.id, case, [row for row in told if row.case == case.case])
        bench.keep_record(run)
    cells = pages(store)["groups.html"].all("tbody")[0].all("tr")[:2]
    assert [(row.all("th")[0].text, row.all("td", "number")[0].text) for row in cells] == [
        ("Refers to an earlier examination: yes", "6 in 1 case"),
        ("Refers to an earlier examination: unknown", "18 in 3 cases"),
    ]  # fmt: skip


def test_distributions_count_findings(bench, store: Store, pages) -> None:
    """Every finding is counted once by category and once by size."""
    bench.add()
    page = pages(store)["distributions.html"]
    by_category, by_size = page.all("table")
    assert sum(int(cell.text) for cell in by_category.all("td", "number")) == 24
    assert sum(int(cell.text) for cell in by_size.all("td", "number")) == 24


@pytest.mark.costly
def test_light_pages_show_the_first_rows(bench, store: Store, pages) -> None:
    """With many rows the front page shows the best ones, which nobody can sort, and links to all of them."""
    for number in range(40):
        bench.add(plugin=f"model-{number}", cases=1, created="2026-11-01T10:00:00+00:00")
    site = pages(store)
    assert len(site["index.html"].all("table")[0].all("td", "average")) == 10
    assert "The best 10 of 40 rows that could be ranked" in site["index.html"].text
    assert "sortable" not in site["index.html"].all("table")[0].attributes["class"]
    assert len(whole(site).all("td", "average")) == 40
    assert len(site["runs/index.html"].all("tbody")[0].all("tr")) == 40


def test_empty_database_says_what_to_do(store: Store, pages) -> None:
    """Without any run the page names the next command, and others still carry the paper's rows."""
    site = pages(store)
    page = site["index.html"]
    empty = section(page, "Nothing has been measured yet")
    assert "bench demo" in empty.text
    assert "bench run --plugin rules --dataset PATH --split test" in empty.text
    assert [table.attributes["id"] for table in site["reported.html"].all("table")] == [
        "table-4", *(f"table-{board.id}" for board in read_boards())
    ]  # fmt: skip
    for path in ("compare.html", "categories.html", "cases/index.html", "runs/index.html"):
        assert "Nothing has been measured yet." in site[path].text


def test_published_boards_stand_below_with_source_and_date(pages, store: Store) -> None:
    """On a page of their own; none is shown as zero-shot, and none has a rank."""
    page = pages(store)["reported.html"]
    board = section(page, "Reported elsewhere: Challenge, public half of the test")
    assert "0.365" in board.all("tbody")[0].all("tr")[1].text
    assert "2026-09-09" in board.text
    assert "commit 9043e579" in board.text
    assert not board.all("span", "zero-shot")
    assert "0.225" in section(page, "Reported elsewhere: VoxTell 1.1 on the validation").text
    assert not page.all("td", "rank")


def test_the_papers_numbers_link_to_those_that_were_measured_on_its_data(bench, store: Store, pages) -> None:
    """Under each of the five numbers of SAT's row; a run on part of the cases, or on other data, stands under none."""
    record = {"dataset": {"edition": "mlhc2025"}}
    about = {"plugin": "sat", "title": "SAT", "variant": "fine-tuned", "prompt": "text", "fine_tuned": True}
    run = bench.add(level=0.15, cases=200, per_case=1, record=record, **about)
    bench.add(level=0.3, cases=20, per_case=1, record=record, fingerprint="cd" * 32, **about)
    table = section(pages(store)["reported.html"], "Reported in the paper")
    links = [link for link in table.all("a", "sub") if link.attributes.get("href", "").startswith("runs/")]
    assert {link.attributes["href"] for link in links} == {f"runs/{run.id}.html"}
    said = [link.text for link in links]
    assert len(said) == 5
    assert said[0].startswith("here 0.1")
    assert {line.rsplit(", ", 1)[1] for line in said} <= {"inside", "below", "above"}
