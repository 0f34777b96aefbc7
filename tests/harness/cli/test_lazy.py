"""Commands are imported when they are called, not when they are listed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from harness.cli import cli
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


def _commands(context: click.Context) -> Iterator[click.Context]:
    if not isinstance(context.command, click.Group):
        yield context
        return
    for name in context.command.list_commands(context):
        command = context.command.get_command(context, name)
        assert command is not None
        with click.Context(command, info_name=name, parent=context) as inner:
            yield from _commands(inner)


def test_every_option_has_a_variable_named_after_its_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the function behind it calls its parameter."""
    with click.Context(cli, info_name="bench", auto_envvar_prefix="BENCH") as root:
        seen = 0
        for context in _commands(root):
            path = "_".join(context.command_path.split()[1:])
            for option in context.command.params:
                if isinstance(option, click.Option):
                    name = f"BENCH_{path}_{max(option.opts, key=len)[2:]}".upper().replace("-", "_")
                    monkeypatch.setenv(name, "seen")
                    assert option.resolve_envvar_value(context) == "seen", (
                        f"{context.command_path} {option.opts}: {name}"
                    )
                    monkeypatch.delenv(name)
                    seen += 1
    assert seen > 400


def test_the_variable_that_commands_share_holds_where_the_own_one_is_not_set() -> None:
    """BENCH_PLUGIN_DIR for every command, BENCH_LIST_PLUGIN_DIR for one."""
    own, shared = {"BENCH_LIST_PLUGIN_DIR": "/no/such/own"}, {"BENCH_PLUGIN_DIR": "/no/such/shared"}
    for environment, named in ((shared, "/no/such/shared"), (shared | own, "/no/such/own")):
        failed = CliRunner(env=environment).invoke(cli, ["list"])
        assert isinstance(failed.exception, UsageError)
        assert named in str(failed.exception)
