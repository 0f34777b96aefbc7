"""Commands are imported when they are called, not when they are listed."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from harness.cli.lazy import LazyGroup
from harness.errors import UsageError


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LazyGroup:
    """A group of two commands: one works, the module of the other is broken."""
    (tmp_path / "lazy_good.py").write_text(
        "import click\n\n\n@click.command()\ndef hello():\n    click.echo('hello')\n"
    )
    (tmp_path / "lazy_bad.py").write_text("raise ImportError('heavy')\n")
    monkeypatch.syspath_prepend(tmp_path)
    return LazyGroup(
        "bench", lazy={"hello": ("lazy_good:hello", "Say hello."), "bad": ("lazy_bad:bad", "Cannot be imported.")}
    )


def test_help_imports_no_command(group: LazyGroup) -> None:
    """The help page has every command, also one that cannot be imported."""
    shown = CliRunner().invoke(group, ["--help"])
    assert shown.exit_code == 0
    assert "Say hello." in shown.output
    assert "Cannot be imported." in shown.output
    assert not {"lazy_good", "lazy_bad"} & set(sys.modules)


def test_a_command_is_imported_when_it_is_called(group: LazyGroup) -> None:
    """Only the one that is called."""
    assert CliRunner().invoke(group, ["hello"]).output == "hello\n"
    assert "lazy_bad" not in sys.modules


def test_an_unknown_command_gets_its_neighbour(group: LazyGroup) -> None:
    """A slip is answered with the command that was meant."""
    with click.Context(group) as context, pytest.raises(UsageError) as refused:
        group.resolve_command(context, ["helo"])
    assert "hello" in refused.value.fix
