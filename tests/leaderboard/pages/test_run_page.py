"""The pages of one run and of one model: origin, cost, provenance, groups, history."""

from __future__ import annotations

import re

import pytest

from harness.store.database import Store
from leaderboard.board.board import read_board
from leaderboard.board.columns import SIZES
from leaderboard.pages.run_page import at_a_glance
from leaderboard.published.export import export
from leaderboard.published.privacy import PrivacyPolicy
from tests.leaderboard.pages.reading import section

#: Each builds a whole board.
pytestmark = pytest.mark.costly


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


def test_cost_and_provenance(bench, store: Store, pages) -> None:
    """Each run shows time, memory, hardware, engine, image, id and date; its page shows all that is known."""
    run = bench.add(title="SAT", plugin="sat", level=2.0)
    site = pages(store)
    assert site["cost.html"].all("tbody")[0].all("tr")[0].text == (
        "SAT sat · zero-shot · 1.0.0 1.000 4.5 800 an hour 3.2, 12.5 not reported not reported 2.5 GB 1.5 GB "
        "950 MB 825 MB 2 x NVIDIA H200 docker 0123456789ab run-01 2026-11-01"
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
    assert "10.0 360 an hour < 0.01, < 0.01 not reported not reported 1.0 GB 0 kB — 0 kB" in text


def test_what_a_model_tells_of_its_seconds_stands_beside_those_of_the_case(bench, store: Store, pages) -> None:
    """On the cost page and on the run's own, with what the driver says of the GPU; named as the model's word."""
    told = {"told_compute_s": 2.5, "told_compute_p95_s": 4.0, "told_wait_s": 0.25, "told_read_s": 1.0}
    told |= {"told_write_s": 0.75, "peak_device_bytes": 4 * 10**9, "load_device_bytes": 3 * 10**9}
    run = bench.add(timing={"case_wall_s": 3.0, "gpu_busy_share": 0.62, **told})
    site = pages(store)
    (row,) = (row for row in site["cost.html"].all("tr") if run.id in row.text)
    cells = {cell.attributes.get("data-label", "").partition(" (")[0]: cell.text for cell in row.all("td")}
    assert (cells["Computing"], cells["Reading"]) == ("2.5 4.0; 0.25", "1.0 0.75")
    assert cells["Peak GPU memory"] == "— 4.0 GB, 3.0 GB busy 62%"
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
