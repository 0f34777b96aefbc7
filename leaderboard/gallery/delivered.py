"""The masks of runs as they were scored: single files, stacks and archives, of runs made here and of submissions."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from harness.dataset import Dataset
from harness.dataset.voxels import read_header
from harness.errors import BenchError
from harness.scoring.case import read_masks
from harness.scoring.submission import Submission, open_submission
from harness.status import Status
from harness.store.database import Store
from leaderboard.gallery.scans import Points, Scan

#: Why a mask is not drawn.
NOT_RECORDED = "it is not recorded which mask was scored"
GONE = "its mask is not where it was when it was scored"
CHANGED = "its mask is not the one that was scored: the file has changed"
UNREADABLE = "its file cannot be read as a mask any more"


class Delivered:
    """The masks of every run of a database: those of runs made here, and folders and archives that were submitted.

    Parameters
    ----------
    store
        The results database.
    runs
        The folder of the runs made here.
    data
        The data set that they were made on.
    """

    def __init__(self, store: Store, runs: Path, data: Dataset) -> None:
        self._data = data
        self._quirks = {run.id for run in store.runs() if run.plan.get("organiser_quirks")}
        self._submitted = {
            run.id: Path(run.plan["predictions"])
            for run in store.runs()
            if run.kind == "submitted" and isinstance(run.plan.get("predictions"), str)
        }
        self._digests = lru_cache(maxsize=16)(lambda run: _digests(store, run))
        self._files = lru_cache(maxsize=64)(
            lambda run, split: _open(self._submitted.get(run, runs / run / "masks"), data, split)
        )

    def masks(self, run: str, scan: Scan) -> dict[str, Points | str]:
        """Return, by finding, the voxels (n, 3) of the mask that was scored, on the axes of the scan; or why not."""
        case = scan.case
        files = self._files(run, case.split)
        if files is None:
            recorded = self._digests(run)
            return {f.id: GONE if (case.id, f.id) in recorded else NOT_RECORDED for f in case.findings}
        task = files.task(case, self._data.mask_flip, organiser_quirks=run in self._quirks, blind=True)
        channels = read_header(case.truth).shape[0] if case.truth is not None else None
        found: dict[str, Points | str] = {}
        for finding, mask in zip(case.findings, read_masks(task, channels=channels), strict=True):
            scored = self._digests(run).get((case.id, finding.id))
            if scored is None:
                found[finding.id] = NOT_RECORDED
            elif mask.status == Status.MISSING_OUTPUT:
                found[finding.id] = GONE
            elif mask.sha256 != scored:
                found[finding.id] = CHANGED if mask.sha256 else UNREADABLE
            elif mask.bits is None:
                found[finding.id] = UNREADABLE
            else:
                found[finding.id] = scan.points(mask.bits, self._data.mask_flip)
        return found


def _open(path: Path, data: Dataset, split: str) -> Submission | None:
    try:
        return open_submission(path, data.split(split))
    except (BenchError, OSError):
        return None


def _digests(store: Store, run: str) -> Mapping[tuple[str, str], str]:
    return {(row.case, row.finding): row.mask_sha256 for row in store.findings(run) if row.mask_sha256}
