"""Rows of tables: what a cell, a rank and a dash say, and which rows stand together."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from harness.categories import CATEGORIES
from harness.status import Status
from harness.store.database import Store
from leaderboard.board.reported import read_boards
from leaderboard.published.privacy import PrivacyPolicy
from tests.leaderboard.pages.reading import section, whole

#: Each builds a whole board.
pytestmark = pytest.mark.costly

LICENCES = {
    "code": "Apache-2.0",
    "sources": {"upstream": "MIT"},
    "weights": {"a.pt": {"licence": "CC-BY-SA-4.0", "note": "for education"}, "b.pt": {"licence": "MIT", "note": ""}},
    "commercial": "unknown",
}


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
    captions = [table.all("caption")[0].text for table in site["index.html"].all("table")]
    assert ["confidence intervals in brackets" in caption for caption in captions] == [True, False]
    assert captions[1].startswith("All rows that could be ranked, by average Dice.")
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
    assert row.text.startswith("none model · zero-shot · 1.0.0 — — not reported not reported — — — — —")
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


def test_only_unrankable_runs(bench, store: Store, pages) -> None:
    """A data set without a ranking says so and still shows what was run."""
    bench.add(rankable=False, unrankable=["random weights"])
    site = pages(store)
    assert "No run on this data set may be ranked yet" in site["index.html"].all("main")[0].text
    assert "random weights" in whole(site).text
