"""A row of a results repository that is changed, removed, made again, or struck from the log, is named."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from harness.cli.submission_log import log
from harness.errors import DataError
from harness.submissions.record_log import LOG, read_log
from harness.submissions.text_files import MANIFEST, SUBMISSIONS, manifest_of


def _log(repository: Path, *options: str) -> Result:
    return CliRunner().invoke(log, [str(repository), *options])


@pytest.fixture
def repository(honest: Path, tmp_path: Path) -> Path:
    """Return a results repository with one logged row."""
    shutil.copytree(honest, tmp_path / SUBMISSIONS / "data" / "test" / "model" / "variant" / "row")
    assert "1 rows added, 1 lines" in _log(tmp_path).output
    return tmp_path


def _row(repository: Path) -> Path:
    return next((repository / SUBMISSIONS).rglob(MANIFEST)).parent


def _made_again(repository: Path) -> None:
    """Change a card and its manifest, as whoever owns a row may: what was run stays the same."""
    row = _row(repository)
    card = row / "card.toml"
    card.write_text(card.read_text(encoding="utf-8").replace("Example Lab", "Example Labs"), encoding="utf-8")
    files = {path.name: path.read_bytes() for path in row.iterdir()}
    (row / MANIFEST).write_bytes(manifest_of(files))


def test_what_is_logged_holds(repository: Path) -> None:
    """The same rows add nothing, and hold."""
    assert "0 rows added, 1 lines" in _log(repository).output
    checked = _log(repository, "--check")
    assert checked.exit_code == 0
    assert "1 rows are as the log has them" in checked.output


def _removed(repository: Path) -> None:
    shutil.rmtree(_row(repository))


def _moved(repository: Path) -> None:
    _row(repository).rename(_row(repository).with_name("better"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_made_again, "is not in the log; the log has"),
        (_removed, "is in the log, and is gone"),
        (_moved, "and is gone"),
    ],
)
def test_a_row_that_changed_is_named(repository: Path, change: Callable[[Path], None], words: str) -> None:
    """Whatever becomes of a row in silence, the log says so."""
    change(repository)
    checked = _log(repository, "--check")
    assert checked.exit_code != 0
    assert words in checked.output


def test_a_row_that_was_made_again_has_two_lines(repository: Path) -> None:
    """Logged openly, the second row of one plan is told as such, for good."""
    _made_again(repository)
    assert "1 rows added, 2 lines" in _log(repository).output
    assert "one plan, 2 rows" in _log(repository, "--check").output


@pytest.mark.parametrize("change", ["first line gone", "a digit", "cut short", "noise"])
def test_the_log_itself_cannot_be_edited(repository: Path, change: str) -> None:
    """Each line contains the digest of the one before it."""
    _made_again(repository)
    _log(repository)
    path = repository / LOG
    first, second = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text(
        {
            "first line gone": second,
            "a digit": first.replace(first[70], "0" if first[70] != "0" else "1", 1) + second,
            "cut short": first + second[:-9],
            "noise": first + second + "\x1b[2J\n",
        }[change],
        encoding="utf-8",
    )
    with pytest.raises(DataError, match=r"record-log\.txt"):
        read_log(repository)
