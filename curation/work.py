"""The memory of a curation: every result, every raw answer and every token spent, in one SQLite file.

A result is found again by its content: the step's name, its input, the version of the prompt or of the rules, the
model and its parameters. So a run that was killed goes on where it stood, and nothing is asked or paid for twice.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from harness.errors import DataError, PrerequisiteError
from harness.foreign import open_database, parse_json

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS results (
  key TEXT PRIMARY KEY, step TEXT NOT NULL, item TEXT NOT NULL,
  record TEXT,            -- JSON; NULL: set aside
  reason TEXT             -- why it was set aside
) STRICT;
CREATE TABLE IF NOT EXISTS answers (
  id INTEGER PRIMARY KEY, key TEXT NOT NULL, attempt INTEGER NOT NULL, model TEXT NOT NULL,
  raw TEXT NOT NULL,      -- what the model said, untouched
  violations TEXT NOT NULL, -- JSON list: what was wrong with it
  prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, cost REAL NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS answers_key ON answers (key);
CREATE TABLE IF NOT EXISTS batches (
  id TEXT PRIMARY KEY, step TEXT NOT NULL, keys TEXT NOT NULL, done INTEGER NOT NULL DEFAULT 0
) STRICT;
"""


@dataclass(frozen=True)
class Outcome:
    """What became of one item in one step."""

    record: dict[str, Any] | None  #: None: set aside
    reason: str = ""

    def for_record(self, id_: str) -> Outcome:
        """Return this outcome for another record of the same text."""
        return self if self.record is None else Outcome(self.record | {"id": id_}, self.reason)


@dataclass(frozen=True)
class Answer:
    """One raw answer of a model."""

    raw: str
    violations: list[str]
    prompt_tokens: int
    completion_tokens: int
    cost: float


@dataclass(frozen=True)
class Spent:
    """What a curation has cost so far."""

    requests: int
    prompt_tokens: int
    completion_tokens: int
    cost: float


def key_of(**parts: Any) -> str:
    """Return the name of a piece of work: a digest of everything that its result depends on."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _close_to_others(path: Path) -> None:
    """Let only its owner read a work file, which holds reports; SQLite gives the same mode to its files beside it."""
    path.touch(mode=0o600, exist_ok=True)
    with path.open("rb") as file:
        ours = file.read(16) in {b"", b"SQLite format 3\0"}
    if ours:
        with suppress(PermissionError):  # of another owner
            path.chmod(0o600)


class Work:
    """The SQLite file of one curation; safe to use from several threads.

    Every write is committed at once, so that a killed process loses what was in flight and nothing else.

    Parameters
    ----------
    path
        Made where it is not there, with its folder; only its owner can read it.

    Raises
    ------
    DataError
        The file is not a work file of curation.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._path = path
        try:
            _close_to_others(path)
            self._db = open_database(path, timeout=60, shared=True, autocommit=True)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)
        except (sqlite3.DatabaseError, IsADirectoryError) as error:
            raise DataError(f"{path} is not a work file of curation: {error}", fix="name another folder") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._db.close()

    def _do(self, sql: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        try:
            with self._lock:
                return self._db.execute(sql, values).fetchall()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) and any(word in str(error) for word in ("lock", "full")):
                raise PrerequisiteError(
                    f"{self._path} cannot be used: {error}", fix="wait for the other process, or free some space"
                ) from error
            raise self._odd(error) from error

    def _json(self, cell: str) -> Any:
        try:
            return parse_json(cell)
        except ValueError as error:
            raise self._odd(error) from error

    def _odd(self, error: Exception) -> DataError:
        return DataError(f"{self._path} is not a work file of curation: {error}", fix="name another file")

    def find(self, key: str) -> Outcome | None:
        """Return the outcome that is known for `key`, or None."""
        rows = self._do("SELECT record, reason FROM results WHERE key = ?", (key,))
        if not rows:
            return None
        record, reason = rows[0]
        return Outcome(None if record is None else self._json(record), reason or "")

    def keep(self, key: str, step: str, item: str, outcome: Outcome) -> None:
        """Remember an outcome."""
        record = None if outcome.record is None else json.dumps(outcome.record, ensure_ascii=False)
        self._do("INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?)", (key, step, item, record, outcome.reason))

    def keep_many(self, step: str, rows: Mapping[str, tuple[str, Outcome]]) -> None:
        """Remember many outcomes at once: key -> (item, outcome)."""
        values = [
            (key, step, item, None if o.record is None else json.dumps(o.record, ensure_ascii=False), o.reason)
            for key, (item, o) in rows.items()
        ]
        with self._lock:
            self._db.execute("BEGIN")
            self._db.executemany("INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?)", values)
            self._db.execute("COMMIT")

    def forget_set_aside(self) -> int:
        """Forget the items set aside, so that they are tried again; return their number."""
        rows = self._do("DELETE FROM results WHERE record IS NULL RETURNING key")
        for (key,) in rows:
            self._do("UPDATE answers SET key = 'earlier ' || key WHERE key = ?", (key,))
        return len(rows)

    def keep_answer(self, key: str, attempt: int, model: str, answer: Answer) -> None:
        """Keep one raw answer, whatever is wrong with it."""
        values = (key, attempt, model, answer.raw, json.dumps(answer.violations))
        numbers = (answer.prompt_tokens, answer.completion_tokens, answer.cost)
        self._do("INSERT INTO answers VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)", values + numbers)

    def answers(self, key: str) -> list[Answer]:
        """Return the answers kept for one piece of work, in the order in which they came."""
        rows = self._do(
            "SELECT raw, violations, prompt_tokens, completion_tokens, cost FROM answers WHERE key = ? ORDER BY id",
            (key,),
        )
        return [Answer(raw, self._json(violations), *numbers) for raw, violations, *numbers in rows]

    def spent(self) -> Spent:
        """Return what all answers together cost, those of earlier runs included."""
        rows = self._do("SELECT count(*), total(prompt_tokens), total(completion_tokens), total(cost) FROM answers")
        requests, prompt, completion, cost = rows[0]
        return Spent(requests, int(prompt), int(completion), cost)

    def keep_batch(self, id_: str, step: str, keys: list[str]) -> None:
        """Remember a batch that was submitted."""
        self._do("INSERT OR REPLACE INTO batches VALUES (?, ?, ?, 0)", (id_, step, json.dumps(keys)))

    def open_batches(self, step: str) -> Iterator[tuple[str, list[str]]]:
        """Return the batches of a step that were submitted and not yet fetched."""
        for id_, keys in self._do("SELECT id, keys FROM batches WHERE step = ? AND done = 0 ORDER BY rowid", (step,)):
            yield id_, self._json(keys)

    def close_batch(self, id_: str) -> None:
        """Remember that a batch was fetched."""
        self._do("UPDATE batches SET done = 1 WHERE id = ?", (id_,))
