"""The files for programs: one content in every format, with right checksums."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import sqlite3
from pathlib import Path

import pytest

from harness.scoring.sizes import SizeCuts
from harness.store.database import Store
from leaderboard.pages import downloads
from leaderboard.pages.downloads import checksums, make_files
from leaderboard.published.export import export
from leaderboard.published.privacy import PrivacyPolicy
from leaderboard.published.run_file import RUN_TABLES
from leaderboard.published.tables import TABLES
from tests.leaderboard.conftest import joined

pytestmark = pytest.mark.costly


@pytest.fixture(scope="module")
def files(full_store: Store, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return name -> content of every download of the full database."""
    folder = tmp_path_factory.mktemp("downloads")
    return {file.name: file.data for file in make_files(export(full_store, PrivacyPolicy()), folder, parquet=True)}


def rows_of(files: dict[str, bytes], table: str) -> list[tuple[object, ...]]:
    database = sqlite3.connect(":memory:")
    database.deserialize(files["results.sqlite"])
    return database.execute(f"select * from {table} order by 1, 2").fetchall()  # noqa: S608 - our own names


def test_every_format_holds_the_same_rows(files: dict[str, bytes]) -> None:
    """SQLite, CSV, JSON and Parquet agree, in full precision."""
    from pyarrow import parquet

    for table in ("runs", "findings", "metrics"):
        expected = sorted(map(repr, rows_of(files, table)))
        flat = parquet.read_table(io.BytesIO(files[f"{table}.parquet"])).to_pylist()
        assert sorted(repr(tuple(row.values())) for row in flat) == expected
        with io.StringIO(files[f"{table}.csv"].decode()) as stream:
            assert len(list(csv.reader(stream))) == len(expected) + 1
    document = json.loads(files["results.json"])
    assert sorted(repr(tuple(row.values())) for row in document["metrics"]) == sorted(
        map(repr, rows_of(files, "metrics"))
    )


def test_every_row_that_stands_has_its_single_scores(bench, store: Store, tmp_path: Path) -> None:
    """As in its file, with the category; none of a run that was replaced, which has its file, or of a closed split."""
    for plugin in ("rules", "rules", "friend"):
        bench.add(plugin=plugin, cases=2)
    made = {file.name: file.data for file in make_files(export(store, PrivacyPolicy()), tmp_path, parquet=False)}
    assert {name for name in made if name.startswith("scores/")} == {"scores/run-02.csv", "scores/run-03.csv"}
    assert {name for name in made if name.startswith("runs/")} == {f"runs/run-0{n}.sqlite" for n in (1, 2, 3)}
    rows = list(csv.DictReader(io.StringIO(made["scores/run-02.csv"].decode())))
    findings = list(csv.DictReader(io.StringIO(made["findings.csv"].decode())))
    database = sqlite3.connect(":memory:")
    database.deserialize(made["runs/run-02.sqlite"])
    database.row_factory = sqlite3.Row
    scores = {(row["case"], row["finding"]): row for row in database.execute("select * from scores")}
    assert len(rows) == len(scores) == len(findings)
    for row, finding in zip(rows, findings, strict=True):
        score = scores[row["case"], row["finding"]]
        assert row.pop("category") == finding["category"]
        assert row == {name: "" if score[name] is None else str(score[name]) for name in score.keys()}  # noqa: SIM118
    (tmp_path / "closed").mkdir()
    closed = make_files(export(store, PrivacyPolicy(public=True)), tmp_path / "closed", parquet=False)
    assert {file.name for file in closed if "/" in file.name} == {f"runs/run-0{n}.sqlite" for n in (1, 2, 3)}
    for file in closed:
        if "/" in file.name:
            database.deserialize(file.data)
            for table in ("scores", "instances", "cases"):
                assert database.execute(f"select count(*) from {table}").fetchone()[0] == 0  # noqa: S608 - our names


def test_a_new_run_leaves_the_files_of_the_others_as_they_are(bench, store: Store, tmp_path: Path) -> None:
    """Also where it is the first with further findings, and where it takes the place of one."""
    for plugin in ("rules", "friend"):
        bench.add(plugin=plugin, cases=2)
    made, cuts = [], SizeCuts(0.0001, 0.001, of="fixed")  # those of a whole split move with its findings
    for number in range(2):
        (folder := tmp_path / str(number)).mkdir()
        files = make_files(export(store, PrivacyPolicy(), size_cuts=cuts), folder, parquet=False)
        made.append({file.name: file.data for file in files if "/" in file.name})
        bench.add(plugin="rules", cases=3)
    before, after = made
    assert after.keys() - before.keys() == {"runs/run-03.sqlite", "scores/run-03.csv"}
    assert {name for name in before if after.get(name, before[name]) != before[name]} == set()


def test_one_database_is_made_of_all_files(full_store: Store, files: dict[str, bytes], tmp_path: Path) -> None:
    """By `join.py`: every table of every run, replaced ones too, and nothing twice."""
    whole = joined(files, tmp_path)
    for run in full_store.runs():
        name = f"runs/{run.id}.sqlite"
        if name not in files:
            continue
        one = sqlite3.connect(":memory:")
        one.deserialize(files[name])
        for table in RUN_TABLES:
            count = f"select count(*) from {table}"  # noqa: S608 - our own names
            (expected,), (found,) = one.execute(count).fetchone(), whole.execute(f"{count} where run = ?", [run.id])
            assert expected == found[0], (run.id, table)
    assert whole.execute("select count(*) from scores").fetchone()[0] > 0
    assert (
        whole.execute("select count(*) from scores join findings using (number)").fetchone()
        == whole.execute("select count(*) from scores").fetchone()
    )


def test_instances_sum_to_the_counts_of_their_run(full_store: Store, files: dict[str, bytes]) -> None:
    """The table of instances has every entity that the instance metrics of a run count, found or missed."""
    run = full_store.runs()[0]
    counted = [row.details.instances for row in full_store.findings(run.id) if row.details.instances]
    wanted = sum(each.overlap.tp for each in counted), sum(each.overlap.fn for each in counted)
    database = sqlite3.connect(":memory:")
    database.deserialize(files[f"runs/{run.id}.sqlite"])
    count = "select count(*) from instances where side = 'truth' and status = ?"
    found, missed = (database.execute(count, [status]).fetchone()[0] for status in ("found", "missed"))
    assert (found, missed) == wanted
    assert found


def test_checksums_are_those_of_the_files(full_store: Store, tmp_path: Path) -> None:
    """Every file is in SHA256SUMS with its digest."""
    made = make_files(export(full_store, PrivacyPolicy()), tmp_path, parquet=False)
    lines = dict(reversed(line.split("  ")) for line in checksums(made).decode().splitlines())
    assert lines == {file.name: hashlib.sha256(file.data).hexdigest() for file in made}


def test_every_table_is_described(files: dict[str, bytes]) -> None:
    """The downloads page says what each table is, and no table is left out; nor of the files of single runs."""
    own = next(name for name in files if name.startswith("runs/"))
    for file, tables in (("results.sqlite", set(TABLES)), (own, {"about", *RUN_TABLES})):
        database = sqlite3.connect(":memory:")
        database.deserialize(files[file])
        names = {name for (name,) in database.execute("select name from sqlite_master where type = 'table'")}
        assert names == tables


def test_spreadsheets_take_no_text_for_a_formula() -> None:
    """A text that begins as a formula gets an apostrophe; numbers stay as they are."""
    assert [downloads.harmless(value) for value in ("=1+1", "-x", "plain", -1.5, None)] == [
        "'=1+1", "'-x", "plain", -1.5, None,
    ]  # fmt: skip


def test_empty_tables_are_written(store: Store, tmp_path: Path) -> None:
    """An empty database gives files with headings only."""
    made = {file.name: file.data for file in make_files(export(store, PrivacyPolicy()), tmp_path, parquet=True)}
    assert made["runs.csv"].count(b"\n") == 1
    assert made["metrics.parquet"]
