"""The mask files of runs, and their digests when they were scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from harness.store.database import Store


@dataclass(frozen=True)
class Mask:
    """One mask file: its path, the folder that must contain it, and the SHA-256 (hex) of what was scored."""

    path: Path
    root: Path
    sha256: str


class Delivered:
    """The masks of every run of a database: those of runs made here, and folders that were submitted.

    Parameters
    ----------
    store
        The results database.
    runs
        The folder of the runs made here.
    """

    def __init__(self, store: Store, runs: Path) -> None:
        self._runs = runs
        self._submitted = {
            run.id: Path(run.plan["predictions"])
            for run in store.runs()
            if run.kind == "submitted" and isinstance(run.plan.get("predictions"), str)
        }
        self._digests = lru_cache(maxsize=16)(lambda run: _digests(store, run))

    def find(self, run: str, case: str, finding: str) -> Mask | None:
        """Return the mask of a finding; None where it is not there as a file of its own, or was not scored."""
        root = self._submitted.get(run, self._runs / run / "masks")
        path = root / case / f"{finding}.nii.gz"
        digest = self._digests(run).get((case, finding))
        return Mask(path, root, digest) if digest and path.is_file() else None


def _digests(store: Store, run: str) -> Mapping[tuple[str, str], str]:
    return {(row.case, row.finding): row.mask_sha256 for row in store.findings(run) if row.mask_sha256}
