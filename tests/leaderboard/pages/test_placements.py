"""Where masks lie, on the page of a case, of a run and of all rows, and in the downloads."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from harness.rows import Other, Others
from harness.scoring.placement import placement_shares
from harness.status import Status
from harness.store.database import Store
from leaderboard.pages.downloads import make_files, scores_name
from leaderboard.pages.placements import placements_of
from leaderboard.published.export import export
from leaderboard.published.privacy import PrivacyPolicy

pytestmark = pytest.mark.costly

#: Of six findings of a case, whose own Dice is about 0.2: found twice, taken for another, the same mask, and a failure.
OTHERS = [Others(), Others(Other("3", 0.01)), Others(Other("3", 0.876)), Others(Other("2", 0.5), Other("1", 0.95))]
CASES = {"cases": 1, "per_case": 6, "failures": {4: Status.TIMEOUT}, "others": OTHERS}


def _rows(table: Any) -> list[str]:
    return [row.text for row in table.all("tbody")[0].all("tr")]


def test_a_case_says_where_each_mask_lies(bench, store: Store, pages) -> None:
    """With the finding it was taken for, or whose text got the same mask; "not known" of an earlier version's row."""
    bench.add(**CASES)
    [page] = [page for name, page in pages(store).items() if name.startswith("cases/") and name.endswith("-0.html")]
    where = [table.all("tbody")[0].all("td")[1].text for table in page.all("table")]
    assert where == [
        "found",
        "found",
        "taken for finding 3 (Dice 0.876)",
        "the same mask as for finding 1 (Dice 0.950)",
        "no valid mask",
        "not known",
    ]


def test_shares_have_a_page_and_no_rank(bench, store: Store, pages) -> None:
    """Shares of what is known, beside how many are not; also on the page of the run."""
    bench.add(**CASES)
    site = pages(store)
    [table] = site["placements.html"].all("table")
    heads = [head.text for head in table.all("th") if head.attributes.get("role") == "columnheader"]
    assert heads == [
        "Model", "Found", "Taken for another finding", "The same mask for two texts", "Found elsewhere", "Not found",
        "No valid mask", "Not known findings",
    ]  # fmt: skip
    cells = [cell.text for cell in table.all("tbody")[0].all("td")]
    assert cells[0] == "0.400 2 of 5"  # one case has no interval
    assert [cell.split()[0] for cell in cells] == ["0.400", "0.200", "0.200", "0.000", "0.000", "0.200", "1"]
    [of_run] = [table for table in site["runs/run-01.html"].all("table") if "where their masks lie" in table.text]
    assert _rows(of_run)[:2] == ["Found 2 0.400", "Taken for another finding 1 0.200"]
    assert _rows(of_run)[-1] == "Not known 1 —"


def test_a_share_has_the_interval_of_its_cases(bench, store: Store) -> None:
    """As the harness has it, through the database of the site; of a closed split as well."""
    run = bench.add(cases=6, others=[Others(Other("3", 0.876)), Others(), Others()] * 12)
    expected = placement_shares(store.findings(run.id))["other_finding"]
    for policy in (PrivacyPolicy(), PrivacyPolicy(public=True)):
        share = placements_of(export(store, policy), run.id)["other_finding"].share
        assert [share.low, share.high] == expected["ci95"]
        assert (share.n, share.cases) == (36, 6)


def test_a_row_of_which_nothing_is_known_has_dashes(bench, store: Store, pages) -> None:
    """No share of an earlier version's row is 0."""
    bench.add()
    cells = [cell.text for cell in pages(store)["placements.html"].all("tbody")[0].all("td")]
    assert cells == ["—"] * 6 + ["24"]


def test_downloads_hold_them(bench, store: Store, tmp_path: Path) -> None:
    """The table of shares, and the columns of every score."""
    run = bench.add(**CASES)
    made = make_files(export(store, PrivacyPolicy()), tmp_path, parquet=False)
    files = {file.name: file.data.decode() for file in made if file.name.endswith(".csv")}
    counts = {row["placement"]: (row["n"], row["of"]) for row in csv.DictReader(io.StringIO(files["placements.csv"]))}
    assert counts["found"] == ("2", "5")
    assert counts["not_known"] == ("1", "")
    scores = list(csv.DictReader(io.StringIO(files[scores_name(run.id)])))
    assert [row["placement"] for row in scores[2:4]] == ["other_finding", "same_mask"]
    assert [scores[3][name] for name in ("other_truth", "other_truth_dice", "other_mask", "other_mask_dice")] == [
        "2", "0.5", "1", "0.95",
    ]  # fmt: skip


@pytest.mark.parametrize(("taken", "shown"), [(6, (66, 6)), (3, (None, None))])
def test_of_a_closed_split_no_number_is_of_few(bench, store: Store, taken: int, shown: tuple[int | None, ...]) -> None:
    """One to four findings are not shown, nor the number from which they would follow; single masks never."""
    bench.add(cases=12, others=[Others(Other("3", 0.876))] * taken + [Others()] * (72 - taken))
    published = export(store, PrivacyPolicy(public=True))
    placed = placements_of(published, "run-01")
    assert (placed["found"].n, placed["other_finding"].n) == shown
    assert placed["found"].share.value == (None if shown[0] is None else 66 / 72)
    assert published.scores("run-01") == {}


def test_a_table_is_whole_or_cannot_be_sorted(bench, store: Store, pages, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of Mix-ups and of Cost: every row that stands; where there are too many, the page says so."""
    for plugin in ("rules", "rules", "friend"):
        bench.add(plugin=plugin, cases=1)
    for most, rows, sortable in ((1500, 2, True), (1, 1, False)):
        monkeypatch.setattr("leaderboard.pages.pages.LONGEST_LIST", most)
        site = pages(store)
        for name in ("placements.html", "cost.html"):
            [table] = site[name].all("table")
            assert len(table.all("tbody")[0].all("tr")) == rows
            assert ("sortable" in table.attributes["class"].split()) == sortable
            assert "Runs that a newer one replaced are left out: 1." in site[name].text
            assert ("The first 1 of 2 rows" in site[name].text) == (not sortable)
