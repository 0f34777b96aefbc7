"""Read the masks of one task, whichever program they come from."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from curation.annotation.grid import place
from curation.annotation.nrrd import Segmentation, read_segmentation
from curation.annotation.tasks import Task, TaskFinding, segment_name
from curation.volumes import read_array
from harness.errors import DataError
from harness.masks.header import Header

Labels = npt.NDArray[np.uint8]
_REDBRICK: Final = "tasks.json"


def read_nifti(folder: Path, task: Task, ct: Header) -> dict[str, Labels | DataError]:
    """Read ``<scan>/<finding>.nii.gz``; a value k is entity k, and a 0/1 mask is cut into entities later."""
    found: dict[str, Labels | DataError] = {}
    for finding in task.findings:
        path = folder / task.id / f"{finding.id}.nii.gz"
        if path.is_file():
            found[finding.id] = _caught(lambda path=path: _on_ct(path, ct))
    return found


def read_slicer(folder: Path, task: Task, ct: Header) -> dict[str, Labels | DataError]:
    """Read ``<scan>/<scan>.seg.nrrd``; segments are known by their name, ``0: …`` or the text alone.

    Several segments of one finding are its entities, in the order of the file.
    """
    path = folder / task.id / f"{task.id}.seg.nrrd"
    if not path.is_file():
        return {}
    found: dict[str, Labels | DataError] = {}
    try:
        segmentation = read_segmentation(path)
    except DataError as error:
        return {finding.id: error for finding in task.findings}
    for finding in task.findings:
        labels = _segments_of(segmentation, finding)
        if labels is not None:
            what = f"{path.name}, finding {finding.id}"
            found[finding.id] = _caught(
                lambda labels=labels, what=what: place(
                    labels, segmentation.affine, _shape(ct), np.array(ct.affine), what
                )
            )
    return found


def _segments_of(segmentation: Segmentation, finding: TaskFinding) -> Labels | None:
    """Return the label map of a finding, or None where no segment bears its name."""
    names = {segment_name(finding), finding.text}
    mine = [s for s in segmentation.segments if s.name in names or re.match(rf"{finding.id}\s*[:.]", s.name)]
    if not mine or segmentation.is_empty:
        return None
    labels = np.zeros(segmentation.layers.shape[1:], np.uint8)
    for entity, segment in enumerate(mine, start=1):
        labels[segmentation.mask(segment) > 0] = entity
    return labels


def read_redbrick(folder: Path, task: Task, ct: Header) -> dict[str, Labels | DataError]:
    """Read RedBrick's export: ``tasks.json`` with one ``segmentMap`` a series, and its NIfTI files.

    An instance belongs to the finding whose number begins its category (``0: …``) or stands in its ``finding``
    attribute. A series has one label map, or one binary file an instance.
    """
    series = _series(folder, task.id)
    if series is None:
        return {}
    try:
        instances = {value: _finding_of(entry) for value, entry in series["segmentMap"].items()}
        files = series["segmentations"]
    except (KeyError, TypeError, AttributeError) as error:
        problem = DataError(f"{task.id}: the export lacks {error}", fix="export with segmentations from RedBrick")
        return {finding.id: problem for finding in task.findings}
    found: dict[str, Labels | DataError] = {}
    for finding in task.findings:
        mine = [value for value, number in instances.items() if number == finding.id]
        if mine:
            found[finding.id] = _caught(
                lambda mine=mine: _instances(folder, files, mine, binary=bool(series.get("binaryMask")), ct=ct)
            )
    return found


READERS: Final = {"nifti": read_nifti, "slicer": read_slicer, "redbrick": read_redbrick}


def _caught(read: Any) -> Labels | DataError:
    """Return what was read, or the error: one bad mask does not stop the others."""
    try:
        result: Labels = read()
    except DataError as error:
        return error
    return result


def _shape(ct: Header) -> tuple[int, int, int]:
    height, width, depth = ct.shape
    return height, width, depth


def _on_ct(path: Path, ct: Header) -> Labels:
    values, header = read_array(path)
    if values.ndim == 4 and 1 in {values.shape[0], values.shape[3]}:
        values = values[0] if values.shape[0] == 1 else values[..., 0]
    if values.ndim != 3:
        raise DataError(f"{path} has shape {values.shape}, not three axes", fix="save one mask a finding")
    numbers = values * header.slope + header.inter if header.scaled else values
    if (
        not np.isfinite(numbers).all()
        or (numbers != np.rint(numbers)).any()
        or numbers.min() < 0
        or numbers.max() > 255
    ):
        raise DataError(f"{path} has values that are not labels from 0 to 255", fix="save it as a label map")
    labels = numbers.astype(np.uint8)
    plain = header.affine is None or np.allclose(header.affine, np.eye(4))
    if plain and labels.shape == ct.shape:
        return labels  # no geometry of its own, as the benchmark's masks: it lies as the CT's array does
    if header.affine is None:
        raise DataError(
            f"{path} has no geometry in its header, and its shape differs from its CT's", fix="save it with one"
        )
    return place(labels, np.array(header.affine), _shape(ct), np.array(ct.affine), path.name)


def _series(folder: Path, scan: str) -> Mapping[str, Any] | None:
    path = folder / _REDBRICK
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        tasks = document if isinstance(document, list) else [document]
        series = next((task["series"] for task in tasks if task["name"] == scan), None)
        return series[0] if series else None
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise DataError(f"{path} is not a RedBrick export: {error!r}", fix="give the folder of the export") from error


def _finding_of(entry: Any) -> str:
    if not isinstance(entry, Mapping):
        return str(entry).split(":")[0].strip()
    for attribute in entry.get("attributes") or []:
        if str(attribute.get("name", "")).lower() == "finding":
            return str(attribute.get("value"))
    category = entry.get("category")
    return str(category[-1] if isinstance(category, list) else category).split(":")[0].strip()


def _instances(folder: Path, files: Any, mine: list[str], *, binary: bool, ct: Header) -> Labels:
    paths = [files] if isinstance(files, str) else list(files)
    labels = np.zeros(_shape(ct), np.uint8)
    for entity, value in enumerate(sorted(mine, key=int), start=1):
        if binary:
            path = next((p for p in paths if re.search(rf"instance-{value}\b", str(p))), None)
            if path is None:
                raise DataError(f"the export has no file for instance {value}", fix="export again")
            labels[_on_ct(_inside(folder, path), ct) > 0] = entity
        else:
            labels[_on_ct(_inside(folder, paths[0]), ct) == int(value)] = entity
    return labels


def _inside(folder: Path, name: str) -> Path:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise DataError(f"the export names a file outside its folder: {name}", fix="export again")
    return path
