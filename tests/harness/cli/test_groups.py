"""``bench results show --by``: the scores of every group beside one another, within 80 columns."""

from __future__ import annotations

import statistics
from dataclasses import replace
from typing import Any

import pytest

from harness.cli.groups import groups_document, print_groups, with_sizes
from harness.errors import UsageError
from harness.rows import CaseRow, FindingDetails, FindingRow, RunRow
from harness.scoring.profiles import PROFILES
from harness.scoring.sizes import SizeCuts, cuts_of
from harness.scoring.summary import summarise
from harness.store.database import Store
from tests.conftest import Bench

CATEGORIES = ("2e", "1a", "2e", "2e", "2e", "2e", "2e", "2b")

FIELDS: dict[str, Any] = {
    "attempt": 1, "kind": "measured", "plugin": "rules", "title": "Rules", "plugin_version": "1",
    "variant": "zero-shot", "prompt": "text", "fine_tuned": False, "profile": "mlhc2025", "dataset": "d",
    "split": "test", "engine": "docker", "image_id": "", "rankable": True, "unrankable": [], "state": "done",
    "created": "2026-01-01T00:00:00+00:00", "n_cases": 1, "n_findings": 8,
}  # fmt: skip


def _rows(step: float, number: int = len(CATEGORIES), case: str = "c") -> list[FindingRow]:
    """Return findings whose Dice are 0, `step`, 2 `step`, ...; the larger, the better; `case` may have their number."""
    return [
        FindingRow(
            case=case.format(i), finding=str(i), index=i, category=code, text="", status="ok", dice=i * step,
            truth_voxels=1000, pred_voxels=1000, intersection=round(1000 * i * step),
            details=FindingDetails(truth_entities=1, size_ratio=0.001 * (i + 1)),
        )
        for i, code in enumerate(CATEGORIES[:number])
    ]  # fmt: skip


def _document(run: str, rows: list[FindingRow], **others: Any) -> dict[str, Any]:
    return {
        "run": run, "plugin": run, "variant": "v", "profile": "mlhc2025", "state": "done", "unrankable": [],
        "dataset": {"name": "d", "split": "test"}, "metrics": summarise(rows, PROFILES["mlhc2025"]),
        "sizes": cuts_of(row.details.size_ratio for row in rows), **others,
    }  # fmt: skip


def test_every_run_has_every_group() -> None:
    """In the order of the categories; a run without findings of one has n = 0 and no value."""
    whole, part = _rows(0.1, case="c{}"), _rows(0.05, 2, case="c{}")
    document = groups_document([_document("a", whole), _document("b", part)], "category")
    first, second = (run["groups"] for run in document["runs"])
    assert [(group["group"], group["n"]) for group in first] == [("1a", 1), ("2b", 1), ("2e", 6)]
    assert [(group["group"], group["n"]) for group in second] == [("1a", 1), ("2b", 0), ("2e", 1)]
    assert second[1]["value"] is None
    effusion = statistics.fmean(row.dice for row in whole if row.category == "2e")
    assert first[2]["value"] == pytest.approx(effusion)
    assert first[2]["ci95"][0] < effusion < first[2]["ci95"][1]
    assert first[1]["ci95"] is None


@pytest.mark.parametrize("by", ["category", "size"])
def test_the_table_fits_in_80_columns(by: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With the longest name of a category and of a run, and the numbers of the document."""
    run = "medsam2-ct-lesion-nodule-window-0123456789"
    document = groups_document([_document(run, _rows(0.1)), _document("b", _rows(0.05))], by)
    print_groups(document)
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    for group in document["runs"][0]["groups"]:
        assert f"{group['value']:.3f}" in printed


def test_a_run_without_scores_is_refused() -> None:
    """Its groups are not empty, they are not known."""
    with pytest.raises(UsageError, match="it is interrupted"):
        groups_document([_document("a", _rows(0.1), metrics={}, state="interrupted")], "size")


def test_runs_of_other_cuts_are_not_beside_one_another() -> None:
    """A finding would be small in one column and large in the next; the message gives cuts that both can have."""
    with pytest.raises(UsageError, match="not divided at the same sizes") as refused:
        groups_document([_document("a", _rows(0.1)), _document("b", _rows(0.1, 4))], "size")
    assert "--size-cuts 0.45,0.625" in (refused.value.fix or "")


def test_fixed_cuts_divide_anew() -> None:
    """The groups are those of the given sizes, and every score is computed from the findings again."""
    rows = _rows(0.1)
    run = RunRow(**{**FIELDS, "id": "a", "plan_key": "a", "fingerprint": "f"})
    profile = PROFILES["mlhc2025"]
    document = with_sizes(_document("a", rows), run, rows, profile, (0.001, 0.0035))
    groups = {group["group"]: group for group in groups_document([document], "size")["runs"][0]["groups"]}
    assert {name: group["n"] for name, group in groups.items()} == {"small": 1, "medium": 2, "large": 5}
    assert groups["medium"]["value"] == pytest.approx(statistics.fmean(row.dice for row in rows[1:3]))
    own = with_sizes(_document("a", rows), run, rows, profile, None)
    assert own["metrics"] == _document("a", rows)["metrics"]
    recorded = SizeCuts(0.1, 0.2, "split", 9)
    assert (
        with_sizes(document, replace(run, record={"sizes": recorded.to_json()}), rows, profile, None)["sizes"]
        == recorded
    )


def test_the_command_shows_what_is_stored(bench: Bench) -> None:
    """One run or several of one split; not of two, and not together with a case."""
    with Store(bench.home / "results.db") as store:
        for run, step, fingerprint in (("a-1", 0.1, "f"), ("b-1", 0.05, "f"), ("c-1", 0.1, "other")):
            store.save_run(RunRow(id=run, plan_key=run, fingerprint=fingerprint, **FIELDS))  # type: ignore[arg-type]
            store.save_case(run, CaseRow("c", 0, "ok", scored=True), _rows(step))
            store.save_metrics(run, "mlhc2025", summarise(_rows(step), PROFILES["mlhc2025"]))
        stored = store.metrics("a-1", "mlhc2025")["dice"]["by_size"]
    shown = bench.json("results", "show", "a", "b", "--by", "size")
    assert [run["run"] for run in shown["runs"]] == ["a-1", "b-1"]
    cells = {
        group["group"]: {name: group[name] for name in ("value", "ci95", "n", "cases")}
        for group in shown["runs"][0]["groups"]
    }
    assert cells == stored
    fixed = bench.json("results", "show", "a", "--by", "size", "--size-cuts", "0.15,0.45")
    assert [group["n"] for group in fixed["runs"][0]["groups"]] == [1, 3, 4]
    assert fixed["sizes"]["of"] == "fixed"
    for wrong in ("1", "2,1", "0,1", "a,b"):
        assert "percentages" in bench("results", "show", "a", "--by", "size", "--size-cuts", wrong, code=2).stderr
    assert "--by size" in bench("results", "show", "a", "--size-cuts", "1,2", code=2).stderr
    assert "2e Pleural effusion" in bench("results", "show", "a", "--by", "category").stdout
    assert "different data" in bench("results", "show", "a", "c", "--by", "size", code=2).stderr
    assert "add --by" in bench("results", "show", "a", "b", code=2).stderr
    assert "leave --case" in bench("results", "show", "a", "--by", "size", "--case", "c", code=2).stderr
