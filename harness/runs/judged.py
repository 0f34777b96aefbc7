"""Rows made of data that this version would refuse: named before a board shows them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.dataset import open_dataset
from harness.dataset.cases import in_order
from harness.dataset.fingerprint import fingerprint_of
from harness.dataset.judge import require_sound
from harness.errors import BenchError
from harness.rows import RunRow


def require_sound_runs(runs: Sequence[RunRow], home: Path) -> None:
    """Judge the data behind every row, so far as it is still where it was and still the same.

    Raises
    ------
    DataError
        A row was made of data that are not sound; the file and the fault are named. Such rows come from versions that
        did not judge the data.
    """
    for fingerprint, split, place in dict.fromkeys((run.fingerprint, run.split, _place(run)) for run in runs):
        if not place or not Path(place).exists():
            continue
        try:
            data = open_dataset(Path(place), cache=home / "datasets" / ".digests")
            same = fingerprint_of(data, split) == fingerprint
        except BenchError:
            continue  # it has become another data set since
        if same:
            limits = [run.plan.get("limit") for run in runs if (run.fingerprint, run.split) == (fingerprint, split)]
            cases = in_order(data.split(split))
            require_sound(data, [split], used=cases if None in limits else cases[: max(map(int, filter(None, limits)))])


def _place(run: RunRow) -> str:
    return str(run.plan.get("dataset") or run.record.get("dataset", {}).get("path") or "")
