"""Bring the masks of all tasks into one form: one label map a finding, on the CT's grid, entities numbered from 1."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from curation.annotation.answers import WORDS, answer_of, read_answers
from curation.annotation.matching import Drawn, match
from curation.annotation.readers import READERS, exported_numbers, files_beside, stray_files
from curation.annotation.tasks import CT, LABELS, TASKS, Format, Task, TaskFinding, Tasks, segment_name
from curation.pipeline import write_text
from harness.dataset.nifti import write_volume
from harness.dataset.voxels import read_header
from harness.errors import DataError, UsageError
from harness.masks.formats import stem_of
from harness.masks.header import Header

REPORT: Final = "import.json"
_TOUCHING: Final = np.ones((3, 3, 3), bool)  # voxels that share a corner belong together


@dataclass(frozen=True)
class Imported:
    """What became of one finding."""

    case: str
    finding: str
    state: Literal["ok", "missing", "empty", "refused", "not visible", "not localizable"]
    reason: str = ""
    entities: int = 0
    voxels: int = 0
    objects: tuple[str, ...] = ()  #: names of the objects that it was read from


@dataclass(frozen=True)
class Unused:
    """An object or file that was delivered and is part of no finding."""

    case: str
    name: str
    reason: str
    voxels: int | None = None  #: None: not known


@dataclass
class Import:
    """All findings of the tasks, and everything else that was delivered."""

    findings: list[Imported] = field(default_factory=list)
    unused: list[Unused] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        """Whether every finding has its mask or its answer, and no drawn voxel was left over."""
        return all(row.state in {"ok", *WORDS} for row in self.findings) and not any(row.voxels for row in self.unused)

    def as_dict(self) -> dict[str, object]:
        """Return the rows for a JSON document."""
        return {"findings": [asdict(row) for row in self.findings], "unused": [asdict(row) for row in self.unused]}


@dataclass(frozen=True)
class _Folders:
    tasks: Path
    source: Path  # what was delivered
    out: Path


def numbered(labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return a label map with entities numbered from 1 without gaps.

    A map with several values keeps them apart, for an entity may be broken up; a 0/1 mask is cut into its connected
    components. Beyond 255 entities, the largest 254 keep their number and the rest share the last.
    """
    values = np.unique(labels[labels > 0])
    if len(values) > 1:
        return np.searchsorted(np.array([0, *values]), labels).astype(np.uint8)
    components, count = ndimage.label(labels > 0, _TOUCHING)
    if count > 255:
        sizes = np.bincount(components.ravel())[1:]
        rank = np.argsort(np.argsort(-sizes, kind="stable"), kind="stable")
        components = np.array([0, *np.minimum(rank + 1, 255)])[components]
    return np.asarray(components, np.uint8)


def import_masks(
    tasks: Tasks,
    folder: Path,
    source: Path,
    *,
    kind: Format,
    out: Path,
    progress: Callable[[str], None] = lambda _: None,
) -> Import:
    """Read every object and write ``<case>/<finding>.nii.gz`` and ``import.json`` into `out`; faults stop no other.

    Parameters
    ----------
    tasks, folder
        The exported tasks, and their folder.
    source
        The annotators' files.
    kind
        Their form.
    out
        Folder to write; none of the others, for drawings may lie there under the same names.

    Raises
    ------
    UsageError
        `out` is the folder of the tasks or of the drawings, or `source` is not a folder.
    """
    if not source.is_dir():
        raise UsageError(f"{source} is not a folder", fix="give the folder of the annotators' files with --from")
    if any(out.resolve() == other.resolve() or other.resolve() in out.resolve().parents for other in (folder, source)):
        raise UsageError(f"{out} lies in a folder of drawings, which would be overwritten", fix="name another folder")
    result = Import()
    for task in tasks.tasks:
        _import_task(task, _Folders(folder, source, out), kind, result)
        progress(task.id)
    if kind != "redbrick":
        known = {task.id for task in tasks.tasks} | {TASKS, LABELS, "items.json"}
        known |= {path.name for task in tasks.tasks for path in files_beside(source, task)}
        others = [p.name for p in sorted(source.iterdir()) if not {p.name, stem_of(p.name)} & known]
        result.unused += [
            Unused("", name, "it belongs to no scan of these tasks") for name in others if not name.startswith(".")
        ]
    write_text(out / REPORT, json.dumps(result.as_dict(), indent=1, ensure_ascii=False) + "\n")
    return result


def _import_task(task: Task, folders: _Folders, kind: Format, result: Import) -> None:
    for finding in task.findings:
        (folders.out / task.id / f"{finding.id}.nii.gz").unlink(missing_ok=True)
    try:
        ct = read_header(folders.tasks / task.id / CT)
        drawn = list(READERS[kind](folders.source, task, ct))
        answers, others = read_answers(folders.source, task)
    except DataError as error:
        result.findings += [Imported(task.id, finding.id, "refused", error.message) for finding in task.findings]
        return
    found = match(task, drawn, exported_numbers(folders.source, task))
    voxels = {item: _voxels(item) for item, _ in found.unmatched}
    result.unused += [
        Unused(task.id, f"{item.name} ({item.where})", reason, voxels[item]) for item, reason in found.unmatched
    ]
    result.unused += [Unused(task.id, name, why) for name, why in stray_files(folders.source, task)]
    result.unused += [Unused(task.id, name, reason) for name, reason in others]
    for finding in task.findings:
        mine = found.of.get(finding.id, [])
        # An object that was never drawn into can be a part of nothing.
        stops = [(item, why) for item, why in found.stopped.get(finding.id, []) if voxels[item] != 0]
        if stops:
            result.findings.append(Imported(task.id, finding.id, "refused", _explained(finding, *stops[0])))
        elif finding.id in answers:
            result.findings.append(_answered(Imported(task.id, finding.id, "ok"), answers[finding.id], mine))
        elif not mine:
            result.findings.append(Imported(task.id, finding.id, "missing", "no mask was delivered"))
        else:
            target = folders.out / task.id / f"{finding.id}.nii.gz"
            row = _import_finding(Imported(task.id, finding.id, "ok"), mine, target, ct)
            if task.most_entities and row.entities > task.most_entities:
                row = replace(
                    row, reason=f"{row.entities} entities, where {task.most_entities} were asked for; all kept"
                )
            result.findings.append(row)


def _answered(row: Imported, answer: str, mine: list[Drawn]) -> Imported:
    """Return the row of a finding that was answered; an answer and a drawing exclude each other."""
    if any(_voxels(item) != 0 for item in mine):
        return replace(row, state="refused", reason=f"it was drawn, and {answer!r} was answered: remove one of the two")
    word = answer_of(answer)
    if word is None:
        return replace(row, state="refused", reason=f"{answer!r} is not an answer: write {' or '.join(WORDS)}")
    return replace(row, state=word, reason=f"{WORDS[word]}, its annotator says")


def _explained(finding: TaskFinding, item: Drawn, reason: str) -> str:
    """Say which object may be a part of a finding, and what to do about it."""
    own = finding.id if item.where.startswith(item.name) else segment_name(finding)
    return f"{item.name!r} in {item.where} may be a part of it: {reason}; name it {own!r} if it is, otherwise remove it"


def _voxels(item: Drawn) -> int | None:
    try:
        return int(np.count_nonzero(item.read()))
    except DataError:
        return None


def _import_finding(row: Imported, mine: list[Drawn], target: Path, ct: Header) -> Imported:
    """Write the mask of one finding from its objects, and return its row."""
    names = tuple(f"{item.name} ({item.where})" for item in mine)
    try:
        parts = [(item, labels) for item in mine if (labels := item.read()).any()]
    except DataError as error:
        return replace(row, state="refused", reason=error.message, objects=names)
    if not parts:
        return replace(row, state="empty", reason="the mask has no voxel", objects=names)
    twice = [name for name, n in Counter(item.name for item, _ in parts).items() if n > 1]
    files = sorted({item.where for item, _ in parts if item.name in twice})
    if len(files) > 1:
        reason = f"it was delivered twice, in {' and '.join(files)}: remove the one that does not count"
        return replace(row, state="refused", reason=reason, objects=names)
    entities = joined([labels for _, labels in parts])
    slices = (entities[..., n] for n in range(entities.shape[2]))
    write_volume(target, np.uint8, entities.shape, np.array(ct.affine), slices)
    return replace(row, entities=int(entities.max()), voxels=int(np.count_nonzero(entities)), objects=names)


def joined(parts: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    """Return the label map of one finding: several objects are entities, in order; a single one is :func:`numbered`.

    Where two objects overlap, the later one has the voxel; the voxels of the finding are those of all of them.
    """
    if len(parts) == 1:
        return numbered(parts[0])
    labels = np.zeros(parts[0].shape, np.uint8)
    last = 0
    for part in parts:
        values = np.unique(part[part > 0])
        for value in values:
            last = min(last + 1, 255)
            labels[part == value] = last
    return numbered(labels)
