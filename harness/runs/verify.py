"""Recomputes a stored row from its masks and compares digit by digit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from harness.dataset import Dataset, find_dataset, open_dataset
from harness.errors import DataError
from harness.runs.submitted import score_submission
from harness.scoring.profiles import PROFILES
from harness.scoring.submission import Submission, open_submission
from harness.scoring.summary import summarise
from harness.status import Status
from harness.store import FindingRow, RunRow, Store

#: Columns that are computed from the masks; the others are copied from the data set or written by inference.
_COMPUTED = ("dice", "truth_voxels", "pred_voxels", "intersection", "mask_sha256", "details")

#: Outcomes that are decided by the mask alone.
_OF_MASKS = (Status.OK, Status.INVALID_OUTPUT, Status.MISSING_OUTPUT)


def verify_run(
    store: Store, run: RunRow, home: Path, *, masks: Path | None, dataset: str | None, jobs: int | None = None
) -> dict[str, Any]:
    """Score a run's masks again and compare with what is stored.

    Parameters
    ----------
    store, run
        Where the row is, and which.
    home
        The folder that holds the runs' masks.
    masks, dataset
        Where they are now; None: where they were.
    jobs
        Worker processes.

    Returns
    -------
    dict
        ``{"run", "findings", "metrics", "differences"}``, the last a line for every number that is not the same.

    Raises
    ------
    DataError
        The masks or the data set are not there any more, or the data set is another one.
    """
    data = _data(run, home, dataset)
    stored = {(row.case_id, row.finding): row for row in store.findings(run.id)}
    names = {case for case, _ in stored}
    cases = tuple(case for case in data.split(run.split) if case.id in names)
    quirks = bool(run.plan.get("organiser_quirks"))
    folder = masks or Path(run.plan.get("predictions") or home / "runs" / run.id / "masks")
    if not folder.exists():
        raise DataError(f"the masks of {run.id} are not at {folder} any more", fix="say where they are with --masks")
    nothing_delivered = all(row.mask_sha256 is None for row in stored.values())
    submission = Submission(folder, {}, {}, ()) if nothing_delivered else open_submission(folder, cases)
    found = score_submission(submission, data, cases, jobs=jobs, organiser_quirks=quirks)
    differences: list[str] = []
    again = []
    for row in (row for rows in found.values() for row in rows):
        kept = stored[row.case_id, row.finding]
        if kept.status in _OF_MASKS:
            differences += _differences(f"{row.case_id}/{row.finding}", kept, row)
        else:
            row = replace(row, status=kept.status)  # noqa: PLW2901 - inference failed; the mask decides nothing
        again.append(row)
    compared = 0
    for name, profile in PROFILES.items():
        kept_metrics = dict(_cells(store.metrics(run.id, name)))
        used = replace(profile, organiser_quirks=quirks) if name == run.profile else profile
        for path, cell in _cells(summarise(again, used)) if kept_metrics else ():
            compared += 1
            if kept_metrics.get(path) != cell:
                differences.append(f"{name} {path}: stored {kept_metrics.get(path)}, computed {cell}")
    return {"run": run.id, "findings": len(again), "metrics": compared, "differences": differences}


def _data(run: RunRow, home: Path, dataset: str | None) -> Dataset:
    place = dataset or run.plan.get("dataset") or run.record.get("dataset", {}).get("path") or run.dataset
    data = open_dataset(find_dataset(place, home), cache=home / "datasets" / ".digests")
    fingerprint = data.fingerprint(run.split)
    if fingerprint != run.fingerprint:
        raise DataError(
            f"{run.id} was measured on {run.fingerprint}, but {data.root} is {fingerprint}",
            fix="say with --dataset where the data set of that run is",
        )
    return data


def _differences(name: str, kept: FindingRow, computed: FindingRow) -> Iterator[str]:
    if kept.status != computed.status:
        yield f"{name} status: stored {kept.status}, computed {computed.status}"
    elif kept.status == Status.OK:
        before, now = asdict(kept), asdict(computed)
        for column in _COMPUTED:
            if before[column] != now[column]:
                yield f"{name} {column}: stored {before[column]}, computed {now[column]}"


def _cells(metrics: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, value in metrics.items():
        if "value" in value:
            yield f"{path}{name}", value
        else:
            yield from _cells(value, f"{path}{name}/")
