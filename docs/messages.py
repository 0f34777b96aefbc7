"""The list of every message that ends a command or stands in its way, read from the code that raises it."""  # noqa: INP001

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from files import table

from harness import errors

_ROOT = Path(__file__).resolve().parents[1]
_ROOMS = ("harness", "curation", "leaderboard")

#: What stands where a name, a number or another program's words are in the message.
_OPEN = "…"

_CODES = {
    name: kind.exit_code
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.BenchError)
}


def messages() -> str:
    """Return the table of messages by their first fixed words, each with its exit code and its fix."""
    found: dict[str, tuple[set[int], set[str]]] = {}
    for message, code, fix in _raised():
        codes, fixes = found.setdefault(message, (set(), set()))
        codes.add(code)
        fixes.add(fix)
    return table(
        ["message", "exit code", "fix"],
        (
            [_cell(message), ", ".join(map(str, sorted(codes))), "<br>".join(map(_cell, sorted(fixes - {""})))]
            for message, (codes, fixes) in sorted(found.items(), key=lambda one: _first_words(one[0]))
        ),
    )


def _raised() -> Iterator[tuple[str, int, str]]:
    """Yield message, exit code and fix of every error that is made with words of its own."""
    paths = [path for room in _ROOMS for path in sorted((_ROOT / room).rglob("*.py"))]
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in paths]
    codes = dict(_kinds(trees)) | _CODES
    for tree in trees:
        known = {
            target.id: node.value
            for node in tree.body
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in codes:
                fix = next((word.value for word in node.keywords if word.arg == "fix"), None)
                message = _closed(_words(node.args[0], known)) if node.args else _OPEN
                if node.func.id == errors.UnknownName.__name__:
                    message = f"no {message} is named {_OPEN}"
                if _first_words(message):
                    yield message, codes[node.func.id], _closed(_words(fix, known)) if fix else ""


def _kinds(trees: Iterable[ast.Module]) -> Iterator[tuple[str, int]]:
    """Yield name and exit code of each kind of error that a room makes of one of the tree's."""
    for node in (node for tree in trees for node in tree.body):
        if isinstance(node, ast.ClassDef):
            yield from (
                (node.name, _CODES[base.id]) for base in node.bases if isinstance(base, ast.Name) and base.id in _CODES
            )


def _words(node: ast.expr, known: Mapping[str, ast.expr]) -> str:
    """Return the fixed words of an expression that makes a text, what is filled in left open."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_words(part, known) for part in parts)
        case ast.FormattedValue(value=value):
            return _words(value, known)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _words(left, known) + _words(right, known)
        case ast.Name(id=name) if name in known and "://" not in (text := _words(known[name], {})):
            return text
        case _:
            return _OPEN


def _closed(text: str) -> str:
    """Return a text with one sign for all that is filled in side by side; empty where all of it is."""
    closed = re.sub(rf"{_OPEN}(\s?{_OPEN})+", _OPEN, text)
    return closed if closed != _OPEN else ""


def _first_words(message: str) -> str:
    """Return what a message is looked up by: its words from the first fixed one on."""
    return re.sub(rf"^[^\w`-]+|[{_OPEN}`'\"]", "", message).casefold()


def _cell(text: str) -> str:
    """Return a text as a cell of a table: as it is printed, with nothing in it that Markdown would read."""
    return re.sub(r"([\\|*_<>\[\]$])", r"\\\1", " ".join(text.split()))
