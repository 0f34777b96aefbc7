"""The results database's tables, asked and written with the standard library alone.

What creates and changes them (:mod:`harness.store.migrations`) needs a library, and is imported only for that.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

#: Every migration of the results database, in order.
MIGRATIONS: Final = ("m001_initial", "m002_evidence", "m003_training", "m004_words", "m005_archived", "m006_cases")

#: Table that the library keeps of the migrations that were applied, and what ours are called in it.
APPLIED: Final = "_sqlite_migrations"
OURS: Final = "groundbench"

#: Columns that name a row of each table.
_KEYS: Final[Mapping[str, Sequence[str]]] = {
    "runs": ("id",),
    "cases": ("run", "case"),
    "findings": ("run", "case", "finding"),
    "metrics": ("run", "profile", "metric", "grp"),
    "trainings": ("key",),
    "training": ("key", "step"),
    "archived": ("run",),
}


def applied_to(db: sqlite3.Connection) -> tuple[set[str], bool]:
    """Return the migrations that a database has had, and whether it holds any other table."""
    tables = {row["name"] for row in query(db, "select name from sqlite_master where type = 'table'")}
    if APPLIED not in tables:
        return set(), bool(tables)
    rows = query(db, f"select name from {APPLIED} where migration_set = ?", [OURS])  # noqa: S608 - our own name
    return {row["name"] for row in rows}, tables != {APPLIED}


def query(db: sqlite3.Connection, sql: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """Return what a statement finds: column -> value of each row."""
    cursor = db.execute(sql, values)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def put(db: sqlite3.Connection, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Insert rows; one whose key is there already changes those of its columns that are given."""
    key = _KEYS[table]
    for names, alike in groupby(rows, key=tuple):
        changed = ", ".join(f"{_quoted(name)} = excluded.{_quoted(name)}" for name in names if name not in key)
        db.executemany(
            f"insert into {_quoted(table)} ({_quoted(*names)}) values ({', '.join('?' * len(names))}) "  # noqa: S608 - names are our own
            f"on conflict ({_quoted(*key)}) do {f'update set {changed}' if changed else 'nothing'}",
            [tuple(row.values()) for row in alike],
        )


def remove(db: sqlite3.Connection, table: str, **where: str) -> None:
    """Remove the rows whose columns hold these values."""
    wanted = " and ".join(f"{_quoted(name)} = ?" for name in where)
    db.execute(f"delete from {_quoted(table)} where {wanted}", list(where.values()))  # noqa: S608 - names are our own


def _quoted(*names: str) -> str:
    """Return names of tables and columns as SQL has them: `case` and `index` are words of it."""
    return ", ".join(f'"{name}"' for name in names)
