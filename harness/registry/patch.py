"""A patch that pins files of weights in a plugin's declaration, made from its source text.

Calls of :meth:`~harness.registry.pinned.Hub.file` and :meth:`~harness.registry.pinned.Hub.files` with literal names, on
a hub that is assigned or written there with a literal repository, are rewritten, and tables ``[[weights]]`` of a
``plugin.toml``; anything else is left to its author.
"""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from harness.foreign import parse_toml


@dataclass(frozen=True)
class Pin:
    """What pins one file: its commit, its SHA-256 and its bytes."""

    revision: str
    sha256: str
    size: int


#: Arguments that a pin takes the place of.
_PINS = ("sha256", "size", "revision")

#: Repository and path in it.
FileKey = tuple[str, str]


class _Change(NamedTuple):
    """New text for a part of the source, by byte offsets."""

    begin: int
    end: int
    text: str


def pinned_text(text: str, pins: Mapping[FileKey, Pin]) -> tuple[str, set[FileKey]]:
    """Return the source of a declaration with `pins` written into it, and the files that were found in it.

    Parameters
    ----------
    text
        Python source.
    pins
        By repository and path in it, as declared.
    """
    tree = ast.parse(text)
    hubs = {
        target.id: repo
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and (repo := _repo(node.value))
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    rows = text.encode().splitlines(keepends=True)
    starts = [sum(map(len, rows[:number])) for number in range(len(rows) + 1)]
    changes: list[_Change] = []
    found: set[FileKey] = set()
    done: set[int] = set()
    for node in ast.walk(tree):
        call = node.value if isinstance(node, ast.Starred) else node
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
            continue
        hub = call.func.value
        repo = hubs.get(hub.id, "") if isinstance(hub, ast.Name) else _repo(hub)
        files = [arg.value for arg in call.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
        wanted = [file for file in files if repo and (repo, file) in pins]
        one = call.func.attr == "file" and len(files) == 1 and node is call
        if not wanted or len(files) != len(call.args) or not (one or call.func.attr == "files") or id(call) in done:
            continue
        done.add(id(call))  # a starred one is met once more, by itself
        name = ast.get_source_segment(text, hub)
        more = [ast.get_source_segment(text, word) for word in call.keywords if word.arg not in _PINS]
        calls = [_call(f"{name}.file", [f'"{file}"', *_arguments(pins[repo, file]), *more]) for file in wanted]
        if rest := [f'"{file}"' for file in files if file not in wanted]:
            calls.append(_call(f"*{name}.files", rest))
        written = ",\n".join(calls)
        if not one and node is call:  # a tuple of them
            written = "(\n" + "".join(f"    {line}\n" for line in f"{written},".split("\n")) + ")"
        row = rows[node.lineno - 1]  # type: ignore[attr-defined] # expressions have places
        indent = row[: len(row) - len(row.lstrip())].decode()
        begin = starts[node.lineno - 1] + node.col_offset  # type: ignore[attr-defined]
        end = starts[node.end_lineno - 1] + node.end_col_offset  # type: ignore[attr-defined]
        changes.append(_Change(begin, end, written.replace("\n", f"\n{indent}")))
        found |= {(repo, file) for file in wanted}
    raw = text.encode()
    for change in sorted(changes, reverse=True):
        raw = raw[: change.begin] + change.text.encode() + raw[change.end :]
    return raw.decode(), found


def pinned_toml(text: str, pins: Mapping[FileKey, Pin]) -> tuple[str, set[FileKey]]:
    """Return the text of a ``plugin.toml`` with `pins` written into it, and the files that were found in it.

    Parameters
    ----------
    text
        As the file holds it.
    pins
        By repository and path in it, as declared.
    """
    found: set[FileKey] = set()
    parts = re.split(r"(?m)^(?=\s*\[)", text)  # each from one header to the next
    for place, part in enumerate(parts):
        if not re.match(r"\s*\[\[\s*weights\s*\]\]", part):
            continue
        try:
            (table,) = parse_toml(part)["weights"]
        except ValueError:  # a bracket inside a text
            continue
        key = (str(table.get("repo", "")), str(table.get("file") or table.get("name", "")))
        if key not in pins:
            continue
        pin = pins[key]
        kept = [row for row in part.splitlines(keepends=True) if not re.match(rf"\s*({'|'.join(_PINS)})\s*=", row)]
        last = max(number for number, row in enumerate(kept, 1) if row.strip() and not row.lstrip().startswith("#"))
        kept[last - 1] = kept[last - 1].rstrip("\n") + "\n"
        rows = [f'revision = "{pin.revision}"\n', f'sha256 = "{pin.sha256}"\n', f"size = {pin.size:_}\n"]
        parts[place] = "".join([*kept[:last], *rows, *kept[last:]])
        found.add(key)
    return "".join(parts), found


def patch(name: str, before: str, after: str) -> str:
    """Return the unified diff between two versions of a file, as ``git apply`` and ``patch -p1`` take it."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    return "".join(difflib.unified_diff(old, new, f"a/{name}", f"b/{name}"))


def _repo(node: ast.expr) -> str:
    """Return the repository of ``Hub("owner/name", …)``; empty for any other expression."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Hub"):
        return ""
    given = [*node.args[:1], *(word.value for word in node.keywords if word.arg == "repo")]
    return next((one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str)), "")


def _arguments(pin: Pin) -> list[str]:
    return [f'"{pin.sha256}"', f"{pin.size:_}", f'revision="{pin.revision}"']


def _call(function: str, arguments: Sequence[str | None]) -> str:
    lines = "".join(f"    {argument},\n" for argument in arguments)
    return f"{function}(\n{lines})"
