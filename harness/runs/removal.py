"""Remove a run for good: its folder with masks, logs and outcomes, and everything that the database holds of it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.rows import RunRow
from harness.runs.lock import only_one
from harness.sandbox.folder import remove_tree
from harness.store.database import Store

#: Folder of the home with what the build of a board keeps for the next one; it holds texts and scores of runs.
CACHE: Final = "cache"


@dataclass(frozen=True)
class Removal:
    """What goes with a run, and what stays.

    Attributes
    ----------
    run
        Its id.
    cases, findings
        How many rows of each the database holds of it.
    folder
        The folder of its masks, logs and outcomes; None where there is none.
    checkpoint
        The folder of the checkpoint that it predicted with, which stays: other runs may use it. None without one.
    """

    run: str
    cases: int
    findings: int
    folder: Path | None
    checkpoint: Path | None


def removal_of(store: Store, run: RunRow) -> Removal:
    """Return what :func:`remove_run` would remove."""
    folder = store.home / "runs" / run.id
    key = run.record.get("training", {}).get("key")
    checkpoint = store.home / "checkpoints" / key if key else None
    return Removal(
        run.id,
        len(store.cases(run.id)),
        len(store.findings(run.id)),
        folder if folder.exists() else None,
        checkpoint if checkpoint is not None and checkpoint.exists() else None,
    )


def remove_run(store: Store, run: RunRow) -> None:
    """Remove a run: first its folder, then its rows, so that a removal that was killed is completed by the next one.

    What the build of a board kept of it goes as well.

    Raises
    ------
    PrerequisiteError
        When a process works on it, here or on another host.
    OSError
        When a file cannot be removed; its rows are still there then.
    """
    folder = store.home / "runs" / run.id
    leaving = folder.with_name(f".removed-{run.id}")
    with ExitStack() as held:
        if folder.is_dir():
            held.enter_context(only_one(folder, run.id))
            remove_tree(leaving)  # of a removal that was killed
            folder.rename(leaving)
        remove_tree(leaving)
        store.remove_run(run.id)
        remove_tree(store.home / CACHE)
