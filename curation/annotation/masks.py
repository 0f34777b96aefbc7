"""Bring the masks of all tasks into one form: one label map a finding, on the CT's grid, entities numbered from 1."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from curation.annotation.readers import READERS
from curation.annotation.tasks import CT, Format, Task, Tasks
from curation.pipeline import write_text
from curation.volumes import write_volume
from harness.dataset.voxels import read_header
from harness.errors import DataError

REPORT: Final = "import.json"
_TOUCHING: Final = np.ones((3, 3, 3), bool)  # voxels that share a corner belong together


@dataclass(frozen=True)
class Imported:
    """What became of one finding."""

    case: str
    finding: str
    state: Literal["ok", "missing", "empty", "refused"]
    reason: str = ""
    entities: int = 0
    voxels: int = 0


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
) -> list[Imported]:
    """Read every mask and write ``<case>/<finding>.nii.gz`` and ``import.json`` into `out`; faults stop no other.

    Parameters
    ----------
    tasks, folder
        The exported tasks, and their folder.
    source
        The annotators' files.
    kind
        Their form.
    out
        Folder to write.
    """
    rows: list[Imported] = []
    for task in tasks.tasks:
        rows += _import_task(task, folder, source, kind, out)
        progress(task.id)
    write_text(out / REPORT, json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    return rows


def _import_task(task: Task, folder: Path, source: Path, kind: Format, out: Path) -> list[Imported]:
    try:
        ct = read_header(folder / task.id / CT)
        found = READERS[kind](source, task, ct)
    except DataError as error:
        return [Imported(task.id, finding.id, "refused", error.message) for finding in task.findings]
    rows = []
    for finding in task.findings:
        labels = found.get(finding.id)
        target = out / task.id / f"{finding.id}.nii.gz"
        target.unlink(missing_ok=True)
        if labels is None:
            rows.append(Imported(task.id, finding.id, "missing", "no mask was delivered"))
        elif isinstance(labels, DataError):
            rows.append(Imported(task.id, finding.id, "refused", labels.message))
        elif not labels.any():
            rows.append(Imported(task.id, finding.id, "empty", "the mask has no voxel"))
        else:
            entities = numbered(labels)
            slices = (entities[..., n] for n in range(entities.shape[2]))
            write_volume(target, np.uint8, entities.shape, np.array(ct.affine), slices)
            rows.append(Imported(task.id, finding.id, "ok", "", int(entities.max()), int(np.count_nonzero(entities))))
    return rows
