"""A database is derived from text: whatever the order, the same rows; nobody's row becomes one that was run here."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from harness.cli.results_import import import_rows
from harness.cli.submit import submit
from harness.cli.verify import verify
from harness.store.database import Store

from .conftest import Made, call

Tamper = Callable[[str, Callable[[str], str]], Path]


def _content(home: Path) -> list[str]:
    with closing(sqlite3.connect(home / "results.db")) as db:
        return sorted(
            repr(row)
            for table in ("runs", "cases", "findings", "metrics")
            for row in db.execute(f"select * from {table}")  # noqa: S608
        )


def test_the_order_changes_nothing(honest: Path, made: Made, tmp_path: Path) -> None:
    """Two folders in either order, together, one by one or twice are the same rows, and they prove elsewhere."""
    second = tmp_path / "second"
    call(made.home, submit, made.run, "--to", second, "--public-split", "test", "--jobs", 1)
    (other,) = (path.parent for path in second.rglob("record.json"))
    orders = {"a": [honest, other], "b": [other, honest]}
    for name, order in orders.items():
        for one in order:
            call(tmp_path / name, import_rows, one)
    call(tmp_path / "c", import_rows, other, honest, honest)
    assert "already there" in call(tmp_path / "c", import_rows, honest).stdout
    assert _content(tmp_path / "a") == _content(tmp_path / "b") == _content(tmp_path / "c")
    with Store(tmp_path / "a" / "results.db", readonly=True) as store:
        rows = store.runs()
    assert {(row.kind, row.record["level"]) for row in rows} == {("imported", "reported")}
    assert len({row.id for row in rows}) == 2
    options = ("--masks", made.masks, "--dataset", made.data, "--jobs", 1, "--json")
    report = json.loads(call(tmp_path / "a", verify, rows[0].id, *options).stdout)
    assert report["differences"] == []


def test_a_row_of_the_same_plan_that_is_run_here_is_another_row(honest: Path, made: Made, tmp_path: Path) -> None:
    """An imported row never stands in the way of a run, nor in its place."""
    home = Path(shutil.copytree(made.home, tmp_path / "home"))
    call(home, import_rows, honest)
    with Store(home / "results.db", readonly=True) as store:
        measured, imported = sorted(store.runs(), key=lambda run: run.kind, reverse=True)
        assert store.latest(measured.plan_key) == measured
    assert imported.record["travelled"]["run"] == measured.id
    assert imported.plan_key != measured.plan_key


def test_a_level_in_the_record_is_not_believed(tamper: Tamper, tmp_path: Path) -> None:
    """Whatever a stranger's record says of its level, it is what was seen here."""
    folder = tamper(
        "record.json", lambda text: text.replace('   "hardware":', '   "travelled": {},\n   "hardware":', 1)
    )
    text = (folder / "record.json").read_text()
    assert '"travelled"' in text
    row = _imported(folder, tmp_path)
    assert row["level"] == "reported"


def _imported(folder: Path, tmp_path: Path) -> dict[str, str]:
    from harness.submissions.strict_json import write_json
    from harness.submissions.text_files import MANIFEST, manifest_of

    document = json.loads((folder / "record.json").read_text())
    document["run"]["record"] |= {"level": "sealed"}
    (folder / "record.json").write_bytes(write_json(document))
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / MANIFEST).write_bytes(manifest_of(files))
    found: dict[str, str] = json.loads(call(tmp_path / "home", import_rows, folder, "--json").stdout)["rows"][0]
    return found


def test_nothing_is_imported_when_one_fails(honest: Path, tamper: Tamper, tmp_path: Path) -> None:
    """All are verified before the first is stored."""
    bad = tamper("record.json", lambda text: text.replace('"attempt": 1', '"attempt": 2'))
    text = (bad / "record.json").read_text()
    (bad / "record.json").write_text(text.replace('"seed": 0', '"seed": 1'))
    refused = call(tmp_path / "home", import_rows, honest, bad, code=4)
    assert "SHA256SUMS" in str(refused.exception)
    with Store(tmp_path / "home" / "results.db") as store:
        assert store.runs() == []
