"""Rows are put into tables and found again; one that is there is changed, not doubled."""

from __future__ import annotations

import sqlite3

import pytest

from harness.store.migrations import apply
from harness.store.tables import put, query, remove


@pytest.fixture
def database() -> sqlite3.Connection:
    """An empty results database."""
    made = sqlite3.connect(":memory:")
    apply(made)
    return made


def _trainings(database: sqlite3.Connection) -> list[tuple[str, str, str | None]]:
    rows = query(database, "select * from trainings order by key")
    return [(row["key"], row["plugin"], row["reason"]) for row in rows]


def _row(key: str, plugin: str, **more: str) -> dict[str, str]:
    return {"key": key, "plugin": plugin, "variant": "v", "state": "done", "created": "now", **more}


def test_a_row_that_is_there_is_changed_in_what_is_given(database: sqlite3.Connection) -> None:
    """What is not given stays; rows of unlike columns may follow one another."""
    put(database, "trainings", [_row("a", "one", reason="why"), _row("b", "two")])
    put(database, "trainings", [_row("a", "three"), _row("c", "four", reason="so")])
    assert _trainings(database) == [("a", "three", "why"), ("b", "two", None), ("c", "four", "so")]


def test_nothing_is_put_where_there_is_nothing(database: sqlite3.Connection) -> None:
    """An empty list is no error."""
    put(database, "trainings", [])
    assert _trainings(database) == []


def test_rows_with_all_of_these_values_are_removed(database: sqlite3.Connection) -> None:
    """And no others."""
    put(database, "trainings", [_row("a", "one"), _row("b", "one"), _row("c", "two")])
    remove(database, "trainings", plugin="one", key="b")
    assert [key for key, _, _ in _trainings(database)] == ["a", "c"]
