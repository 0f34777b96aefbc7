"""The files for programs: one content in every format, with right checksums."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import sqlite3
from pathlib import Path

import pytest

from harness.store.database import Store
from leaderboard.pages import downloads
from leaderboard.pages.downloads import checksums, make_files
from leaderboard.published.database import TABLES
from leaderboard.published.export import export
from leaderboard.published.privacy import PrivacyPolicy

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

    for table in ("runs", "scores", "metrics"):
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
    """As in the whole table, with the names of case and finding; none of a run that was replaced, or a closed split."""
    for plugin in ("rules", "rules", "friend"):
        bench.add(plugin=plugin, cases=2)
    made = {file.name: file.data for file in make_files(export(store, PrivacyPolicy()), tmp_path, parquet=False)}
    assert {name for name in made if "/" in name} == {"scores/run-02.csv", "scores/run-03.csv"}
    rows = list(csv.DictReader(io.StringIO(made["scores/run-02.csv"].decode())))
    findings = list(csv.DictReader(io.StringIO(made["findings.csv"].decode())))
    scores = [row for row in csv.DictReader(io.StringIO(made["scores.csv"].decode())) if row["run"] == "run-02"]
    named = {row["number"]: {name: row[name] for name in ("case", "finding", "category")} for row in findings}
    assert rows == [named[row.pop("number")] | {name: row[name] for name in row if name != "run"} for row in scores]
    (tmp_path / "closed").mkdir()
    closed = make_files(export(store, PrivacyPolicy(public=True)), tmp_path / "closed", parquet=False)
    assert not [file.name for file in closed if "/" in file.name]


def test_instances_sum_to_the_counts_of_their_run(full_store: Store, files: dict[str, bytes]) -> None:
    """The table of instances has every entity that the instance metrics of a run count, found or missed."""
    run = full_store.runs()[0]
    counted = [row.details.instances for row in full_store.findings(run.id) if row.details.instances]
    wanted = sum(each.overlap.tp for each in counted), sum(each.overlap.fn for each in counted)
    database = sqlite3.connect(":memory:")
    database.deserialize(files["results.sqlite"])
    count = "select count(*) from instances where run = ? and side = 'truth' and status = ?"
    found, missed = (database.execute(count, [run.id, status]).fetchone()[0] for status in ("found", "missed"))
    assert (found, missed) == wanted
    assert found
    assert f"{run.id},1,truth,1," in files["instances.csv"].decode()


def test_checksums_are_those_of_the_files(full_store: Store, tmp_path: Path) -> None:
    """Every file is in SHA256SUMS with its digest."""
    made = make_files(export(full_store, PrivacyPolicy()), tmp_path, parquet=False)
    lines = dict(reversed(line.split("  ")) for line in checksums(made).decode().splitlines())
    assert lines == {file.name: hashlib.sha256(file.data).hexdigest() for file in made}


def test_every_table_is_described(files: dict[str, bytes]) -> None:
    """The downloads page says what each table is, and no table is left out."""
    names = {name for (name,) in _query(files, "select name from sqlite_master where type = 'table'")}
    assert names == set(TABLES)


def _query(files: dict[str, bytes], query: str) -> list[tuple[str]]:
    database = sqlite3.connect(":memory:")
    database.deserialize(files["results.sqlite"])
    return database.execute(query).fetchall()


def test_spreadsheets_take_no_text_for_a_formula() -> None:
    """A text that begins as a formula gets an apostrophe; numbers stay as they are."""
    assert [downloads.harmless(value) for value in ("=1+1", "-x", "plain", -1.5, None)] == [
        "'=1+1", "'-x", "plain", -1.5, None,
    ]  # fmt: skip


def test_empty_tables_are_written(store: Store, tmp_path: Path) -> None:
    """An empty database gives files with headings only."""
    made = {file.name: file.data for file in make_files(export(store, PrivacyPolicy()), tmp_path, parquet=True)}
    assert made["runs.csv"].count(b"\n") == 1
    assert made["scores.parquet"]
