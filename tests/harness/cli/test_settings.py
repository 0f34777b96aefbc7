"""The home folder and its database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli import cli
from harness.cli.settings import Settings
from harness.errors import BenchError


def test_the_database_lies_in_the_home(tmp_path: Path) -> None:
    """A home is a folder like any other: what is in it is all there is."""
    settings = Settings(tmp_path / "home")
    with settings.open_store():
        pass
    assert settings.database.is_relative_to(tmp_path / "home")
    assert settings.database.exists()


def test_reading_makes_no_database(tmp_path: Path) -> None:
    """A command that only reads says that there is nothing yet, and leaves no file behind."""
    with pytest.raises(BenchError):
        Settings(tmp_path / "home").open_store(readonly=True)
    assert not (tmp_path / "home" / "results.db").exists()


def test_a_home_is_closed_to_other_users(tmp_path: Path) -> None:
    """Truths and scans lie there: a home that is made has no right for others; one that was there keeps its own."""
    fresh, older, by_store = tmp_path / "a" / "fresh", tmp_path / "older", tmp_path / "by" / "store"
    older.mkdir(mode=0o755)
    for home in (fresh, older):
        Settings(home).make_for_us_alone()
    Settings(by_store).open_store().close()
    assert [home.stat().st_mode & 0o777 for home in (fresh, older, by_store)] == [0o700, 0o755, 0o700]


@pytest.mark.parametrize("words", [["list"], ["run", "--help"], ["data", "validate", "none"], ["get", "--plugin", "x"]])
def test_every_command_makes_the_home_first(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closed from the first moment on, whatever the command writes in it; gone again where it wrote nothing."""
    home, seen = tmp_path / "a" / ".bench", []
    make = Settings.make_for_us_alone

    def watched(self: Settings) -> Callable[[], None]:
        done = make(self)

        def look() -> None:
            seen.append(self.home.stat().st_mode & 0o777)
            done()

        return look

    monkeypatch.setattr(Settings, "make_for_us_alone", watched)
    CliRunner().invoke(cli, ["--home", str(home), *words])
    assert seen == [0o700]
    assert not (tmp_path / "a").exists()


def test_a_home_that_is_used_stays(tmp_path: Path) -> None:
    """Only what nobody wrote into is removed at the end."""
    done = Settings(tmp_path / "a" / "home").make_for_us_alone()
    (tmp_path / "a" / "home" / "data").mkdir()
    done()
    assert (tmp_path / "a" / "home" / "data").is_dir()


def test_git_ignores_a_home_of_the_usual_name(tmp_path: Path) -> None:
    """Scans do not get into a plugin author's repository; a folder with another name may hold the user's own files."""
    ours, theirs = tmp_path / ".bench", tmp_path / "project"
    for home in (ours, theirs):
        Settings(home).keep_from_git()
        assert not home.exists()
        home.mkdir()
        Settings(home).keep_from_git()
    assert (ours / ".gitignore").read_text() == "*\n"
    assert list(theirs.iterdir()) == []
    (ours / ".gitignore").write_text("mine\n")
    Settings(ours).keep_from_git()
    assert (ours / ".gitignore").read_text() == "mine\n"
