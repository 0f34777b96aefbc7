"""Text folders into a database: all are verified before the first is stored, and their order changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import DataError, UsageError
from harness.status import RowLevel
from harness.store.database import Store
from harness.submissions.checkpoints import import_checkpoint
from harness.submissions.text_files import find_folders
from harness.submissions.travelled import TextFolder, import_folder
from harness.submissions.verify import HeldAgainst, verified_level, verify_folder


@dataclass(frozen=True)
class ImportedRow:
    """What came of a text folder.

    Attributes
    ----------
    folder, run
        Its place; the row, empty where it was left out.
    level
        A :class:`harness.status.RowLevel`; empty where it was left out.
    what
        In words: whether it is new.
    """

    folder: str
    run: str
    level: str
    what: str


def import_all(store: Store, places: Sequence[Path], against: HeldAgainst) -> list[ImportedRow]:
    """Verify and import text folders, and all that lie below some folders.

    Parameters
    ----------
    store
        The open results database.
    places
        Text folders, or folders of them.
    against
        The masks and the data set of the only one; the organisers' keys.

    Returns
    -------
    list
        One entry a folder. One of a closed split is left out among several: its row is made of its masks.

    Raises
    ------
    DataError
        One of them does not verify, or is the only one and of a closed split. Nothing is stored then.
    UsageError
        Masks are given, and several folders.
    """
    found = [folder for place in places for folder in find_folders(place)]
    if against.masks is not None and len(found) > 1:
        raise UsageError(f"--masks are those of one row, and {len(found)} folders were given", fix="import it alone")
    folders = [_verified(folder, against) for folder in dict.fromkeys(found)]
    rows = []
    for folder, level in folders:
        if folder.tables is None and len(folders) > 1:
            rows.append(ImportedRow(str(folder.place), "", "", "left out: it is of a closed split"))
            continue
        row, new = import_folder(store, folder, level)
        stored = RowLevel(row.record["level"])
        rows.append(ImportedRow(str(folder.place), row.id, str(stored), "imported" if new else "already there"))
    return rows


def import_checkpoint_of(place: Path, files: Path, home: Path) -> Path:
    """Copy the checkpoint of the row of a text folder into a home; returns its folder.

    Raises
    ------
    DataError
        The folder does not verify, has no record of a checkpoint, or the files are others.
    """
    folder, _ = _verified(place, HeldAgainst())
    if folder.training is None:
        raise DataError(f"{place} has no record of a checkpoint", fix="it is written by `bench submit --checkpoint-at`")
    return import_checkpoint(folder.training, files, home)


def _verified(place: Path, against: HeldAgainst) -> tuple[TextFolder, RowLevel]:
    checks, folder = verify_folder(place, against)
    failed = [one for one in checks if one.outcome == "FAIL"]
    if failed or folder is None:
        raise DataError(
            f"{place}: {failed[0].name}: {failed[0].found}",
            fix=f"nothing was imported; `bench submission verify {place}` tells all of it",
            path=place,
        )
    rescored = any(one.name == "rescored" and one.outcome == "pass" for one in checks)
    return folder, verified_level(folder, against.signers) or (RowLevel.RESCORED if rescored else RowLevel.REPORTED)
