"""Cells of the results database: a row of columns becomes a row of ours, or is named as one that nobody wrote so."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import fields
from functools import cache
from types import UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from harness.foreign import parse_json
from harness.rows import CaseRow, FindingRow, RunRow


class OddCell(ValueError):  # noqa: N818 - it is a cell that is odd
    """A cell of a table holds what is never written there."""


_Row = TypeVar("_Row", RunRow, CaseRow, FindingRow)


@cache
def _types_of(kind: Hashable) -> Mapping[str, tuple[type, ...]]:
    """Return the types that the fields of a row may have."""
    types = {}
    for name, hint in get_type_hints(kind).items():
        parts = tuple(get_origin(one) or one for one in (get_args(hint) if isinstance(hint, UnionType) else (hint,)))
        types[name] = (*parts, int) if float in parts else parts
    return types


def made_of(kind: type[_Row], values: Mapping[str, Any]) -> _Row:
    """Make a row of the values of its columns, each of the type that its field has."""
    for name, types in _types_of(cast("Hashable", kind)).items():
        if not isinstance(values[name], types):
            raise OddCell(f"{name} is of the type {type(values[name]).__name__}")
    return kind(**values)


def columns_of(row: Mapping[str, Any], kind: type[Any]) -> dict[str, Any]:
    """Return the values of the columns that are fields of a row."""
    names = [f.name for f in fields(kind)]
    if lacking := [name for name in names if name not in row]:
        raise OddCell(f"the column {lacking[0]} is missing")
    return {name: row[name] for name in names}


def cell_json(row: Mapping[str, Any], name: str) -> Any:
    """Return what is in a column that holds JSON; a fault is one of the database."""
    try:
        return parse_json(row[name], finite=False)
    except ValueError as error:
        raise OddCell(f"{name}: {error}") from error
