"""Tables that people open in a spreadsheet, which takes a text for a formula by its first character."""

from __future__ import annotations

from typing import TypeVar

_Cell = TypeVar("_Cell")

#: What begins a formula in one of the programs, or is passed over before one.
_BEGINNINGS = ("=", "+", "-", "@", "\t", "\r", "\n")


def harmless(cell: _Cell) -> _Cell | str:
    """Return a cell that no spreadsheet takes for a formula: an apostrophe before a text that would begin one."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_BEGINNINGS) else cell
