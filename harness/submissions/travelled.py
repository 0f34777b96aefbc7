"""A row that comes out of a text folder: into the database of another home, under a name that is its own.

Its plan gets one entry more, the digest of the folder's manifest. So its key is that of no run made here: a run of the
same plan is never taken for finished because a stranger's row says so, and the same folder is the same row everywhere.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.errors import DataError, UsageError
from harness.registry.card import Card
from harness.rows import FindingRow, RunRow
from harness.runs.record import write_record
from harness.runs.verify import FOLDER, IMPORTED, TRAVELLED
from harness.status import RowLevel
from harness.store.database import Store
from harness.store.trainings import TrainingPoint, TrainingRow, Trainings
from harness.submissions.record import SubmittedMasks, SubmittedRecord, SubmittedTraining
from harness.submissions.tables import Tables


@dataclass(frozen=True)
class TextFolder:
    """A text folder that was read.

    Attributes
    ----------
    place
        Where it lies.
    digest
        SHA-256 of its manifest: what it is known by.
    record, masks, card
        Its records.
    tables
        Its tables; None of a closed split.
    training
        The record of its checkpoint; None where it has none.
    files
        Every file by name.
    """

    place: Path
    digest: str
    record: SubmittedRecord
    masks: SubmittedMasks
    card: Card
    tables: Tables | None
    training: SubmittedTraining | None
    files: dict[str, bytes]

    def row(self, level: RowLevel) -> RunRow:
        """Return the row as another home keeps it."""
        run = self.record.run.row()
        plan = {**run.plan, FOLDER: self.digest}
        key = hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()
        travelled: dict[str, Any] = {
            "run": run.id,
            "plan_key": run.plan_key,
            "attempt": run.attempt,
            "kind": run.kind,
            "folder": self.digest,
            "texts": self.record.texts,
        }
        return replace(
            run,
            id=f"{run.id.removesuffix(f'-r{run.attempt}').removesuffix(run.plan_key[:10]).rstrip('-')}-{key[:10]}",
            plan_key=key,
            attempt=1,
            kind=IMPORTED,
            plan=plan,
            record={**run.record, "card": self.card.stated, "level": str(level), TRAVELLED: travelled},
        )


def import_folder(store: Store, folder: TextFolder, level: RowLevel) -> tuple[RunRow, bool]:
    """Store the row of a text folder that was verified.

    Parameters
    ----------
    store
        The open results database; its home gets a folder with the row's record.
    folder
        The folder. One that is there is left as it is, unless its level rises.
    level
        How much of it was seen here.

    Returns
    -------
    RunRow, bool
        The row, and whether it is new or changed.

    Raises
    ------
    DataError
        It is of a closed split: it holds sums and digests only.
    UsageError
        Another row has its name.
    """
    if folder.tables is None:
        raise DataError(
            f"{folder.place} is of a closed split: it holds sums and digests, not findings that could be compared",
            fix="whoever has the masks and the truth scores them here: `bench score MASKS --dataset PATH`",
            path=folder.place,
        )
    row = folder.row(level)
    earlier = store.latest(row.plan_key)
    if earlier is not None:
        if earlier.record.get(TRAVELLED, {}).get(FOLDER) != folder.digest:
            raise UsageError(f"{earlier.id} has the name of this row", fix="remove it: `bench results remove RUN`")
        if list(RowLevel).index(RowLevel(earlier.record["level"])) >= list(RowLevel).index(level):
            return earlier, False
    place = store.home / "runs" / row.id
    place.mkdir(parents=True, exist_ok=True)
    findings: dict[str, list[FindingRow]] = {case.case: [] for case in folder.tables.cases}
    for finding in folder.tables.findings:
        findings[finding.case].append(finding)
    write_record(place, row, folder.tables.cases, folder.tables.findings)
    cases = [(case, findings[case.case]) for case in folder.tables.cases]
    store.save_whole(row, cases, folder.record.metrics)
    if folder.training is not None:
        _import_training(store, folder.training)
    return row, True


def _import_training(store: Store, training: SubmittedTraining) -> None:
    trainings = Trainings(store)
    if trainings.find(training.key) is None:
        trainings.save(TrainingRow(**training.row))
        trainings.add(training.key, [TrainingPoint(**point) for point in training.points])
