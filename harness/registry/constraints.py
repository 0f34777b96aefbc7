"""The rules of a declaration's fields: one table, written beside the fields, that checks them and documents them.

A field of a declaration is annotated with its rule, ``pids: Annotated[int, whole(1)] = 256``. :func:`check` reads these
annotations when the declaration is made, and the reference page of the documentation is generated from them.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
import types
import typing
from collections.abc import Callable
from typing import Any

from harness.registry.look_alikes import look_alike

#: Longest value that a message repeats, characters.
_SHOWN = 120


class DeclarationError(ValueError):
    """A declaration breaks a rule; the message names the field and the allowed values.

    Attributes
    ----------
    field
        The field, e.g. ``"resources.memory_gb"``; empty where a rule concerns several.
    value
        What it holds; None where a rule concerns several.
    """

    def __init__(self, message: str, *, field: str = "", value: object = None) -> None:
        super().__init__(message)
        self.field = field
        self.value = value


@dataclasses.dataclass(frozen=True)
class Rule:
    """The rule of a field's value.

    Attributes
    ----------
    says
        Completes "must be …": in messages and in the reference.
    holds
        Whether a value follows the rule; called with values of any type.
    """

    says: str
    holds: Callable[[Any], bool]

    def fault(self, value: object) -> str:
        """Return the fault of `value`, to be read after the field's name; empty for a valid value."""
        return "" if self.holds(value) else f" must be {self.says}, not {shown(value)}"


@dataclasses.dataclass(frozen=True)
class EachParameter(Rule):
    """A rule for every value of a dictionary of parameters; a fault names the parameter."""

    def fault(self, value: object) -> str:
        """Return the fault of the first parameter that breaks the rule."""
        if not isinstance(value, dict):
            return f" must be a dict, not {shown(value)}"
        for name, one in value.items():
            if not isinstance(name, str) or not self.holds(one):
                return f": parameter {shown(name)} must be text, a finite number, a boolean or None, not {shown(one)}"
        return ""


def require(condition: object, message: str, *, field: str = "", value: object = None) -> None:
    """Raise :class:`DeclarationError` with `message` unless `condition` holds."""
    if not condition:
        raise DeclarationError(message, field=field, value=value)


def check(declared: Any, where: str) -> None:
    """Check every field of a declaration against its rule.

    Parameters
    ----------
    declared
        A dataclass whose fields are annotated with rules.
    where
        Begins the message, up to the field's name: ``"model 'sat': "``, ``"resources."``.

    Raises
    ------
    DeclarationError
        For the first field that breaks its rule.
    """
    for name, rule in rules(type(declared)).items():  # type: ignore[arg-type] # classes are hashable
        value = getattr(declared, name)
        if fault := rule.fault(value):
            raise DeclarationError(f"{where}{name}{fault}", field=f"{where}{name}", value=value)


@functools.cache
def rules(kind: type) -> dict[str, Rule]:
    """Return the rule of each field of a declaration, in the order of the fields."""
    hints = typing.get_type_hints(kind, include_extras=True)
    found = {}
    for field in dataclasses.fields(kind):
        for note in getattr(hints[field.name], "__metadata__", ()):
            if isinstance(note, Rule):
                found[field.name] = note
    return found


def shown(value: object) -> str:
    """Return `value` for a message: one line, shortened where it is long."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def number(low: float, high: float = 10**9) -> Rule:
    """Return the rule of a number, whole or not."""
    return Rule(f"a number from {low:,} to {high:,}", lambda value: _is_number(value) and low <= value <= high)


def whole(low: int, high: int = 10**9) -> Rule:
    """Return the rule of a whole number."""
    return Rule(
        f"a whole number from {low:,} to {high:,}",
        lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high,
    )


def matching(pattern: str, says: str, *, longest: int = 200) -> Rule:
    """Return the rule of a text that a regular expression matches whole."""
    compiled = re.compile(pattern)
    return Rule(
        says, lambda value: isinstance(value, str) and len(value) <= longest and bool(compiled.fullmatch(value))
    )


def one_of(*values: object, says: str) -> Rule:
    """Return the rule of a value out of a few."""
    return Rule(says, lambda value: any(value is one or (type(value) is type(one) and value == one) for one in values))


def instance(kind: type | types.UnionType, says: str) -> Rule:
    """Return the rule of an object of a class."""
    return Rule(says, lambda value: isinstance(value, kind))


def every(kind: type, says: str, *, least: int = 0) -> Rule:
    """Return the rule of a tuple of objects of a class."""
    return Rule(
        says,
        lambda value: (
            isinstance(value, tuple) and len(value) >= least and all(isinstance(item, kind) for item in value)
        ),
    )


def _is_number(value: object) -> bool:
    if isinstance(value, int):
        return not isinstance(value, bool) and abs(value) < 2**63
    return isinstance(value, float) and math.isfinite(value)


def _is_line(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.isprintable() and len(value) <= 300


def _is_parameter(value: object) -> bool:
    return value is None or isinstance(value, str | bool) or _is_number(value)


_FILE = r"[A-Za-z0-9_][A-Za-z0-9_.+-]*"

NAME = matching(
    r"[a-z0-9]+(?:-[a-z0-9]+)*", "lower-case letters, digits and single hyphens, at most 64 characters", longest=64
)
LINE = Rule("one line of text, at most 300 characters", _is_line)
TITLE = Rule(
    f"{LINE.says}, without letters of another script that look like Latin ones",
    lambda value: isinstance(value, str) and _is_line(value) and not look_alike(value),
)
TEXT_OR_NONE = Rule(
    "one line of text, at most 1,000 characters, or empty",
    lambda value: isinstance(value, str) and value.isprintable() and len(value) <= 1000,
)
NOTE = Rule(f"{LINE.says}, or empty", lambda value: value == "" or LINE.holds(value))
FILE_NAME = matching(_FILE, "a plain file name")
PATH_OR_NONE = matching(
    f"(?:{_FILE}(?:/{_FILE})*)?", "a plain relative path, or empty where it is the name", longest=1000
)
FOLDER = matching(f"(?:{_FILE}(?:/{_FILE})*)?", "a plain relative folder, or empty for the whole", longest=1000)
REPOSITORY_OR_NONE = matching(r"(?:[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_.-]*)?", "'owner/name', or empty")
COMMIT = matching("[0-9a-f]{40}", "40 hexadecimal digits")
REVISION = matching("(?:[0-9a-f]{40})?", "a full commit, or empty when it is not pinned yet")
SHA256 = matching("(?:[0-9a-f]{64})?", "64 hexadecimal digits, or empty when it is not pinned yet")
BYTES = Rule("a number of bytes, or 0 where it is not known", whole(0, 2**63).holds)
ADDRESS = matching(r"https://\S+", "an https:// address", longest=1000)
ADDRESS_OR_NONE = matching(r"(?:https://\S+)?", "an https:// address, or empty", longest=1000)
_MIRROR = re.compile(r"https://[^\s@]+(?:@[0-9a-f]{40})?")
MIRRORS = Rule(
    "a tuple of https:// addresses, each alone or with its own commit: ('https://host/copy@<40 digits>',)",
    lambda value: (
        isinstance(value, tuple) and all(isinstance(one, str) and _MIRROR.fullmatch(one) is not None for one in value)
    ),
)
FLAG = instance(bool, "True or False")
PARAMETERS = EachParameter("text, finite numbers, booleans or None, by name", _is_parameter)
