"""The content of the page, read back from its HTML."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from dataclasses import replace

import pytest

from harness.categories import CATEGORIES
from harness.status import Status
from harness.store.database import Store
from leaderboard.board.board import Score, read_board
from leaderboard.board.columns import SIZES
from leaderboard.board.comparisons import conclusion, turned
from leaderboard.board.reported import read_boards, read_reported
from leaderboard.pages.page import (
    common_basis,
    file_name,
    probability,
    readable_bytes,
    readable_seconds,
    readable_size,
    scale_of,
    short_digest,
    signed,
    three_decimals,
    whisker,
)
from leaderboard.pages.run_page import at_a_glance
from leaderboard.published.database import Pair
from leaderboard.published.export import export
from leaderboard.published.privacy import PrivacyPolicy
from leaderboard.site.build import ASSETS

#: Each builds a whole board.
pytestmark = pytest.mark.costly


def section(page, title: str):
    found, *_ = [node for node in page.all("section") if node.all("h2")[0].text.startswith(title)]
    return found


def whole(site, names: str = "", profile: str = "mlhc2025"):
    """Return the page with every row of the first data set, or of that of these names, under a profile."""
    pages = [page for path, page in site.items() if path.startswith("tables/") and path.endswith(f"-{profile}.html")]
    return next(page for page in pages if names in page.all("h1")[0].text)


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


HOSTILE = "</td><script>alert('x')</script>\"'&{{ 7 * 7 }}\u202edesrever" + "y" * 10_000


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


def kinds_of(table) -> set[str]:
    return {re.sub(r" run of .*", "", cell.text) for cell in table.all("td", "kind")}


def test_measured_and_reported_rows_never_share_a_table(full_pages) -> None:
    """Every row says its kind in words, and the paper's rows have their own table and section."""
    tables = [kinds_of(table) for path, page in full_pages.items() if path == "reported.html" or "tables/" in path
              for table in page.all("table")]  # fmt: skip
    kinds = Counter(frozenset(found) for found in tables if found)
    here = frozenset({"Measured here"})
    assert kinds == {here: 2, here | {"Masks made elsewhere"}: 2, frozenset({"Reported"}): 1 + len(read_boards())}
    assert not [cell for table in full_pages["index.html"].all("table") for cell in kinds_of(table) - here]
    paper = section(full_pages["reported.html"], "Reported in the paper")
    assert "The authors scored these rows themselves, on the test split of their paper." in paper.text
    assert "is inferred" in paper.text
    assert len(paper.all("td", "kind")) == 10


def test_groups_and_zero_shot_rows_are_marked_in_words(full_pages) -> None:
    """Text-only rows are above box-prompted ones, each under its heading; zero-shot is a word, not a colour."""
    [table] = whole(full_pages, "phantom-small").all("table")
    groups = {body.all("th")[0].text: [name.text for name in body.all("bdi", "name")] for body in table.all("tbody")}
    assert groups == {
        "Text-only": ["Rules", "VoxTell", "SAT"],
        "Box-prompted: boxes made from the ground truth": ["MedSAM2"],
        "Not ranked": ["A lab's masks", "Oracle", "Rules", "SAT", "BiomedParse"],
    }
    rows = [row for row in reversed(table.all("tr")) if row.all("bdi", "name")]
    tags = {row.all("bdi", "name")[0].text: [tag.text for tag in row.all("span", "tag")] for row in rows}
    assert tags["SAT"] == ["fine-tuned"]
    assert tags["VoxTell"] == ["zero-shot", "structured text"]
    assert tags["MedSAM2"] == ["zero-shot", "box-prompted"]
    assert tags["A lab's masks"] == ["training not stated"]


def test_cells_show_value_interval_and_n(bench, store: Store, pages) -> None:
    """A score has three decimals and its interval; n is given once in the head, or in each cell where rows differ."""
    run = bench.add(level=2.0, plugin="oracle")
    table = pages(store)["index.html"].all("table")[0]
    heads = [head.text for head in table.all("thead")[0].all("th")]
    assert heads == [
        "Rank",
        "Model",
        "Level",
        "Average ↑ n = 24 in 4 cases",
        "Non-focal ↑ n = 12 in 3 cases",
        "Focal ↑ n = 12 in 3 cases",
        "HIT5 ↑ n = 24 in 4 cases",
        "HIT10 ↑ n = 24 in 4 cases",
        "Seconds a case ↓",
        "Peak memory ↓",
        "Valid masks",
        "Licence commercial use",
    ]
    shown = [cell.text for cell in table.all("td", "number")]
    # Means of equal values have no interval; shares have Wilson's, whose lower end for 24 of 24 is 24 / (24 + 1.96²).
    assert shown == ["\N{EM DASH}", *["1.000"] * 5, "4.5", "950 MB GPU", "24/24"]
    bench.add(plugin="other", cases=2, dataset=run.dataset)
    table = pages(store)["index.html"].all("table")[0]
    assert "Average ↑" in [head.text for head in table.all("thead")[0].all("th")]
    assert [cell.all("span", "n")[0].text for cell in table.all("td", "average")] == [
        "n = 24 in 4 cases",
        "n = 12 in 2 cases",
    ]


def test_failures_stand_beside_the_score(bench, store: Store, pages) -> None:
    """Coverage names what went wrong in words."""
    bench.add(failures={0: Status.TIMEOUT, 1: Status.PLUGIN_ERROR, 2: Status.PLUGIN_ERROR})
    assert pages(store)["index.html"].all("td", "coverage")[0].text == "21/24 plugin error: 2 timeout: 1"


def test_submitted_rows_claim_nothing(bench, store: Store, pages) -> None:
    """Of masks made elsewhere, the page says that neither their training nor their prompt was stated."""
    bench.add(kind="submitted", prompt="", engine="", image_id="", record={}, timing={})
    table = pages(store)["index.html"].all("table")[0]
    assert [tag.text for tag in table.all("span", "tag")] == ["training not stated", "prompt not stated"]


def test_masks_under_a_plugins_name_are_not_on_its_page(bench, store: Store, pages) -> None:
    """Who submits masks under the name of a plugin that is installed gets a page apart, and everybody another."""
    bench.add(plugin="rules")
    for who in ("A lab", "B lab", "B lab"):
        card = {"who": who, "prompt": "text", "trained_on": []}
        bench.add(plugin="rules", kind="submitted", plan={"kind": "submitted", "card": card, "number": bench.added})
    site = pages(store)
    links = {
        name: " ".join(link.attributes.get("href", "") for link in page.all("a"))
        for name, page in site.items()
        if name.startswith("models/")
    }
    runs = {name: sorted(set(re.findall(r"run-0\d", found))) for name, found in links.items()}
    assert runs.pop("models/rules.html") == ["run-01"]
    assert sorted(runs.values()) == [["run-02"], ["run-03", "run-04"]]


def test_what_a_model_sees_stands_with_its_name(bench, store: Store, pages) -> None:
    """As its run recorded it, on its own page with the origin; nothing where nobody has said."""
    bench.add(plugin="a", record={"sees": {"of": "3-D", "origin": "paper, section 5.1"}})
    bench.add(plugin="b")
    site = pages(store)
    rows = [row for row in whole(site).all("table")[0].all("tr") if row.all("bdi", "name")]
    assert [[said.text for said in row.all("span", "sees")] for row in rows] == [["sees 3-D"], []]
    assert [row.attributes["data-sees"] for row in rows] == ["3-D", "unknown"]
    assert "Sees of a CT at once 3-D ( paper, section 5.1 )" in site["runs/run-01.html"].text
    assert "Sees of a CT" not in site["runs/run-02.html"].text
    reported = section(site["reported.html"], "Reported in the paper").all("span", "sees")
    assert [said.text for said in reported].count("sees 3-D") == 5


def test_ranks_are_ranges_or_not_there(bench, store: Store, pages) -> None:
    """Two rows of one level are first or second, the third is third; of four cases none has a rank, and why is said."""
    for title, level in (("c", 0.1), ("a", 0.5), ("b", 0.5)):
        bench.add(title=title, plugin=title, level=level, cases=8)
        bench.add(title=title, plugin=title, level=level, cases=4, dataset="few", fingerprint="cd" * 32)
    site = pages(store)
    ranked, small = ([cell.text for cell in whole(site, name).all("td", "rank")] for name in ("phantom-small", "few"))
    assert ranked == ["1\N{EN DASH}2 of 3", "1\N{EN DASH}2 of 3", "3 of 3"]
    assert small == ["\N{EM DASH}"] * 3
    reason = "6 or more cases are needed to tell rows apart; there are 4"
    assert site["index.html"].text.count(f"No ranks: {reason}.") == 1
    assert f"No ranks: {reason}." in whole(site, "few").text
    assert f"No verdict, interval or rank: {reason}." in site["compare.html"].text
    assert f"Rank none: {reason}" in site["runs/run-02.html"].text
    assert {row.all("td")[-1].text for row in site["compare.html"].all("table", "filtered")[1].all("tr")[1:]} == {
        "too few cases to tell"
    }


@pytest.mark.parametrize("gain", [0.0, 0.01, 0.02, 0.03, 0.2])
def test_no_interval_without_0_stands_beside_cannot_be_told(bench, store: Store, pages, gain: float) -> None:
    """On every page with differences, the interval leaves out 0 exactly where the verdict names the better row."""
    for number in range(6):
        bench.add(title=f"m{number}", plugin=f"m{number}", level=0.3 + gain * number, cases=9)
    site, seen = pages(store), 0
    tables = [site["compare.html"].all("table", "filtered")[0]]
    tables += [
        table for path, page in site.items() for table in page.all("table") if table.attributes.get("id") == "pairs"
    ]
    assert len(tables) == 7
    for row in (row for table in tables for row in table.all("tbody")[0].all("tr")):
        (interval,) = row.all("span", "ci")
        low, high = (float(end.replace("\N{MINUS SIGN}", "-")) for end in interval.text.strip("[]").split(" to "))
        outside = low > 0 or high < 0
        assert ("better" in row.all("td")[-1].text) == outside or 0 in (low, high)
        seen += 1
    assert seen == 45


def test_missing_numbers_are_dashes(bench, store: Store, pages) -> None:
    """A category without findings, a run without metrics or figures: a dash, never 0.000."""
    bench.add(title="none", scored=False, timing={}, record={"dataset": {}}, image_id="", engine="")
    site = pages(store)
    assert {cell.text for cell in site["index.html"].all("table")[0].all("td", "number")[:8]} == {"—"}
    [row] = site["cost.html"].all("tbody")[0].all("tr")
    assert row.text.startswith("none model · zero-shot · 1.0.0 — — not reported — — — — —")
    bench.add(title="scored", plugin="scored")
    site = pages(store)
    [row] = [row for row in site["categories.html"].all("tr") if "Honeycombing" in row.text]
    assert row.text == "2f Honeycombing 0 — —"
    assert "0.000" not in site["index.html"].all("main")[0].all("section")[0].text


def test_group_without_findings_is_a_dash(bench, store: Store, pages) -> None:
    """Where a split holds no focal finding, the column says n = 0 and every cell is a dash."""
    bench.add(absent=tuple(code for code in CATEGORIES if code != "1c"))
    table = pages(store)["index.html"].all("table")[0]
    assert table.all("thead")[0].all("th")[5].text == "Focal ↑ n = 0"
    assert table.all("td", "focal")[0].text == "—"


def test_unranked_runs_give_their_reason(full_pages) -> None:
    """Known answers, partial runs and the like stand below the rankings, each with its reason."""
    *ranked, apart = whole(full_pages, "phantom-small").all("tbody")
    assert not [cell.text for body in ranked for cell in body.all("td", "reason") if cell.text]
    assert [cell.text for cell in apart.all("td", "reason")] == [
        "training not stated: its card does not say whether it was trained on this data",
        "known answer: it reads the truth",
        "partial: only 2 cases",
        "random weights",
        "interrupted: 3 of 3 cases scored",
    ]


def test_cost_and_provenance(bench, store: Store, pages) -> None:
    """Each run shows time, memory, hardware, engine, image, id and date; its page shows all that is known."""
    run = bench.add(title="SAT", plugin="sat", level=2.0)
    site = pages(store)
    assert site["cost.html"].all("tbody")[0].all("tr")[0].text == (
        "SAT sat · zero-shot · 1.0.0 1.000 4.5 3.2, 12.5 not reported 2.5 GB 1.5 GB 950 MB 825 MB "
        "2 x NVIDIA H200 docker 0123456789ab run-01 2026-11-01"
    )
    text = site[f"runs/{run.id}.html"].text
    glance = site[f"runs/{run.id}.html"].all("dl", "glance")[0].text
    assert glance == (
        "Average Dice 1.000 n 24 findings of 4 cases "
        "Rank none: 6 or more cases are needed to tell rows apart; there are 4 Valid masks 24/24 "
        "Seconds a case 4.5 Peak GPU memory 950 MB"
    )
    assert run.image_id in text
    assert "AMD EPYC 9654" in text
    assert "a case by the model's events, median 3.2 s" in text


def test_a_claim_is_never_shown_for_a_measurement(bench, store: Store, pages) -> None:
    """A row that claims no time and one byte, and was not measured, has a dash where others have a figure."""
    claims = {"case_median_s": 0.0, "case_p95_s": 0.0, "peak_host_bytes": 1, "peak_device_bytes": 1}
    bench.add(title="forger", plugin="forger", timing=claims)
    site = pages(store)
    cells = [cell for cell in site["index.html"].all("table")[0].all("td") if "data-label" in cell.attributes]
    shown = {cell.attributes["data-label"]: cell.text for cell in cells}
    assert (shown["Seconds a case"], shown["Peak memory"]) == ("—", "—")
    assert "Seconds a case" not in site["runs/run-01.html"].all("dl", "glance")[0].text
    bench.add(
        title="measured", plugin="measured", timing={**claims, "cases_per_hour": 360.0, "peak_container_bytes": 10**9}
    )
    text = pages(store)["cost.html"].text
    assert "10.0 < 0.01, < 0.01 not reported 1.0 GB 0 kB — 0 kB" in text


def test_what_a_model_tells_of_its_seconds_stands_beside_those_of_the_case(bench, store: Store, pages) -> None:
    """On the cost page and on the run's own, with what the driver says of the GPU; named as the model's word."""
    told = {"told_compute_s": 2.5, "told_compute_p95_s": 4.0, "told_wait_s": 0.25, "told_read_s": 1.0}
    run = bench.add(timing={"case_wall_s": 3.0, "gpu_busy_share": 0.62, **told})
    site = pages(store)
    (row,) = (row for row in site["cost.html"].all("tr") if run.id in row.text)
    (told_cell,) = (cell for cell in row.all("td") if cell.attributes.get("data-label", "").startswith("Computing"))
    assert told_cell.text == "2.5 4.0; 0.25"
    assert "busy 62%" in row.text
    page = site[f"runs/{run.id}.html"].text
    assert "computing a case, the model's word, median 2.5 s" in page
    assert "the GPU computes, as the driver counts it 62%" in page


def test_run_names_its_metrics_and_groups(bench, store: Store, pages) -> None:
    """Metrics and groups of a run are in a fixed order under the names that readers know, not the stored ones."""
    run = bench.add()
    paper, challenge = pages(store)[f"runs/{run.id}.html"].all("table")[:2]
    heads = [[head.text for head in table.all("thead")[0].all("th")] for table in (paper, challenge)]
    assert heads[0] == ["Group", "n", "Dice", "HIT5", "HIT10"]
    assert heads[1][2:6] == ["Dice", "Dice, unfiltered", "Hit rate", "Instance F1"]
    groups = [head.text for head in paper.all("tbody")[0].all("th")]
    assert groups[:5] == ["All findings", "Non-focal", "Focal", "Mean over cases", "1a Bronchial wall thickening"]
    first = groups.index(SIZES["small"])
    assert groups[first : first + 3] == list(SIZES.values())
    assert groups[first + 3 :] == [
        "Text names a size: no", "Text names a side: one", "Entities: one", "Words in the text: up to 8",
    ]  # fmt: skip


def test_origin_at_a_glance(bench, store: Store) -> None:
    """What was recorded of a run's origin is shown in a few words; a record of another form breaks nothing."""
    bench.add(
        plugin="a",
        plan={"seed": 7, "scorer": 2, "weights": {"mode": "pinned", "files": {"model.pt": "ab"}}},
        record={
            "engine": {"engine": "docker", "version": "20.10", "isolates": True},
            "harness": {"groundbench": "0.1.0", "commit": "c" * 40, "modified": True},
        },
    )
    bench.add(plugin="b", plan={"weights": 3}, record={"engine": "x", "harness": []}, image_id="")
    full, strange = sorted(read_board(export(store, PrivacyPolicy()))[0].ranked, key=lambda row: row.run.plugin)
    assert dict(at_a_glance(full)) == {
        "Plugin": "a 1.0.0",
        "Image": "0123456789ab",
        "Engine": "docker 20.10, isolated",
        "Weights": "pinned, model.pt",
        "Harness": "groundbench 0.1.0, commit cccccccccccc with changes",
        "Scorer": "2",
        "Seed": "7",
    }
    assert dict(at_a_glance(strange)) == {"Plugin": "b 1.0.0"}


@pytest.mark.parametrize("policy", [PrivacyPolicy(), PrivacyPolicy(public=True)])
def test_model_page_says_where_it_comes_from(bench, store: Store, pages, policy: PrivacyPolicy) -> None:
    """Homepage, citation and licence, as the newest run recorded them, on a public site of a closed split too."""
    told = {"homepage": "https://example.org/model", "citation": "A. Author. <b>A model & more.", "licence": "MIT"}
    bench.add(record={"model": {**told, "licence": "GPL-3.0"}})
    bench.add(record={"model": told})
    bench.add(plugin="silent")
    bench.add(plugin="hostile", record={"model": {"homepage": "javascript:alert(1)", "citation": "", "licence": None}})
    made = pages(store, policy)
    page = made["models/model.html"]
    assert [link.text for link in page.all("a") if link.attributes.get("href") == told["homepage"]] == [
        told["homepage"]
    ]
    assert [cite.text for cite in page.all("cite")] == [told["citation"]]
    assert "Licence of the code MIT" in page.text
    assert "Code not from there" not in page.text
    for plugin in ("silent", "hostile"):
        text = made[f"models/{plugin}.html"].text
        assert "Homepage" not in text
        assert "Licence of the code not recorded" in text
        assert "Commercial use not known" in text
        assert made[f"models/{plugin}.html"].all("cite") == []


def test_model_page_says_where_the_code_is_from_instead(bench, store: Store, pages) -> None:
    """Code that was taken from a copy is said to be; that of the homepage needs no word."""
    home = "https://example.org/authors/model"
    copy = f"https://example.org/stranger/copy@{'1' * 40}"
    bench.add(record={"model": {"homepage": home, "citation": "", "code": [copy, f"{home}@{'2' * 40}"]}})
    bench.add(plugin="strange", record={"model": {"homepage": ["x"], "citation": 7, "code": "x"}})
    made = pages(store)
    text = made["models/model.html"].text
    assert f"Code not from there {copy[:60]}" in text
    assert "2222" not in text
    assert "Code not from there" not in made["models/strange.html"].text


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


def test_history_of_a_row(bench, store: Store, pages) -> None:
    """A run's page lists the runs that it replaced or that replaced it, newest first; the model's page has them all."""
    first, second = bench.add(), bench.add()
    bench.add(variant="other")
    site = pages(store)
    history = section(site[f"runs/{first.id}.html"], "History of this row").all("li")
    assert [item.text.split(",")[0].strip() for item in history] == ["this run", second.id]
    assert f"replaced by the newer run {second.id}" in site[f"runs/{first.id}.html"].text
    rows = site["models/model.html"].all("td", "kind")
    assert [row.all("a")[0].attributes["href"] for row in rows] == [
        "../runs/run-03.html", "../runs/run-02.html", "../runs/run-01.html",
    ]  # fmt: skip


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


def test_run_stands_beside_every_other(bench, store: Store, pages) -> None:
    """The page of a run has its difference to each other row, seen from this one, whichever is first in the pair."""
    for title, level in (("c", 0.1), ("a", 0.5), ("b", 0.5)):
        bench.add(title=title, plugin=title, level=level, cases=8)
    rows = [
        [cell.text for cell in (row.all("th")[0], *row.all("td"))]
        for row in section(pages(store)["runs/run-01.html"], "Compared with every other row").all("tbody")[0].all("tr")
    ]
    assert sorted((row[0], row[-1]) for row in rows) == [
        ("a zero-shot", "the other is better"), ("b zero-shot", "the other is better"),
    ]  # fmt: skip
    assert all(float(row[1].split()[0].replace("\N{MINUS SIGN}", "-")) == pytest.approx(-0.4, abs=0.05) for row in rows)


def test_pair_seen_from_its_other_end() -> None:
    """Turned round, a pair has the opposite difference and interval, and the verdict names the other row."""
    pair = Pair("a", "b", 0.1, 0.02, 0.3, 0.003, 9)
    assert turned(pair) == Pair("b", "a", -0.1, -0.3, -0.02, 0.003, 9)
    assert turned(turned(pair)) == pair
    assert (conclusion(pair), conclusion(turned(pair))) == ("first is better", "second is better")
    assert conclusion(replace(pair, p=0.05)) == "cannot be told apart"


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
    assert "The best 10 of 40 ranked rows" in site["index.html"].text
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


def test_only_unrankable_runs(bench, store: Store, pages) -> None:
    """A data set without a ranking says so and still shows what was run."""
    bench.add(rankable=False, unrankable=["random weights"])
    site = pages(store)
    assert "No run on this data set may be ranked yet" in site["index.html"].all("main")[0].text
    assert "random weights" in whole(site).text


def test_texts_of_numbers() -> None:
    """Three decimals for scores; seconds, bytes and digests as a person reads them."""
    assert [three_decimals(v) for v in (0.0, 0.12345, 1.0, None)] == ["0.000", "0.123", "1.000", "—"]
    seconds = [readable_seconds(v) for v in (0.001, 0.25, 3.25, 99.9, 1234.5, None)]
    assert seconds == ["< 0.01", "0.25", "3.2", "99.9", "1234", "—"]
    assert [readable_bytes(v) for v in (0, 25_000_000, 1_500_000_000, None)] == ["0 kB", "25 MB", "1.5 GB", "—"]
    assert [signed(0.5), signed(-0.25)] == ["+0.500", "\N{MINUS SIGN}0.250"]
    assert [probability(0.0001), probability(0.0123)] == ["< 0.001", "0.012"]
    assert [readable_size(2500), readable_size(2_500_000)] == ["2.5 kB", "2 MB"]
    digests = [short_digest(v) for v in ("sha256:0123456789abcdef", "local:00112233445566", "abc", "")]
    assert digests == ["0123456789ab", "001122334455", "abc", "—"]


@pytest.mark.parametrize(
    ("ns", "common"), [([3, 3, None], "3"), ([3, 4], None), ([None], None), ([0, 0], "0"), ([], None)]
)
def test_n_of_a_column(ns: list[int | None], common: str | None) -> None:
    """A column's head shows n only when every row that has one has the same."""
    assert common_basis([Score(n=n) for n in ns]) == common
    assert [Score(n=9, cases=cases).basis for cases in (3, 1, 9, None)] == [
        "9 in 3 cases",
        "9 in 1 case",
        "9 cases",
        "9",
    ]


def test_whisker_lies_on_its_axis() -> None:
    """0 and the end of the scale lie at the margins; without an interval nothing is drawn."""
    drawn = whisker(Score(0.25, 0.0, 0.5), 0.5)
    assert drawn is not None
    assert (drawn.low, drawn.value, drawn.high) == (4.0, 48.0, 92.0)
    assert whisker(Score(0.25), 0.5) is None
    assert whisker(Score(), 0.5) is None


def test_scale_holds_every_interval(bench, store: Store) -> None:
    """A table's drawings end at the next tenth above its highest interval."""
    bench.add(level=0.2, plugin="a")
    bench.add(level=0.33, plugin="b")
    assert scale_of(read_board(export(store, PrivacyPolicy()))[0].ranked) == 0.4
    assert scale_of([]) == 0.1
    assert scale_of(read_reported().rows) == 0.3


def test_the_best_control_is_a_line_beside_the_box_prompted_rows_alone(bench, pages, store: Store) -> None:
    """It lies at the control's average on every row of its group; rows asked by text have none."""
    bench.add(level=0.2, plugin="rules", title="Rules", cases=6)
    bench.add(level=0.4, plugin="medsam2", title="MedSAM2", prompt="box", cases=6)
    bench.add(level=0.3, plugin="ellipsoid", title="Control: ellipsoid", prompt="box", cases=6)
    bench.add(level=0.1, plugin="box", title="Control: box", prompt="box", cases=6)
    text, boxed = whole(pages(store)).all("tbody")
    assert not text.all("line", "floor")
    lines = boxed.all("line", "floor")
    ellipsoid = next(row for row in boxed.all("tr")[1:] if "ellipsoid" in row.text)
    assert [line.attributes["x1"] for line in lines] == [ellipsoid.all("circle")[0].attributes["cx"]] * 3
    assert boxed.text.count("reads no image") == 2


def test_a_box_row_says_how_far_it_moves_over_three_seeds_of_its_boxes(bench, pages, store: Store) -> None:
    """Of one plan; the newest run stands in the ranking, with the range over all of them."""
    for seed, level in enumerate((0.2, 0.4, 0.3)):
        bench.add(level=level, plugin="sam2", title="SAM2", prompt="box", plan={"plugin": "sam2", "seed": seed})
    bench.add(level=0.3, plugin="medsam2", title="MedSAM2", prompt="box", plan={"plugin": "medsam2", "seed": 0})
    table = pages(store)["index.html"].all("table")[0]
    rows = {row.all("th")[0].text.split()[0]: row for row in table.all("tr") if row.all("td", "average")}
    assert re.search(r"Dice 0\.\d+ to 0\.\d+ over seeds 0, 1, 2 of the boxes", rows["SAM2"].text)
    assert "one draw of the boxes" in rows["MedSAM2"].text


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


def test_file_names_are_safe_and_distinct() -> None:
    """Plain lower-case names stay; anything that a file system could take otherwise becomes a digest."""
    assert file_name("run-01.b_c") == "run-01.b_c"
    strange = ["index", "A", "a/b", "..", "a.", "", "con?", "x" * 300, "\u202e"]
    assert len({file_name(name) for name in strange}) == len(strange)
    assert all(re.fullmatch("x-[0-9a-f]{16}", file_name(name)) for name in strange)


LICENCES = {
    "code": "Apache-2.0",
    "sources": {"upstream": "MIT"},
    "weights": {"a.pt": {"licence": "CC-BY-SA-4.0", "note": "for education"}, "b.pt": {"licence": "MIT", "note": ""}},
    "commercial": "unknown",
}


@pytest.mark.parametrize("policy", [PrivacyPolicy(), PrivacyPolicy(public=True)])
def test_licences_of_code_and_weights_stand_with_the_row(bench, store: Store, pages, policy: PrivacyPolicy) -> None:
    """On the board, on the pages of run and model, with what is asked beside them; earlier rows are not known."""
    run = bench.add(record={"licences": LICENCES})
    free = bench.add(plugin="free", record={"licences": {**LICENCES, "weights": {}, "commercial": "yes"}})
    bench.add(plugin="earlier", record={"model": {"licence": "MIT"}})
    made = pages(store, policy)
    used = {row.attributes["data-use"] for row in whole(made).all("tr") if "data-use" in row.attributes}
    assert used == {"unknown", "yes"}
    assert "not known Apache-2.0, MIT, CC-BY-SA-4.0" in made["index.html"].text
    assert "allowed Apache-2.0, MIT" in made["index.html"].text
    for page in (f"runs/{run.id}.html", "models/model.html"):
        assert "Licence of the code Apache-2.0, MIT" in made[page].text
        assert "Licences of the weights CC-BY-SA-4.0 (for education), MIT" in made[page].text
    assert "Licences of the weights" not in made[f"runs/{free.id}.html"].text
    assert "Licence of the code MIT Commercial use not known" in made["models/earlier.html"].text


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
