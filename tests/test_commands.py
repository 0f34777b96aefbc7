"""Every command line that documentation, pages, templates, error hints and the harness's own texts print exists."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest

from harness.cli import cli

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("harness", "plugins", "containers", "curation", "leaderboard")

#: Pages that say what there is now; the changelog says what there was.
#: Help pages are made from the docstrings read below.
_OTHERS = {"CHANGELOG.md", "cli.md"}
PAGES = [page for page in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")) if page.name not in _OTHERS]
PAGES += [page for room in ROOMS for page in (ROOT / room).rglob("*.md")]
TEXTS = [p for room in ROOMS for end in ("j2", "yml", "html", "toml") for p in (ROOT / room).rglob(f"*.{end}")]
MODULES = [p for room in ROOMS for p in (ROOT / room).rglob("*.py") if "tests" not in p.relative_to(ROOT).parts]

_QUOTED = re.compile(r"`bench(\s[^`]*)?`")
_PROMPT = r"^\s*(?:\$ |- run: |Example: |next: )?(?:\S*/)?"
_LINE = re.compile(_PROMPT + r"bench ((?:[^\n\\]|\\\n|\\(?!\n))*)", flags=re.MULTILINE)
_FENCE = re.compile(r"^( *)```.*?\n(.*?)^\1```", flags=re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(<pre>)?<code>(.*?)</code>", flags=re.DOTALL)
_SHELL = {"|", "||", "&&", ";", ">", ">>", "<", "&", "2>"}


class Printed(NamedTuple):
    """A command line and its place; `whole` where it may be pasted as it is."""

    where: str
    line: str
    whole: bool


def in_page(path: Path) -> Iterator[Printed]:
    """Read a Markdown page: the lines of its code blocks, and what it quotes in a sentence."""
    text = path.read_text(encoding="utf-8")
    where = str(path.relative_to(ROOT))
    for _, block in _FENCE.findall(text):
        yield from (Printed(where, line, whole=True) for line in _LINE.findall(block))
    prose = _FENCE.sub("", text)
    if path.name == "messages.md":  # where it stands for what is filled in
        prose = prose.replace("…", "VALUE")
    yield from (Printed(where, line, whole=False) for line in _QUOTED.findall(prose))


def in_text(path: Path) -> Iterator[Printed]:
    """Read a template or a workflow: what is marked as code, and lines that are run."""
    text = path.read_text(encoding="utf-8")
    where = str(path.relative_to(ROOT))
    pieces = _CODE.findall(text) if path.suffix in {".j2", ".html"} else [("lines", text)]
    for block, piece in pieces:
        plain = re.sub(r"\{\{.*?\}\}", "VALUE", re.sub(r"<[^>]*>", "", piece))
        yield from (Printed(where, line, whole=bool(block)) for line in _LINE.findall(plain))
    yield from (Printed(where, line, whole=False) for line in _QUOTED.findall(text))


def in_module(path: Path) -> Iterator[Printed]:
    """Read the strings of a module: what they quote, and the examples of docstrings; a value in one is ``VALUE``."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "VALUE" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
            text = node.value
        else:
            continue
        where = f"{path.relative_to(ROOT)}:{node.lineno}"
        yield from (Printed(where, line, whole=True) for line in _LINE.findall(text))
        yield from (Printed(where, line, whole=False) for line in _QUOTED.findall(text))


def printed() -> list[Printed]:
    """Return every command line that the project prints."""
    return [
        *(line for path in PAGES for line in in_page(path)),
        *(line for path in TEXTS for line in in_text(path)),
        *(line for path in MODULES for line in in_module(path)),
    ]


def words_of(line: str) -> list[str]:
    """Split a line as a shell does, up to the next command; the dots of an abbreviated line say nothing."""
    words = []
    for word in shlex.split(line.replace("\\\n", " "), comments=True):
        if word in _SHELL:
            break
        words.append(word.rstrip(";,"))
    return [word.replace("[", "").replace("]", "") for word in words if word.strip("….") and word != "VALUE…"]


def spelled_out(words: list[str]) -> Iterator[list[str]]:
    """Yield a command line for each alternative: ``build|serve`` is two."""
    yield from (list(chosen) for chosen in product(*(word.split("|") for word in words)))


def fault(words: list[str], *, whole: bool) -> str:
    """Return what is wrong with a command line, held against the commands as they are; empty where nothing is."""
    return _fault(cli, click.Context(cli, info_name="bench"), words, whole=whole)


def _fault(command: click.Command, context: click.Context, rest: list[str], *, whole: bool) -> str:
    try:
        values, left, _ = command.make_parser(context).parse_args(list(rest))
    except click.BadOptionUsage as error:
        return f"{context.command_path}: {error.format_message()}" if whole else ""  # a sentence names the option
    except click.UsageError as error:
        return f"{context.command_path}: {error.format_message()}"
    if not isinstance(command, click.Group):
        return _fault_of_values(command, context, values, left, whole=whole)
    if not left:
        return ""
    name, *rest = left
    faults = []
    for known in command.list_commands(context) if name == "VALUE" else [name]:
        found = command.get_command(context, known)
        if found is None:
            return f"{context.command_path} has no command {name}"
        faults.append(_fault(found, click.Context(found, info_name=known, parent=context), rest, whole=whole))
    return min(faults, key=len)  # of commands that a value names, one must fit


def _fault_of_values(
    command: click.Command, context: click.Context, values: dict[str, Any], left: list[str], *, whole: bool
) -> str:
    if left:
        return f"{context.command_path} takes no argument {left[0]}"
    for parameter in command.params:
        given = values.get(parameter.name or "")
        several = given if isinstance(given, list | tuple) else [given]
        if isinstance(parameter.type, click.Choice):
            wrong = [v for v in several if isinstance(v, str) and v.islower() and v not in parameter.type.choices]
            if wrong:
                return f"{context.command_path}: {parameter.name} is never {wrong[0]}"
        if whole and parameter.required and not [value for value in several if isinstance(value, str)]:
            return f"{context.command_path} needs {parameter.name}"
    return ""


@pytest.mark.costly
def test_every_printed_command_exists() -> None:
    """Every `bench …` that is printed names a command, options and values that exist; whole lines lack nothing."""
    lines = printed()
    faults = [
        f"{where}: bench {' '.join(words)}: {why}"
        for where, line, whole in lines
        for words in spelled_out(words_of(line))
        if (why := fault(words, whole=whole))
    ]
    assert not faults, "\n".join(faults)
    assert len(lines) > 200, "the lines are no longer found"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("runn --plugin rules", "no command runn"),
        ("run --plugins rules", "No such option"),
        ("run --plugin", "requires an argument"),
        ("run --plugin rules --engine dockre", "never dockre"),
        ("curate run", "needs"),
        ("list rules", "no argument"),
        ("leaderboard build|sreve", "no command sreve"),
    ],
)
def test_a_wrong_command_is_found(line: str, why: str) -> None:
    """A command, an option, a value, an argument that does not exist, and one that is lacking, are each found."""
    assert any(why in fault(words, whole=True) for words in spelled_out(words_of(line)))
