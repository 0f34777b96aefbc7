"""Parameters that a user changes: read as the types that their variant declares; and those that change no result."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from harness.errors import UnknownName, UsageError
from harness.foreign import parse_json
from harness.registry.declaration import Variant
from harness.registry.discovery import Plugin
from harness.registry.origins import Param

#: Parameters of the SDK's training loop that say how a training is executed and not what it learns. They are no part
#: of a plan: a machine with less memory, or more processes, trains the same.
EXECUTION = frozenset({"processes", "workers", "cache_mb", "save_every_s", "loader_timeout_s", "ahead"})

#: Parameters that every variant has without declaring them, with their defaults. ``ahead``: whether the SDK reads the
#: next CT while one is computed, and writes masks behind it; the masks are the same.
OF_ALL: Mapping[str, Param] = {"ahead": True}


def decisive(params: Mapping[str, Param]) -> dict[str, Param]:
    """Return the parameters that a result depends on."""
    return {name: value for name, value in params.items() if name not in EXECUTION}


def parse_changes(plugin: Plugin, variant: Variant, texts: Sequence[str]) -> dict[str, Param]:
    """Read ``NAME=VALUE`` texts as values of the variant's parameters, each of the type of the declared value.

    Raises
    ------
    UsageError
        For a name that is not declared, with the nearest ones, or a value of another type.
    """
    changes: dict[str, Param] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--param {text} lacks a value", fix="write it as NAME=VALUE")
        declared = {**OF_ALL, **variant.params}
        if name not in declared:
            raise UnknownName(f"parameter of {plugin.name} {variant.name}", name, declared)
        changes[name] = _typed(name, value, declared[name])
    return changes


def _typed(name: str, text: str, declared: Param) -> Param:
    if isinstance(declared, str):
        return text
    try:
        value = parse_json(text)
    except ValueError:
        value = text  # also NaN and infinity, which JSON does not allow
    fits = {
        bool: isinstance(value, bool),
        int: isinstance(value, int) and not isinstance(value, bool),
        float: isinstance(value, int | float) and not isinstance(value, bool),
        type(None): value is None or isinstance(value, str | int | float),
    }[type(declared)]
    if not fits:
        kind = {bool: "true or false", int: "a whole number", float: "a number"}.get(type(declared), "a scalar")
        raise UsageError(
            f"--param {name}={text}: {name} is {kind}", fix=f"the declared value is {name}={json.dumps(declared)}"
        )
    return float(value) if isinstance(declared, float) else value


def changed(variant: Variant, params: Mapping[str, Param]) -> list[str]:
    """Return the changed parameters as a reason against ranking; empty when none that decides is changed."""
    other = [f"{name}={json.dumps(value)}" for name, value in decisive(params).items() if value != variant.params[name]]
    return [f"changed parameters: {', '.join(other)}"] if other else []
