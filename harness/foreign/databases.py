"""SQLite files within bounds: tables only, and so much work for a statement.

A database is a program: a view can be endless, a trigger or a virtual table acts when another is read or written.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, Final

#: Steps of SQLite's machine between two looks at a statement, and looks after which it is ended: half a minute.
_STEPS: Final = 100_000
_LOOKS: Final = 3_000

#: Most bytes of a text, a blob or a row; of the text of a statement or of a table's definition.
_LONGEST: Final = 256 * 2**20
_LONGEST_SQL: Final = 2**20


def open_database(
    path: Path | None,
    *,
    readonly: bool = False,
    immutable: bool = False,
    timeout: float = 5.0,
    work: int = _LOOKS,
    shared: bool = False,
    autocommit: bool = False,
) -> sqlite3.Connection:
    """Open a SQLite file, or one in memory where `path` is None.

    Parameters
    ----------
    path
        The file.
    readonly, immutable
        Open an existing one for reading; and as one that nobody writes.
    timeout
        Seconds to wait for another process's write.
    work
        Looks, of 100,000 steps each, after which a statement is ended.
    shared
        Whether several threads use the connection; they take turns by themselves.
    autocommit
        Whether every statement is committed at once.

    Raises
    ------
    sqlite3.Error
        It cannot be opened, is not a database, or holds what is no plain table: a view, a trigger, a virtual table.
        Also for a statement that does not end, when it is carried out.
    """
    address = ":memory:"
    if path is not None:
        address = f"{path.absolute().as_uri()}?mode={'ro' if readonly else 'rwc'}{'&immutable=1' if immutable else ''}"
    connection: _GuardedConnection = sqlite3.connect(
        address,
        uri=True,
        timeout=timeout,
        check_same_thread=not shared,
        factory=_GuardedConnection,
    )
    if autocommit:
        connection.isolation_level = None
    try:
        connection.guard(work)
    except BaseException:
        connection.close()
        raise
    return connection


class _GuardedConnection(sqlite3.Connection):
    """A connection whose statements end."""

    _looks = 0

    def guard(self, work: int) -> None:
        """Set the limits, and look for what is no plain table."""
        self.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST)
        self.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, _LONGEST_SQL)
        self.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)

        def look() -> bool:
            self._looks += 1
            return self._looks > work  # True ends the statement

        self.set_progress_handler(look, _STEPS)
        self.execute("PRAGMA trusted_schema = OFF")
        self.execute("PRAGMA cell_size_check = ON")
        odd = self.execute(
            "SELECT type, name FROM sqlite_master WHERE type NOT IN ('table', 'index') "
            "OR sql LIKE 'create%virtual%' LIMIT 1"
        ).fetchone()
        if odd is not None:
            kind = "virtual table" if odd[0] == "table" else odd[0]
            raise sqlite3.DatabaseError(f"it holds a {kind}, {ascii(odd[1])[:80]}, not only tables")

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        """Carry out a statement, whose work is counted from 0."""
        self._looks = 0
        try:
            return super().execute(*arguments)
        except UnicodeDecodeError as error:  # of a column's name
            raise sqlite3.DatabaseError(f"it is malformed: a name is not UTF-8 ({error.reason})") from error

    def executemany(self, *arguments: Any) -> sqlite3.Cursor:
        """Carry out a statement for each of many rows."""
        self._looks = 0
        return super().executemany(*arguments)
