"""A database that was edited by hand builds no site: each edit is named."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.cli.settings import Settings
from harness.store.database import Store
from leaderboard.commands.leaderboard import build
from tests.harness.submissions.conftest import Made, call, measure, write_data

EDITS = {
    "+0.5": ("update metrics set value = value + 0.5 where metric = 'dice'", "mlhc2025 dice/"),
    "a finding": ("update findings set dice = 1.0 where finding = '0'", "record findings."),
    "a better engine": ("update runs set engine = 'podman'", "record run.engine"),
    "a level": ("update runs set record = json_set(record, '$.level', 'sealed')", "record run.record.level"),
    "another scorer": ("update runs set record = json_set(record, '$.scorer', 'x')", "record run.record.scorer"),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Return a home with one measured row."""
    folder = tmp_path_factory.mktemp("proven")
    write_data(folder)
    return measure(folder)


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_database_builds_nothing(edit: str, home: Made, tmp_path: Path) -> None:
    """The row and the first differences are named, and no folder is made."""
    statement, says = EDITS[edit]
    copy = Path(shutil.copytree(home.home, tmp_path / "home"))
    with Store(copy / "results.db") as store, store.write() as db:
        db.execute(statement)
    refused = call(copy, build, "--out", tmp_path / "site", "--no-figures", code=4)
    assert says in str(refused.exception)
    assert not (tmp_path / "site").exists()


def test_a_row_without_its_record_is_told(home: Made, tmp_path: Path) -> None:
    """Nothing confirms it, which is said; what nobody touched builds without a word."""
    copy = Path(shutil.copytree(home.home, tmp_path / "home"))
    assert "no record" not in call(copy, build, "--out", tmp_path / "site", "--no-figures").stderr
    (copy / "runs" / home.run / "record.json").unlink()
    assert "have no record" in call(copy, build, "--out", tmp_path / "site", "--no-figures").stderr
    assert Settings(copy).database.exists()
