"""Tasks for annotators: one folder a scan, in the form of the program that they use."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

import numpy as np
from pydantic import Field, ValidationError

from curation.annotation.nrrd import Segment, write_segmentation
from curation.pipeline import write_text
from curation.records import CategoryCode, Record, SelectedReport, Words
from harness.dataset.voxels import read_header
from harness.errors import DataError, UsageError

TASKS: Final = "tasks.json"
CT: Final = "ct.nii.gz"

Format = Literal["nifti", "slicer", "redbrick"]


class TaskFinding(Record):
    """One finding to draw."""

    id: Annotated[str, Field(pattern=r"^(0|[1-9]\d{0,2})$")]
    text: Words
    category: CategoryCode


class Task(Record):
    """One scan."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,190}$")]
    findings: tuple[TaskFinding, ...]


class Tasks(Record):
    """The tasks of one export."""

    version: Literal[1] = 1
    format: Format
    tasks: tuple[Task, ...]


def find_ct(folder: Path, scan: str) -> Path | None:
    """Return the CT of a report: the volume of that name or, where the id names no reconstruction, the first one."""
    exact = folder / f"{scan}.nii.gz"
    if exact.is_file():
        return exact
    return next(iter(sorted(folder.glob(f"{scan}_[0-9].nii.gz"))), None)


def export_tasks(
    reports: Sequence[SelectedReport],
    cts: Path,
    out: Path,
    kind: Format,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[Tasks, dict[str, str]]:
    """Write a folder of tasks.

    Each scan gets a folder with a link to its CT and ``findings.txt``; for 3D Slicer also ``<id>.seg.nrrd`` with one
    empty segment a finding; RedBrick gets one ``items.json`` to upload.

    Returns
    -------
    tuple
        The exported tasks, and scan -> why it was left out.

    Raises
    ------
    UsageError
        `out` holds other things already, or `cts` is not a folder.
    """
    if not cts.is_dir():
        raise UsageError(f"the CT folder {cts} does not exist", fix="run `bench curate intake`, or name the folder")
    if out.exists() and any(out.iterdir()) and not (out / TASKS).is_file():
        raise UsageError(f"{out} holds other files", fix="name a new or an empty folder")
    tasks, left = [], {}
    for report in reports:
        ct = find_ct(cts, report.id)
        if ct is None:
            left[report.id] = f"{cts} has no CT named {report.id}.nii.gz"
            continue
        name = ct.name.removesuffix(".nii.gz")
        findings = tuple(
            TaskFinding(id=str(n), text=finding.text, category=finding.category)
            for n, finding in enumerate(report.findings)
        )
        try:
            _write_task(out / name, ct, findings, kind)
        except DataError as error:
            left[report.id] = error.message
            continue
        tasks.append(Task(id=name, findings=findings))
        progress(name)
    exported = Tasks(format=kind, tasks=tuple(tasks))
    if kind == "redbrick":
        items = [
            {
                "name": task.id,
                "series": [{"items": f"{task.id}/{CT}"}],
                "metaData": {f"finding {finding.id}": finding.text for finding in task.findings},
            }
            for task in tasks
        ]
        write_text(out / "items.json", json.dumps(items, indent=1, ensure_ascii=False) + "\n")
    write_text(out / TASKS, exported.model_dump_json(indent=1) + "\n")
    return exported, left


def segment_name(finding: TaskFinding) -> str:
    """Return what a finding is called in an annotator's program: its number first, by which it is known again."""
    return f"{finding.id}: {finding.text}"


def _write_task(folder: Path, ct: Path, findings: Sequence[TaskFinding], kind: Format) -> None:
    header = read_header(ct)
    if len(header.shape) != 3 or header.affine is None:
        raise DataError(f"{ct} is not a CT volume with an affine", fix="run `bench curate intake` first")
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / CT
    link.unlink(missing_ok=True)
    link.symlink_to(ct.resolve())
    lines = [f"{finding.id}\t{finding.category}\t{finding.text}" for finding in findings]
    if kind == "nifti":
        lines = [f"{finding.id}.nii.gz\t{line}" for finding, line in zip(findings, lines, strict=True)]
    write_text(folder / "findings.txt", "\n".join(lines) + "\n")
    if kind == "slicer":
        segments = [Segment(segment_name(finding), layer, 1) for layer, finding in enumerate(findings)]
        empty = np.zeros((len(findings), *header.shape), np.uint8)
        write_segmentation(folder / f"{folder.name}.seg.nrrd", empty, np.array(header.affine), segments)


def read_tasks(folder: Path) -> Tasks:
    """Read the exported tasks; raises UsageError or DataError where there is none."""
    try:
        return Tasks.model_validate_json((folder / TASKS).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(
            f"{folder} does not contain {TASKS}", fix="give the folder of `bench curate annotate export`"
        ) from error
    except (OSError, ValidationError, UnicodeDecodeError) as error:
        raise DataError(f"{folder / TASKS} cannot be read: {error}", fix="export the tasks again") from error
