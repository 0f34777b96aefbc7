"""Generated parts that are lists: environment variables, statuses, exit codes, tables of the database."""  # noqa: INP001

from __future__ import annotations

import enum
import inspect
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import click
from sqlite_utils import Database

from harness import errors
from harness.cli import cli
from harness.rows import CaseRow, FindingRow, RunRow
from harness.status import RowLevel, Status, TrainingState
from harness.store.migrations import migrations

_ROLE = re.compile(r":class:`~?(?:[\w.]+\.)?(\w+)`")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell or ' ' for cell in line)} |\n" for line in lines)


def meanings(kind: type, section: str) -> dict[str, str]:
    """Read the meaning of each field from a section of the class's docstring, which has NumPy's form."""
    text = (inspect.getdoc(kind) or "").partition(f"{section}\n{'-' * len(section)}\n")[2]
    found: dict[str, str] = {}
    names: list[str] = []
    for line in text.splitlines():
        if line and not line.startswith(" "):
            names = line.split(", ")
            found |= dict.fromkeys(names, "")
        elif line.strip():
            found |= {name: f"{found[name]} {line.strip()}".strip() for name in names}
    return {name: _ROLE.sub(r"`\1`", said).replace("``", "`").replace("|", "\\|") for name, said in found.items()}


def contexts(context: click.Context) -> Iterator[click.Context]:
    """Yield the context of a command and of every command below it."""
    yield context
    command = context.command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None:
                with click.Context(inner, info_name=name, parent=context, **inner.context_settings) as child:
                    yield from contexts(child)


def variables() -> str:
    """Return the variables of every command's options."""
    rows = []
    with click.Context(cli, info_name="bench", **cli.context_settings) as root:
        for context in contexts(root):
            names = [
                f"`{option.envvar if isinstance(option.envvar, str) else option.envvar[0]}`"
                for option in context.command.params
                if isinstance(option, click.Option) and option.envvar
            ]
            if names:
                rows.append([f"`{context.command_path}`", ", ".join(names)])
    return table(["command", "variables of its options"], rows)


def statuses() -> str:
    """Return every status, level and state with its meaning, and the exit codes."""
    kinds: tuple[tuple[str, type[enum.StrEnum]], ...] = (
        ("A case or a finding", Status),
        ("A training", TrainingState),
        ("Levels of a row", RowLevel),
    )
    blocks = [f"## {title}\n\n{table(['word', 'meaning'], _words(kind))}" for title, kind in kinds]
    ends = [
        (kind.exit_code, (inspect.getdoc(kind) or "").splitlines()[0].rpartition("; exit code")[0])
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.BenchError) and "exit_code" in vars(kind)
    ]
    rows = [["0", "Done"], *([str(code), meaning] for code, meaning in sorted(ends) if meaning)]
    return "\n".join([*blocks, f"## Exit codes\n\n{table(['code', 'meaning'], rows)}"])


def _words(kind: type[enum.StrEnum]) -> Iterator[list[str]]:
    """Yield each word of an enumeration with the comment behind it."""
    for name, said in re.findall(r'^ {4}([A-Z_]+) = "\w+"  #: (.*)$', inspect.getsource(kind), re.MULTILINE):
        yield [f"`{kind[name].value}`", said.replace("``", "`")]


#: Tables in the order of reading, what a row of each is, and the class that documents its columns.
_TABLES: dict[str, tuple[str, type | None]] = {
    "runs": ("a run or a submission", RunRow),
    "cases": ("the outcome of a case", CaseRow),
    "findings": ("a finding: its text, its mask, its scores", FindingRow),
    "metrics": ("a mean of a run, by profile, metric and group", None),
    "trainings": ("a training, named by the digest of its plan", None),
    "training": ("a point of a training's curve", None),
    "archived": ("a run that lists and boards leave out", None),
}


def tables() -> str:
    """Return the tables of the results database, with the meaning of their columns."""
    db = Database(memory=True)
    migrations.apply(db)
    blocks = []
    for name in sorted(set(db.table_names()) - {migrations.migrations_table}, key=[*_TABLES].index):
        what, kind = _TABLES[name]
        said = meanings(kind, "Attributes") if kind else {}
        rows = [
            [", ".join(f"`{c.name}` {str(c.type).lower()}{' (key)' if c.is_pk else ''}" for c in columns), meaning]
            for meaning, columns in groupby(db.table(name).columns, key=lambda column: said.get(column.name, ""))
        ]
        blocks.append(f"### `{name}`: {what}\n\n{table(['columns', 'meaning'], rows)}")
    return "\n".join(blocks)
