"""The reference of the SDK as Markdown, from its docstrings."""  # noqa: INP001

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any

import groundbench_sdk
from groundbench_sdk import adapter, finetuning, grids, records, testing

#: Module and the names of it that an author uses, in the order of the page.
_NAMES: tuple[tuple[ModuleType, tuple[str, ...]], ...] = (
    (adapter, ("Adapter",)),
    (records, ("Job", "Case", "Finding", "TrainingCase", "Rejected")),
    (finetuning, ("Training", "TrainingFailed")),
    (grids, ("Reorientation", "reorient_to", "window", "slice_boxes", "key_slice")),
    (testing, ("Thorax", "thorax", "predict")),
)

#: Attributes for the harness's own checks, which a stranger's model never sees.
_HIDDEN = ("truth", "truth_flip")

#: Characters of a line of code.
_LONGEST = 100

_SECTION = re.compile(r"^(\w+)\n-{3,}\n", re.MULTILINE)
_ROLE = re.compile(r":\w+:`~?(?:[\w.]+\.)?(\w+)`")
_FIELD = re.compile(r"^    (\w+): ([^#=\n]+?)(?: = ([^#\n]+?))?(?:  #: (.+))?$")


def sdk_reference() -> str:
    """Return one section for each name that an adapter imports or is handed."""
    blocks = []
    for module, names in _NAMES:
        for name in names:
            found = getattr(module, name)
            where = "groundbench_sdk" if name in groundbench_sdk.__all__ else module.__name__
            blocks.append(f"### `{where}.{name}`\n")
            blocks += [text for text in _described(found) if text]
    return "\n".join(blocks)


def _described(found: Any) -> Iterator[str]:
    """Yield the parts of a class or function."""
    if isinstance(found, FunctionType):
        yield f"```python\n{_signature(found)}\n```\n"
        yield _markdown(inspect.getdoc(found) or "")
        return
    yield _markdown(inspect.getdoc(found) or "")
    yield _fields(found)
    for name, member in vars(found).items():
        function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        if name.startswith("_") or not isinstance(function, FunctionType) or name == "read":
            continue
        head = f"{name}" if isinstance(member, property) else _signature(function)
        yield f"```python\n{head}\n```\n"
        yield _markdown(inspect.getdoc(function) or "")


def _signature(function: FunctionType) -> str:
    """Return how a function is called, without `self`, broken where it is long."""
    signature = inspect.signature(function)
    shown = signature.replace(parameters=[one for one in signature.parameters.values() if one.name != "self"])
    line = _plain(f"{function.__name__}{shown}")
    if len(line) <= _LONGEST:
        return line
    parts = []
    for one in shown.parameters.values():
        if one.kind is one.KEYWORD_ONLY and "    *,\n" not in parts:
            parts.append("    *,\n")
        parts.append(f"    {_plain(str(one))},\n")
    returned = _plain(f" -> {shown.return_annotation}")
    return f"{function.__name__}(\n{''.join(parts)}){returned}"


def _plain(code: str) -> str:
    """Return annotations as they are written in the code, and a class by its name."""
    return re.sub(r"<class '(?:numpy\.)?([\w.]+)'>", r"np.\1", re.sub(r"(: |-> )'([^']+)'", r"\1\2", code))


def _fields(found: type) -> str:
    """Return the fields of a record whose meanings stand in comments beside them."""
    lines, above = [], ""
    for line in inspect.getsource(found).splitlines():
        if line.startswith("    #: "):
            above = line.removeprefix("    #: ")
        elif (field := _FIELD.match(line)) and not line.strip().startswith(("return", "self")):
            name, kind, default, beside = field.groups()
            said = above or beside or ""
            head = f"- `{name}: {kind.strip()}" + (f" = {default.strip()}`" if default else "`")
            lines.append(_wrapped(f"{head}: {_inline(said)}" if said else head))
            above = ""
        elif line.startswith(("    def ", "    @")):
            break
    return "\n".join(lines) + "\n" if lines else ""


def _inline(text: str) -> str:
    """Return text with the roles and the literals of a docstring as code."""
    return _ROLE.sub(r"`\1`", text).replace("``", "`")


def _markdown(doc: str) -> str:
    """Turn a docstring in NumPy's form into Markdown."""
    pieces = _SECTION.split(doc)
    parts = [_paragraphs(pieces[0])]
    for title, body in zip(pieces[1::2], pieces[2::2], strict=True):
        parts.append(f"{title}:\n\n{_entries(body)}")
    return _inline("\n".join(filter(None, parts)))


def _paragraphs(text: str) -> str:
    """Return what stands before the sections, examples as code."""
    shown = re.sub(
        r"::\n\n((?:    .*\n?|\n)+)", lambda code: f":\n\n```python\n{inspect.cleandoc(code[1])}\n```\n", text
    )
    return shown.strip() + "\n"


def _entries(body: str) -> str:
    """Return the entries of a section as a list: a name, and what is indented below it."""
    lines: list[str] = []
    for line in filter(str.strip, body.splitlines()):
        if line.startswith(" "):
            lines[-1] += (": " if lines[-1].endswith("`") else " ") + line.strip()
            continue
        names = re.sub(r"(\w+(?: : .*)?)(, |$)", r"`\1`\2", line) if "(" not in line else f"`{line}`"
        lines.append(f"- {names.replace(' : ', ': ')}")
    shown = [line for line in lines if not line.startswith(tuple(f"- `{name}`" for name in _HIDDEN))]
    return "\n".join(map(_wrapped, shown)) + "\n"


def _wrapped(item: str) -> str:
    """Return an item of a list in lines of at most 120 characters."""
    return textwrap.fill(item, 120, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
