"""The home folder and its database."""

from __future__ import annotations

from pathlib import Path

import pytest

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
