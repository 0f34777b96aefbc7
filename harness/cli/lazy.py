"""Command groups whose commands are named as strings and imported only when they are called."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click

from harness.errors import UnknownName


class LazyGroup(click.Group):
    """A click group that knows its commands by ``name -> ("module:attribute", one-line help)``.

    Help pages list the commands from that table alone, so that ``bench --help`` imports no command's code.
    """

    def __init__(self, *args: Any, lazy: Mapping[str, tuple[str, str]] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lazy = dict(lazy or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands in the order of the table, then those registered directly."""
        return [*self.lazy, *(name for name in super().list_commands(ctx) if name not in self.lazy)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command, or None where it is not known."""
        if cmd_name not in self.lazy:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = self.lazy[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)  # noqa: S101 - a wrong table is our own bug
        if ctx.auto_envvar_prefix:
            name_variables(command, f"{ctx.auto_envvar_prefix}_{_as_variable(cmd_name)}")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the requested command; for an unknown one the error shows the nearest names."""
        name = args[0]
        if not name.startswith("-") and name not in self.list_commands(ctx):
            raise UnknownName("command", name, self.list_commands(ctx), fix=f"see `{ctx.command_path} --help`")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - the interface
        """Write the command list without importing any command."""
        rows = [(name, self.lazy[name][1]) for name in self.lazy]
        rows += [
            (name, command.get_short_help_str(limit=80))
            for name, command in sorted(self.commands.items())
            if name not in self.lazy
        ]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


def name_variables(command: click.Command, prefix: str) -> None:
    """Name the environment variable of every option after its flag: ``--plugin`` is ``<prefix>_PLUGIN``.

    click would name it after the parameter of the function, which nobody who calls the command can know. A variable
    that several commands share, as ``BENCH_PLUGIN_DIR``, holds where the command's own is not set.
    """
    for option in command.params:
        if isinstance(option, click.Option):
            own = f"{prefix}_{_as_variable(max(option.opts, key=len).lstrip('-'))}"
            shared = [option.envvar] if isinstance(option.envvar, str) else list(option.envvar or ())
            option.envvar = list(dict.fromkeys([own, *shared]))
    for name, inner in command.commands.items() if isinstance(command, click.Group) else ():
        name_variables(inner, f"{prefix}_{_as_variable(name)}")


def _as_variable(name: str) -> str:
    return name.upper().replace("-", "_")
