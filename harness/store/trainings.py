"""The trainings in the results database: one row each, and their reports."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from harness.store.cells import cell_json
from harness.store.database import Store


@dataclass(frozen=True)
class TrainingRow:
    """One training: the origin of a fine-tuned variant's checkpoint.

    Attributes
    ----------
    key
        Digest of its plan, and name of its folder below ``checkpoints/``.
    plugin, variant, dataset
        The variant, and its data.
    state, reason
        A :class:`harness.status.TrainingState` value and, unless running or done, why.
    created, finished
        UTC, ISO 8601.
    seconds
        During which containers trained, over all invocations.
    sha256
        Digest of the checkpoint, once it exists.
    plan, record
        The hashed plan; provenance (hardware, versions, limits, files).
    """

    key: str
    plugin: str
    variant: str
    dataset: str
    state: str
    created: str
    reason: str = ""
    finished: str | None = None
    seconds: float = 0.0
    sha256: str | None = None
    plan: dict[str, Any] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingPoint:
    """The report of a training at one step: means of its losses, and the mean val Dice where it was measured."""

    step: int
    steps: int
    losses: dict[str, float]
    epoch: float | None = None
    val_dice: float | None = None
    seconds: float = 0.0  #: of training so far, by the harness's clock


class Trainings:
    """The tables ``trainings`` and ``training`` of an open results database."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def save(self, row: TrainingRow) -> None:
        """Insert a training, or replace the row of the same key."""
        values = asdict(row) | {name: json.dumps(getattr(row, name), sort_keys=True) for name in ("plan", "record")}
        with self._store.write() as db:
            db.table("trainings").upsert(values, pk="key")

    def find(self, key: str) -> TrainingRow | None:
        """Return one training by its key, or None."""
        with self._store.explaining():
            rows = list(self._store.db.query("select * from trainings where key = ?", [key]))
            if not rows:
                return None
            values = {f.name: rows[0][f.name] for f in fields(TrainingRow)}
            return TrainingRow(**values | {name: cell_json(rows[0], name) for name in ("plan", "record")})

    def add(self, key: str, points: Sequence[TrainingPoint]) -> None:
        """Add reports of a training. Earlier reports of later steps, from before an interruption, are dropped."""
        if not points:
            return
        rows = [{"key": key, **asdict(point), "losses": json.dumps(point.losses, sort_keys=True)} for point in points]
        with self._store.write() as db:
            db.execute("delete from training where key = ? and step >= ?", [key, points[0].step])
            db.table("training").upsert_all(rows, pk=("key", "step"))

    def points(self, key: str) -> list[TrainingPoint]:
        """Return the reports of a training, in the order of its steps."""
        names = [f.name for f in fields(TrainingPoint)]
        with self._store.explaining():
            rows = list(self._store.db.query("select * from training where key = ? order by step", [key]))
            return [TrainingPoint(**{n: row[n] for n in names} | {"losses": cell_json(row, "losses")}) for row in rows]
