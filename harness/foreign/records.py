"""Files of our own records: what writes and reads them."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")

_MADE: dict[object, TypeAdapter[Any]] = {}


def record(kind: type[T]) -> TypeAdapter[T]:
    """Return what writes and reads a dataclass as JSON: made when first needed, which for most commands is never."""
    if kind not in _MADE:
        _MADE[kind] = TypeAdapter(kind)
    return _MADE[kind]
