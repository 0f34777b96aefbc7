"""Tasks for annotators: one folder a scan, in the form of the program that they use.

An export adds to a folder and overwrites nothing there: what annotators have drawn may lie in the very files that an
export writes. A finding is named by its number and a digest of its text, so that a drawing stays with the text that it
was made for when a later selection numbers the findings differently.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal

import numpy as np
from pydantic import Field, ValidationError

from curation.annotation.nrrd import Segment, write_segmentation
from curation.pipeline import write_text
from curation.records import CategorizedFinding, CategoryCode, OfReport, Record, SelectedReport, SentenceCode, Words
from harness.dataset.voxels import read_header
from harness.errors import DataError, UsageError
from harness.foreign import read_json_file

TASKS: Final = "tasks.json"
CT: Final = "ct.nii.gz"
FINDINGS: Final = "findings.txt"
LABELS: Final = "labels.txt"  # ITK-SNAP's label descriptions
ANSWERS: Final = "answers.csv"  # what annotators answer where there is nothing to draw
_VERSION: Final = 2

Format = Literal["nifti", "slicer", "redbrick"]


class TaskFinding(Record):
    """One finding to draw; its `id` is its number in the scan and the digest of its text, as ``3-9f02c1ab``."""

    id: Annotated[str, Field(pattern=r"^(0|[1-9]\d{0,2})-[0-9a-f]{8}$")]
    text: Words
    category: CategoryCode
    codes: tuple[SentenceCode, ...] | None = None  #: sentences of the rewritten report; None: of an earlier version
    prior: bool | None = None  #: whether it refers to an earlier examination; None: of an earlier version

    @property
    def number(self) -> str:
        """Its place among the findings of its scan."""
        return self.id.partition("-")[0]

    @property
    def mark(self) -> str:
        """The digest of its scan and text."""
        return self.id.partition("-")[2]


class Task(OfReport):
    """One scan."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,190}$")]
    findings: tuple[TaskFinding, ...]
    most_entities: Annotated[int, Field(ge=1)] | None = None  #: to draw of each finding; None: all


class Tasks(Record):
    """The tasks of one export."""

    version: Literal[2] = 2
    format: Format
    tasks: tuple[Task, ...]


@dataclass
class Exported:
    """What an export did."""

    tasks: Tasks  #: all tasks of the folder, earlier ones included
    kept: tuple[str, ...] = ()  #: scans that were there already, with the same findings
    no_ct: dict[str, str] = field(default_factory=dict)  #: scan -> why it was left out
    changed: dict[str, str] = field(default_factory=dict)  #: scan that stays as it is -> what differs


def task_of(
    scan: str,
    findings: Sequence[CategorizedFinding],
    report_sha256: str | None = None,
    most_entities: int | None = None,
) -> Task:
    """Return the task of a scan; findings that share a text are told apart by their order."""
    seen: Counter[str] = Counter()
    made = []
    for number, finding in enumerate(findings):
        text = " ".join(finding.text.split())
        mark = hashlib.sha256(f"{scan}\0{text}\0{seen[text]}".encode()).hexdigest()[:8]
        seen[text] += 1
        made.append(
            TaskFinding(
                id=f"{number}-{mark}",
                text=finding.text,
                category=finding.category,
                codes=finding.codes,
                prior=finding.prior,
            )
        )
    return Task(id=scan, findings=tuple(made), report_sha256=report_sha256, most_entities=most_entities)


def find_cts(folder: Path) -> dict[str, list[Path]]:
    """Return every ``.nii.gz`` file below a folder by its name: a flat folder, or a tree such as CT-RATE's."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*.nii.gz")):
        found.setdefault(path.name.removesuffix(".nii.gz"), []).append(path)
    return found


def find_ct(cts: dict[str, list[Path]], scan: str) -> Path:
    """Return the CT of a report: the volume of that name or, where the id names no reconstruction, the first one.

    Raises
    ------
    DataError
        There is none, or there are several of one name.
    """
    names = [scan, *sorted(name for name in cts if name[:-2] == scan and name[-2] == "_" and name[-1].isdigit())]
    paths = next((cts[name] for name in names if name in cts), [])
    if not paths:
        raise DataError(f"there is no CT named {scan}.nii.gz", fix="add it, or name its folder with --cts")
    if len(paths) > 1:
        raise DataError(f"{len(paths)} CTs are named {paths[0].name}: {paths[0]}, {paths[1]}", fix="keep one of them")
    return paths[0]


def export_tasks(
    reports: Sequence[SelectedReport],
    cts: Path,
    out: Path,
    kind: Format,
    progress: Callable[[str], None] = lambda _: None,
    *,
    copy: bool = False,
    most_entities: int | None = None,
) -> Exported:
    """Write a folder of tasks, or add scans to one.

    Each scan gets a folder with its CT, ``findings.txt`` and ``answers.csv``; for 3D Slicer also ``<id>.seg.nrrd`` with
    one empty segment a finding, otherwise ``labels.txt`` for ITK-SNAP; RedBrick gets one ``items.json`` to upload. A
    file that is there already is never written again. A scan that is there with other findings stays as it is.

    Parameters
    ----------
    reports
        The selected scans.
    cts
        Folder of the CTs, which may have folders of its own.
    out
        Folder of the tasks.
    kind
        The annotators' program.
    copy
        Copy the CTs, so that the folder can be moved to another machine; False: link them.
    most_entities
        How many entities annotators draw of each finding, as in the release's training scans; None: all.

    Raises
    ------
    UsageError
        `out` holds other things already, or tasks of another format or version; `cts` is not a folder.
    """
    if not cts.is_dir():
        raise UsageError(f"the CT folder {cts} does not exist", fix="run `bench curate intake`, or name the folder")
    there = _tasks_in(out, kind)
    result = Exported(Tasks(format=kind, tasks=()))
    volumes = find_cts(cts)
    kept: list[str] = []
    fresh: dict[str, Task] = {}
    sources: dict[str, Path] = {}
    for report in reports:
        try:
            ct = find_ct(volumes, report.id)
            _check_volume(ct)
        except DataError as error:
            result.no_ct[report.id] = error.message
            continue
        task = task_of(ct.name.removesuffix(".nii.gz"), report.findings, report.report_sha256, most_entities)
        if task.id in there or task.id in fresh:
            reason = _difference(there.get(task.id) or fresh[task.id], task)
            if reason:
                result.changed[task.id] = reason
                continue
            kept.append(task.id)
        elif (out / task.id).exists():
            result.changed[task.id] = f"{out / task.id} is there already, and is not one of the folder's tasks"
            continue
        else:
            fresh[task.id] = task
        sources[task.id] = ct
    everything = there | fresh
    result.tasks = Tasks(format=kind, tasks=tuple(everything.values()))
    result.kept = tuple(kept)
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / TASKS, result.tasks.model_dump_json(indent=1) + "\n")  # first: a killed export can be repeated
    for name, ct in sources.items():
        _write_task(out / name, ct, everything[name], kind, copy=copy)
        progress(name)
    if kind == "redbrick":
        write_text(out / "items.json", json.dumps(_items(result.tasks), indent=1, ensure_ascii=False) + "\n")
    return result


def _tasks_in(out: Path, kind: Format) -> dict[str, Task]:
    if not out.exists() or not any(out.iterdir()):
        return {}
    if not (out / TASKS).is_file():
        raise UsageError(f"{out} holds other files", fix="name a new or an empty folder")
    there = read_tasks(out)
    if there.format != kind:
        raise UsageError(
            f"{out} holds tasks in the format {there.format}, not {kind}",
            fix=f"add --format {there.format}, or name a new folder",
        )
    return {task.id: task for task in there.tasks}


def _check_volume(ct: Path) -> None:
    header = read_header(ct)
    if len(header.shape) != 3 or header.affine is None:
        raise DataError(f"{ct} is not a CT volume with an affine", fix="run `bench curate intake` first")


def _difference(there: Task, task: Task) -> str:
    """Return how two tasks of a scan differ; empty where they have the same texts in the same order."""
    same = [finding.id for finding in there.findings] == [finding.id for finding in task.findings]
    if same and there.most_entities != task.most_entities:
        limits = [each.most_entities or "all" for each in (there, task)]
        return f"its task is there already, with {limits[0]} entities to draw of each finding, not {limits[1]}"
    if same:
        return ""
    before, after = ({finding.mark: finding for finding in each.findings} for each in (there, task))
    new = [finding.text for mark, finding in after.items() if mark not in before]
    gone = [finding.text for mark, finding in before.items() if mark not in after]
    parts = [f"{len(new)} new ({new[0][:60]!r})"] if new else []
    parts += [f"{len(gone)} no longer selected ({gone[0][:60]!r})"] if gone else []
    return f"its task is there already, with other findings: {', '.join(parts) or 'their order differs'}"


def _items(tasks: Tasks) -> list[dict[str, object]]:
    return [
        {
            "name": task.id,
            "series": [{"items": f"{task.id}/{CT}"}],
            "metaData": {f"finding {finding.id}": finding.text for finding in task.findings},
        }
        for task in tasks.tasks
    ]


def segment_name(finding: TaskFinding) -> str:
    """Return what a finding is called in an annotator's program: its number, for people, and its text."""
    return f"{finding.number}: {finding.text}"


def _write_task(folder: Path, ct: Path, task: Task, kind: Format, *, copy: bool) -> None:
    """Write the files of a task that are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    _provide_ct(folder / CT, ct, copy=copy)
    lines = [f"{finding.number}\t{finding.category}\t{finding.text}" for finding in task.findings]
    if kind == "nifti":
        lines = [f"{finding.id}.nii.gz\t{line}" for finding, line in zip(task.findings, lines, strict=True)]
    if not (folder / FINDINGS).exists():
        write_text(folder / FINDINGS, "\n".join(lines) + "\n")
    if not (folder / ANSWERS).exists():
        write_text(folder / ANSWERS, _answer_sheet(task))
    if kind == "nifti" and not (folder / LABELS).exists():
        write_text(folder / LABELS, _label_descriptions(task))
    segmentation = folder / f"{folder.name}.seg.nrrd"
    if kind == "slicer" and not segmentation.exists():
        header = read_header(ct)
        segments = [Segment(segment_name(f), layer, 1, f.mark) for layer, f in enumerate(task.findings)]
        empty = np.zeros((len(segments), *header.shape), np.uint8)
        write_segmentation(segmentation, empty, np.array(header.affine), segments)


def _provide_ct(path: Path, ct: Path, *, copy: bool) -> None:
    """Link or copy the CT; a copy that is there stays, and a link is made anew, for its target may have moved."""
    if path.is_symlink():
        path.unlink()
    if path.exists():
        return
    if copy:
        beside = path.with_name(f".{path.name}.partial")
        shutil.copyfile(ct.resolve(), beside)
        beside.rename(path)
    else:
        path.symlink_to(ct.resolve())


def _answer_sheet(task: Task) -> str:
    stream = io.StringIO(newline="")
    rows = csv.writer(stream)
    rows.writerow(("finding", "text", "answer"))
    rows.writerows((finding.id, " ".join(finding.text.split()), "") for finding in task.findings)
    return stream.getvalue()


def _label_descriptions(task: Task) -> str:
    """Return the findings as ITK-SNAP's label descriptions: label n + 1 is the finding n."""
    colours = ("255 0 0", "0 255 0", "0 0 255", "255 255 0", "0 255 255", "255 0 255", "255 239 213", "205 133 63")
    lines = ["################################################", "# ITK-SnAP Label Description File"]
    lines += ["# File format: IDX -R- -G- -B- -A-- VIS MSH LABEL", '    0     0 0 0        0  0  0    "Clear Label"']
    for number, finding in enumerate(task.findings):
        text = segment_name(finding).replace('"', "'")
        lines.append(f'    {number + 1}     {colours[number % len(colours)]}        1  1  1    "{text}"')
    return "\n".join(lines) + "\n"


def read_tasks(folder: Path) -> Tasks:
    """Read the exported tasks; raises UsageError or DataError where there is none."""
    path = folder / TASKS
    try:
        document = read_json_file(path)
        if isinstance(document, dict) and document.get("version") != _VERSION:
            raise DataError(
                f"{path} was written by another version of this program, and does not tie drawings to their texts",
                fix=f"export the selection into a new folder, and import with --from {folder}: nothing there is lost",
            )
        return Tasks.model_validate(document)
    except FileNotFoundError as error:
        raise UsageError(
            f"{folder} does not contain {TASKS}", fix="give the folder of `bench curate annotate export`"
        ) from error
    except (OSError, ValueError, ValidationError) as error:
        raise DataError(f"{path} cannot be read: {error}", fix="export the tasks again into a new folder") from error
