"""Write the generated parts of the documentation, or check that they are up to date (``--check``)."""  # noqa: INP001

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from harness.cli import cli
from harness.contract import schemas

DOCS = Path(__file__).resolve().parent
_BEGIN, _END = "<!-- generated, do not edit: make docs -->\n", "<!-- end of the generated part -->\n"


def _schemas() -> str:
    """Return the JSON Schema of every record of the contract."""
    return "\n".join(
        f"### `{name}`\n\n```json\n{json.dumps(schema, indent=2)}\n```\n" for name, schema in schemas().items()
    )


def _commands() -> str:
    """Return the help page of every command."""
    blocks = []
    with click.Context(cli, info_name="bench", terminal_width=80, **cli.context_settings) as root:
        for context in _contexts(root):
            page = context.command.get_help(context)
            blocks.append(f"## `{context.command_path}`\n\n```text\n{page}\n```\n")
    return "\n".join(blocks)


def _contexts(context: click.Context) -> Iterator[click.Context]:
    yield context
    command = context.command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None:
                with click.Context(inner, info_name=name, parent=context, **inner.context_settings) as child:
                    yield from _contexts(child)


GENERATED: dict[str, Callable[[], str]] = {"contract.md": _schemas, "cli.md": _commands}


def renewed(text: str, generated: str) -> str:
    """Return `text` with `generated` between the two markers."""
    before, rest = text.split(_BEGIN)
    _, after = rest.split(_END)
    return f"{before}{_BEGIN}\n{generated}\n{_END}{after}"


def main(arguments: list[str]) -> int:
    """Write every page, or with ``--check`` name those that are out of date; returns the exit code."""
    stale = []
    for name, generate in GENERATED.items():
        text = (DOCS / name).read_text(encoding="utf-8")
        new = renewed(text, generate())
        if text != new:
            stale.append(name)
            if "--check" not in arguments:
                (DOCS / name).write_text(new, encoding="utf-8")
    if stale and "--check" in arguments:
        sys.stderr.write(f"out of date: {', '.join(stale)}; run `make docs`\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
