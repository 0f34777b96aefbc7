"""A database that was edited by hand builds no row that was measured: what cannot be shown right says why."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.store.archive import archive, unarchive
from harness.store.database import Store
from leaderboard.board.board import Row, read_board
from leaderboard.published.export import export
from leaderboard.published.privacy import PrivacyPolicy

#: Edits of the row of `run-02`, and a word of the reason.
EDITS = {
    "update findings set dice = min(1, dice + 0.5) where run = 'run-02'": "dice:",
    "update metrics set value = value + 0.5 where run = 'run-02' and metric = 'dice' and grp = 'all'": "dice/all: ",
    "update metrics set low = low + 0.5, high = high + 0.5 where run = 'run-02' and metric = 'dice'": "dice/all: ",
    "update runs set title = 'Rules' where id = 'run-02'": "record run.title: 'Friend' in record.json, 'Rules' in",
    "update runs set prompt = 'box' where id = 'run-02'": "record run.prompt",
    "update runs set kind = 'submitted' where id = 'run-02'": "kind: submitted in the row, measured by its plan",
    "update runs set plugin = 'sat' where id = 'run-02'": "plugin: sat in the row, friend in the plan",
    "update runs set record = json_set(record, '$.level', 'sealed') where id = 'run-02'": "record run.record.level",
    "update runs set plan = json_set(plan, '$.seed', 7) where id = 'run-02'": "plan: its digest is",
    "delete from findings where run = 'run-02' and finding = '0'": "in record.json, nothing in the database",
    "update findings set intersection = 1000, dice = 0.9 where run = 'run-02'": "dice: ",
}


def _rows(store: Store) -> dict[str, Row]:
    (data,) = read_board(export(store, PrivacyPolicy()))
    return {row.run.id: row for row in data.rows}


def _forged(row: Row) -> str:
    """Return why a row has neither rank nor numbers; fails where it has."""
    assert (row.level, row.rank, row.scores["average"].value) == ("reported", None, None)
    (why,) = [reason for reason in row.reasons if reason.startswith("not confirmed by ")]
    return why


@pytest.mark.parametrize("edit", EDITS)
def test_a_database_edited_by_hand_shows_no_measured_row(bench, store: Store, edit: str) -> None:
    """It is shown without rank and numbers, with what differs; the rows beside it stay."""
    bench.add(plugin="rules", cases=6, per_case=4)
    bench.add(plugin="friend", title="Friend", cases=6, per_case=4)
    assert _rows(store)["run-02"].level == "measured"
    store.db.execute(edit)
    rows = _rows(store)
    assert EDITS[edit] in _forged(rows["run-02"])
    assert (rows["run-01"].level, rows["run-01"].rank.words) == ("measured", "1 of 1")


def test_a_record_edited_with_its_database_does_not_add_up(bench, store: Store) -> None:
    """Both say +0.5; the counts of voxels, and the metrics, do not."""
    bench.add(plugin="friend")
    path = store.home / "runs" / "run-01" / "record.json"
    kept = json.loads(path.read_text())
    for finding in kept["findings"].values():
        finding["dice"] = min(1.0, finding["dice"] + 0.5)
    path.write_text(json.dumps(kept))
    store.db.execute("update findings set dice = min(1, dice + 0.5)")
    why = _forged(_rows(store)["run-01"])
    assert "does not follow from its voxels" in why


def test_a_row_without_its_record_is_not_confirmed(bench, store: Store, tmp_path: Path) -> None:
    """A database that travels alone shows nothing as measured; with the runs beside it, it does."""
    bench.add(plugin="rules")
    (data,) = read_board(export(store, PrivacyPolicy(), runs=tmp_path / "elsewhere"))
    assert "record.json is missing" in _forged(data.apart[0])
    public = export(store, PrivacyPolicy(public=True), runs=tmp_path / "elsewhere")
    assert public.doubted() == [("run-01", "not confirmed by its plan, its record and its findings")]
    assert _rows(store)["run-01"].level == "measured"


def test_archived_runs_are_counted_and_not_shown(bench, store: Store, pages) -> None:
    """Never silently: the page of the runs says how many are left out."""
    bench.add(plugin="rules")
    bench.add(plugin="failed-try", title="Failed")
    archive(store, ["run-02"])
    assert list(_rows(store)) == ["run-01"]
    assert "1 archived run is not shown" in pages(store)["runs/index.html"].text
    unarchive(store, ["run-02"])
    assert list(_rows(store)) == ["run-01", "run-02"]
    assert "archived" not in pages(store)["runs/index.html"].text


def test_what_seconds_were_spent_on_is_published_with_each_case(bench, store: Store) -> None:
    """As the model reports it; one that does not has none."""
    run = bench.add(cases=2)
    first, second = store.cases(run.id)
    told = {"read_s": 1.0, "compute_s": 2.0, "write_s": 0.5, "wait_s": 0.25}
    store.save_case(
        run.id,
        replace(first, evidence={"phases": told}),
        [row for row in store.findings(run.id) if row.case == first.case],
    )
    bench.keep_record(run)
    found = {case.case: case for case in export(store, PrivacyPolicy()).cases(run.id)}
    assert {name: getattr(found[first.case], name) for name in told} == told
    assert {getattr(found[second.case], name) for name in told} == {None}
