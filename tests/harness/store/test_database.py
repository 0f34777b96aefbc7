"""The results database: what goes in comes out while others read or write, and every refusal says what to do."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import multiprocessing
import os
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import DataError, PrerequisiteError, UsageError
from harness.rows import (
    CaseRow,
    FindingDetails,
    FindingRow,
    InstanceCounts,
    MaskProblem,
    MaskVerdict,
    Matches,
    RunRow,
)
from harness.store import database as module
from harness.store.database import Store


def _run(**values: Any) -> RunRow:
    fields = {
        "id": "rules-zero-shot-0123",
        "plan_key": "key",
        "attempt": 1,
        "kind": "measured",
        "plugin": "rules",
        "title": "Rules",
        "plugin_version": "1",
        "variant": "zero-shot",
        "prompt": "text",
        "fine_tuned": False,
        "profile": "mlhc2025",
        "dataset": "phantom",
        "fingerprint": "sha256:0",
        "split": "test",
        "engine": "docker",
        "image_id": "sha256:1",
        "rankable": True,
        "unrankable": [],
        "state": "running",
        "created": "2026-01-01T00:00:00+00:00",
    }
    return RunRow(**{**fields, **values})


def _finding(finding: str = "0", **values: Any) -> FindingRow:
    return FindingRow(
        **{"case": "a", "finding": finding, "index": 0, "category": "2d", "text": "x", "status": "ok", **values}
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "results.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with Store(path) as opened:
        yield opened


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
OBJECT = st.dictionaries(TEXT, JSON, max_size=3)
COUNT = st.integers(0, 10**9)
VERDICT = st.none() | st.builds(
    MaskVerdict,
    st.lists(st.builds(MaskProblem, TEXT, st.sampled_from(["warning", "refused"]), TEXT, TEXT, TEXT)).map(tuple),
)
MATCHES = st.builds(Matches, COUNT, COUNT, COUNT)
DETAILS = st.builds(
    FindingDetails,
    st.none() | COUNT,
    st.none() | st.floats(0, 1),
    st.none() | st.builds(InstanceCounts, COUNT, COUNT, MATCHES, st.floats(0, 99), st.none() | MATCHES),
)


@settings(max_examples=25, deadline=None)
@given(
    run=st.builds(
        _run, fine_tuned=st.booleans(), rankable=st.booleans(), unrankable=st.lists(TEXT, max_size=3), title=TEXT,
        plan=OBJECT, record=OBJECT, timing=OBJECT, finished=st.none() | TEXT, n_cases=st.integers(0, 10**6),
    ),
    case=st.builds(
        CaseRow, case=TEXT, ordinal=st.integers(0, 999), status=TEXT, reason=TEXT, scored=st.booleans(),
        seconds=st.none() | st.floats(0, 1e9), host_bytes=st.none() | st.integers(0, 2**63 - 1),
    ),
    finding=st.builds(
        _finding, category=st.none() | TEXT, text=TEXT, reason=TEXT, verdict=VERDICT, details=DETAILS,
        dice=st.floats(0, 1), mask_sha256=st.none() | TEXT, truth_voxels=st.none() | st.integers(0, 2**40),
    ),
)  # fmt: skip
def test_rows_come_back_as_they_were(run: RunRow, case: CaseRow, finding: FindingRow) -> None:
    """Every field of every row survives, to the last bit."""
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "results.db") as opened:
        opened.save_run(run)
        finding = dataclasses.replace(finding, case=case.case)
        opened.save_case(run.id, case, [finding])
        assert opened.run(run.id) == run
        assert opened.runs() == [run]
        assert opened.cases(run.id) == [case]
        assert opened.findings(run.id) == [finding]


def test_saving_again_replaces(store: Store) -> None:
    """A run, a case and a finding have one row each, the latest."""
    store.save_run(_run())
    store.save_case("rules-zero-shot-0123", CaseRow("a", 0, "ok"), [_finding(dice=0.1)])
    store.save_run(_run(state="done"))
    store.save_case("rules-zero-shot-0123", CaseRow("a", 0, "ok", scored=True), [_finding(dice=0.2)])
    assert [run.state for run in store.runs()] == ["done"]
    assert [case.scored for case in store.cases("rules-zero-shot-0123")] == [True]
    assert [finding.dice for finding in store.findings("rules-zero-shot-0123")] == [0.2]


def test_rows_are_ordered_as_the_split(store: Store) -> None:
    """Cases follow the split, findings their case; what was scored first does not matter."""
    store.save_run(_run())
    run = store.runs()[0].id
    for case, ordinal in (("b", 1), ("a", 2), ("c", 0)):
        rows = [_finding(f, case=case, index=n) for f, n in (("y", 1), ("x", 2), ("z", 0))]
        store.save_case(run, CaseRow(case, ordinal, "ok"), rows)
    assert [case.case for case in store.cases(run)] == ["c", "b", "a"]
    assert [f.case + f.finding for f in store.findings(run)] == [
        "cz",
        "cy",
        "cx",
        "bz",
        "by",
        "bx",
        "az",
        "ay",
        "ax",
    ]
    assert [f.finding for f in store.findings(run, "b")] == ["z", "y", "x"]


def test_case_and_findings_are_saved_together_or_not_at_all(store: Store) -> None:
    """A failure among the findings leaves nothing of the case."""
    store.save_run(_run())
    run = store.runs()[0].id
    with pytest.raises(PrerequisiteError):
        store.save_case(run, CaseRow("a", 0, "ok"), [_finding("0"), _finding("1", status=None)])
    assert store.cases(run) == []
    assert store.findings(run) == []
    store.save_case(run, CaseRow("a", 0, "ok"), [_finding("0")])
    assert len(store.findings(run)) == 1


def test_the_disk_is_awaited_for_a_run_and_not_for_each_case(store: Store) -> None:
    """What is saved of a run is on the disk, and the cases and metrics before it: SQLite syncs its whole log."""
    full, normal = 2, 1

    def synchronous() -> int:
        return int(store.db.execute("pragma synchronous").fetchone()[0])

    store.save_run(_run())
    assert synchronous() == full
    store.save_case(_run().id, CaseRow("a", 0, "ok"), [_finding(case="a")])
    assert synchronous() == normal
    store.save_metrics(_run().id, "mlhc2025", {})
    assert synchronous() == normal
    store.save_run(_run())
    assert synchronous() == full


def test_case_of_no_run_is_refused(store: Store) -> None:
    """Rows belong to a run that exists."""
    with pytest.raises(PrerequisiteError, match="FOREIGN KEY"):
        store.save_case("nobody", CaseRow("a", 0, "ok"))


def test_latest_attempt_of_a_plan(store: Store) -> None:
    """Asking for a plan gives its newest run, or none."""
    store.save_run(_run(id="one", attempt=1))
    store.save_run(_run(id="ten", attempt=10))
    store.save_run(_run(id="two", attempt=2))
    latest = store.latest("key")
    assert latest is not None
    assert latest.id == "ten"
    assert store.latest("other") is None


def test_run_by_the_beginning_of_its_id(store: Store) -> None:
    """Enough of an id is enough; an ambiguous or unknown one names what there is."""
    for name in ("oracle-1a", "oracle-1b", "oracle-1"):
        store.save_run(_run(id=name, plan_key=name))
    assert store.run("oracle-1a").id == "oracle-1a"
    assert store.run("oracle-1").id == "oracle-1"  # exact, though others begin so
    with pytest.raises(UsageError, match="beginning of 3 runs: oracle-1a, oracle-1b, oracle-1"):
        store.run("oracle-")
    for wrong in ("", "%", "nothing"):
        with pytest.raises(UsageError):
            store.run(wrong)


@pytest.mark.parametrize(
    ("ci95", "cases", "shown"),
    [([0.2, 0.9], None, None), ([0.805, 0.805], 20, None), ([0.2, 0.9], 5, [0.2, 0.9])],
)
def test_an_interval_of_an_earlier_scorer_is_not_returned(
    store: Store, ci95: list[float], cases: int | None, shown: list[float] | None
) -> None:
    """Where the number of cases is not stored, findings were taken for independent; no width is no evidence."""
    store.save_run(_run())
    cell = {"value": 0.805, "ci95": ci95, "n": 30, "cases": cases}
    store.save_metrics(_run().id, "mlhc2025", {"dice": {"all": cell, "by_category": {"1a": cell}}})
    found = store.metrics(_run().id, "mlhc2025")["dice"]
    assert [found["all"]["ci95"], found["by_category"]["1a"]["ci95"]] == [shown, shown]


def test_metrics_come_back_as_they_were(store: Store) -> None:
    """Groups inside groups, absent intervals and undefined values survive; another profile is untouched."""
    store.save_run(_run())
    run = store.runs()[0].id
    cell = {"value": 1 / 3, "ci95": [0.1, 0.5], "n": 7, "cases": 6}
    nothing = {"value": None, "ci95": None, "n": 0, "cases": 0}
    metrics = {
        "dice": {"all": cell, "focal": nothing, "by_category": {"1a": cell, "2h": nothing}},
        "hit": {"all": cell},
    }
    store.save_metrics(run, "miccai2026", {"hit": {"all": nothing}})
    store.save_metrics(run, "mlhc2025", {"gone": {"all": cell}})
    store.save_metrics(run, "mlhc2025", metrics)
    assert store.metrics(run, "mlhc2025") == metrics
    assert store.metrics(run, "miccai2026") == {"hit": {"all": nothing}}
    assert store.metrics(run, "other") == {}


def test_undefined_value_is_null_in_the_database(store: Store) -> None:
    """A metric that is not defined is never a number that sorts or averages."""
    store.save_run(_run())
    run = store.runs()[0].id
    store.save_metrics(run, "mlhc2025", {"dice": {"all": {"value": math.nan, "ci95": None, "n": 0, "cases": 0}}})
    assert store.metrics(run, "mlhc2025")["dice"]["all"]["value"] is None


def test_coverage_counts_findings_by_status(store: Store) -> None:
    """Nothing that was asked for is left out of the count."""
    store.save_run(_run())
    run = store.runs()[0].id
    store.save_case(run, CaseRow("a", 0, "ok"), [_finding("0"), _finding("1", status="timeout"), _finding("2")])
    assert store.coverage(run) == {"ok": 2, "timeout": 1}


# -- files that are not what they should be ---------------------------------------------------------------------------


def test_read_only_opening_changes_nothing(path: Path) -> None:
    """Reading neither makes a file nor writes to one."""
    with pytest.raises(DataError, match="does not exist") as raised:
        Store(path, readonly=True)
    assert "bench demo" in raised.value.fix
    assert raised.value.path == path
    assert not path.parent.exists()
    with Store(path) as opened:
        opened.save_run(_run())
    with Store(path, readonly=True) as opened:
        assert len(opened.runs()) == 1
        with pytest.raises(PrerequisiteError):
            opened.save_run(_run(id="other"))


@pytest.mark.parametrize("readonly", [True, False])
def test_text_file_is_no_database(path: Path, readonly: bool) -> None:
    """A file of another kind is refused and stays as it is."""
    path.parent.mkdir()
    path.write_text("dear diary\n" * 200, encoding="utf-8")
    with pytest.raises(DataError, match="is not a results database of groundbench"):
        Store(path, readonly=readonly)
    assert path.read_text(encoding="utf-8") == "dear diary\n" * 200


@pytest.mark.parametrize("readonly", [True, False])
def test_database_of_somebody_else_is_left_alone(path: Path, readonly: bool) -> None:
    """A SQLite file with other tables gets none of ours."""
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.execute("create table bookmarks (url)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(DataError, match="is not a results database of groundbench"):
        Store(path, readonly=readonly)
    assert path.read_bytes() == before


def test_empty_file_becomes_a_database(path: Path) -> None:
    """A file that was touched but never written is ours to fill, and nothing to read from."""
    path.parent.mkdir()
    path.touch()
    with pytest.raises(DataError, match="is not a results database"):
        Store(path, readonly=True)
    with Store(path) as opened:
        assert opened.runs() == []


@pytest.mark.parametrize("readonly", [True, False])
def test_newer_database_is_refused(path: Path, readonly: bool) -> None:
    """A database with a migration that this version does not know is neither read nor written."""
    Store(path).close()
    connection = sqlite3.connect(path)
    connection.execute(
        "insert into _sqlite_migrations (migration_set, name, applied_at) values ('groundbench', 'm999_later', '')"
    )
    connection.commit()
    connection.close()
    with pytest.raises(DataError, match="written by a newer version") as raised:
        Store(path, readonly=readonly)
    assert "update groundbench" in raised.value.fix


def test_something_in_the_way(path: Path) -> None:
    """A folder under the database's name, or a file under the folder's, is a prerequisite that is missing."""
    path.mkdir(parents=True)
    with pytest.raises(PrerequisiteError, match="cannot use the results database"):
        Store(path)
    path.with_name("file").touch()
    with pytest.raises(PrerequisiteError, match="cannot use the results database"):
        Store(path.with_name("file") / "results.db")


@pytest.fixture
def ordinary_user() -> Iterator[Path]:
    """Give a folder whose permissions count: root is above them, so a test of root's goes on as nobody."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        yield folder
        if os.getuid() == 0:
            os.seteuid(0)
        folder.chmod(0o700)


def _become_ordinary() -> None:
    if os.getuid() == 0:
        os.seteuid(65534)


def test_read_only_folder_can_be_read_but_not_written(ordinary_user: Path) -> None:
    """Results on a read-only mount can be shown; writing to them says what is missing."""
    path = ordinary_user / "results.db"
    with Store(path) as opened:
        opened.save_run(_run())
    path.chmod(0o444)
    ordinary_user.chmod(0o555)
    _become_ordinary()
    with Store(path, readonly=True) as opened:
        assert len(opened.runs()) == 1
    with pytest.raises(PrerequisiteError, match="cannot use the results database") as raised:
        Store(path)
    assert "permissions" in raised.value.fix
    with pytest.raises(PrerequisiteError) as raised:
        Store(ordinary_user / "new" / "results.db")
    assert "permissions" in raised.value.fix


# -- others at work ---------------------------------------------------------------------------------------------------


def test_database_locked_by_another_process(store: Store, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that waits too long says who is in the way, and loses nothing that was finished."""
    store.save_run(_run())
    monkeypatch.setattr(module, "BUSY_TIMEOUT_S", 0.1)
    with Store(path) as second, contextlib.closing(sqlite3.connect(path)) as holder:
        holder.execute("begin immediate")
        with pytest.raises(PrerequisiteError, match="another process has held") as raised:
            second.save_run(_run(id="other", plan_key="other"))
        assert "finished cases are kept" in raised.value.fix
        assert len(second.runs()) == 1
        with pytest.raises(PrerequisiteError, match="another process has held"):
            Store(path)
        holder.rollback()
        second.save_run(_run(id="other", plan_key="other"))


def test_reader_sees_whole_cases_while_they_are_written(store: Store, path: Path) -> None:
    """Somebody who looks on never waits, and never sees a case without its findings."""
    store.save_run(_run())
    run = store.runs()[0].id
    ended = threading.Event()
    seen: list[tuple[int, int]] = []

    def look() -> None:
        with Store(path, readonly=True) as reader:
            while not ended.is_set():
                findings = len(reader.findings(run))
                seen.append((len(reader.cases(run)), findings))

    reader = threading.Thread(target=look)
    reader.start()
    for number in range(40):
        case = f"case{number}"
        store.save_case(run, CaseRow(case, number, "ok"), [_finding(str(f), case=case) for f in range(5)])
    ended.set()
    reader.join()
    assert seen
    assert all(findings % 5 == 0 and findings <= 5 * cases for cases, findings in seen)
    assert len(store.cases(run)) == 40


def _write_many(path: Path, name: str) -> None:
    with Store(path) as opened:
        opened.save_run(_run(id=name, plan_key=name))
        for number in range(20):
            opened.save_case(name, CaseRow(f"case{number}", number, "ok"), [_finding(case=f"case{number}")])


@pytest.mark.costly
def test_several_processes_write_from_the_first_moment(path: Path) -> None:
    """Runs that start together on an empty home share the database without losing a row or giving up."""
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_many, args=(path, f"run{n}")) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0, 0, 0]
    with Store(path, readonly=True) as opened:
        assert sorted(run.id for run in opened.runs()) == ["run0", "run1", "run2", "run3"]
        assert all(len(opened.findings(run.id)) == 20 for run in opened.runs())
