"""Read the objects drawn for one scan, whichever program they come from, and account for every one."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from curation.annotation.grid import place
from curation.annotation.matching import Drawn, Labels
from curation.annotation.nrrd import Segmentation, read_segmentation
from curation.annotation.tasks import ANSWERS, CT, FINDINGS, LABELS, Task, segment_name
from curation.volumes import read_array
from harness.errors import DataError
from harness.foreign import read_json_file
from harness.masks.formats import SUFFIXES, stem_of, suffix_of
from harness.masks.header import Header

_REDBRICK: Final = "tasks.json"
_SEG: Final = ".dcm"
_VOLUMES: Final = (*SUFFIXES, _SEG)
_SHORTENED: Final = 64  # characters of a DICOM segment's label, where programs cut off names
#: A line of 3D Slicer's colour table: value, name with underscores for blanks, colour.
_COLOUR = re.compile(r"\s*(\d{1,3})\s+([^\s\"]+)\s+\d+\s+\d+\s+\d+\s+\d+\s*$")
#: What programs and people call a label map of a whole scan.
_LABEL_MAP = re.compile(
    r"(?:ct|scan|volume|my|new|final)?[\W_]*(?:seg(?:mentation|mentations|s)?|label(?:s|map|[\W_]map)?|masks?|"
    r"annotations?|drawings?|untitled)(?:[\W_]*(?:ct|final|new|label|labelmap|seg))*",
    re.IGNORECASE,
)
_ONE_MASK: Final = 2  # values of a mask: nothing, and the finding
#: Volumes in two files, and their parts.
_TWO_FILES: Final = frozenset({".hdr", ".img", ".mhd", ".nhdr", ".raw", ".zraw"})
_IN_TWO: Final = "its header and its voxels are two files: save it as one (.nii.gz, .nrrd or .mha)"
#: The file of one instance or category of RedBrick, and its number.
_OF_INSTANCE = re.compile(r"(?:instance|category|mask)[-_](\d{1,6})\D*$")
_LABEL_LINE = re.compile(r'\s*(\d+)\s+\d+\s+\d+\s+\d+\s+[\d.]+\s+[01]\s+[01]\s+"(.*)"\s*$')


def read_folder(source: Path, task: Task, ct: Header) -> Iterator[Drawn]:
    """Yield what lies in ``<scan>/``, or beside it under a name that is or begins with ``<scan>``.

    A ``.seg.nrrd`` or a DICOM SEG gives its segments; a label map named as the scan, the labels of the description file
    (ITK-SNAP) beside it, and so does one with several labels whose name says that it is one ("Segmentation", "ct_seg");
    every other volume is the mask of the finding that its name states, behind the scan's where that stands first.
    """
    folder = source / task.id
    files = sorted(path for path in folder.iterdir() if not path.name.startswith(".")) if folder.is_dir() else []
    files += files_beside(source, task)
    for path in files:
        if path.name in {CT, FINDINGS, ANSWERS} or suffix_of(path.name) not in _VOLUMES:
            continue
        if suffix_of(path.name) == ".seg.nrrd":
            yield from _segments(path, read_segmentation(path), ct)
        elif suffix_of(path.name) == _SEG:
            yield from _segments(path, _seg(path, task), ct)
        else:
            name = _without_scan(stem_of(path.name), task)
            if name == task.id or (_LABEL_MAP.fullmatch(name) and _has_labels(path)):
                yield from _labels(path, _descriptions(path, source, task), ct)
            else:
                yield Drawn(name, path.name, lambda path=path: _on_ct(path, ct))  # type: ignore[misc]


def files_beside(source: Path, task: Task) -> list[Path]:
    """Return the volumes of a scan that lie beside its folder: ``<scan>.nrrd``, ``<scan>_3-9f02c1ab.nii.gz``."""
    volumes = (path for path in sorted(source.iterdir()) if path.is_file() and suffix_of(path.name) in _VOLUMES)
    return [
        path
        for path in volumes
        if re.match(rf"{re.escape(task.id)}(?![A-Za-z0-9])(?!_\d+(?!\d|-[0-9a-f]{{8}}))", path.name)
    ]


def _without_scan(name: str, task: Task) -> str:
    """Return a file's name without the scan's, where something follows it."""
    return name.removeprefix(task.id).lstrip("_- .") or name


def _has_labels(path: Path) -> bool:
    """Return whether a volume has a label above 1, so that it is no single mask; False where it cannot be read."""
    try:
        values, _ = read_array(path)
    except DataError:
        return False
    return len(np.unique(values)) > _ONE_MASK


def stray_files(source: Path, task: Task) -> list[tuple[str, str]]:
    """Return the names of files in a scan's folder that are neither volumes nor part of an export, and why."""
    folder = source / task.id
    if not folder.is_dir():
        return []
    return sorted(
        (path.name, _IN_TWO if path.suffix.lower() in _TWO_FILES else "it is not a volume that is read")
        for path in folder.iterdir()
        if not path.name.startswith(".")
        and path.name not in {CT, FINDINGS, ANSWERS}
        and suffix_of(path.name) not in _VOLUMES
        and not (
            path.is_file() and (path.suffix in {".txt", ".label", ".ctbl"} or path.name.endswith("ColorTable.csv"))
        )
    )


def exported_numbers(source: Path, task: Task) -> dict[str, str]:
    """Return number -> digest as the list that was exported beside the drawings states it; empty without one."""
    try:
        text = (source / task.id / FINDINGS).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return {}
    return dict(re.findall(r"^(\d+)-([0-9a-f]{8})\.nii\.gz\t", text, re.MULTILINE))


def read_redbrick(source: Path, task: Task, ct: Header) -> Iterator[Drawn]:
    """Yield the instances of RedBrick's export: ``tasks.json`` with a ``segmentMap`` a series, and its NIfTI files.

    An instance is named by its ``finding`` attribute or else by its category. A series has one label map, or one
    binary file an instance, which the instance or its own name states.
    """
    for series in _series(source, task.id):
        try:
            names = {int(value): _instance_name(entry) for value, entry in series["segmentMap"].items()}
            files = series["segmentations"]
            paths = [files] if isinstance(files, str) else [str(path) for path in files]
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise DataError(
                f"{task.id}: the export lacks {error}", fix="export with segmentations from RedBrick"
            ) from error
        own = {int(value): str(entry["mask"]) for value, entry in series["segmentMap"].items() if _states_file(entry)}
        if series.get("binaryMask") or own or (len(paths) > 1 and all(map(_OF_INSTANCE.search, paths))):
            yield from _instance_files(source, paths, names, own, ct)
        else:
            for path in paths:
                yield from _labels(_inside(source, path), names, ct)


READERS: Final[Mapping[str, Callable[[Path, Task, Header], Iterator[Drawn]]]] = {
    "nifti": read_folder,
    "slicer": read_folder,
    "redbrick": read_redbrick,
}


def _shape(ct: Header) -> tuple[int, int, int]:
    height, width, depth = ct.shape
    return height, width, depth


def _seg(path: Path, task: Task) -> Segmentation:
    """Read a DICOM SEG; a label that its length limit cut off gets its end back, where it begins one finding's name."""
    from curation.annotation.dicom_seg import read_seg  # which takes long to import

    read = read_seg(path)
    names = [segment_name(finding) for finding in task.findings]

    def whole(name: str) -> str:
        begun = [full for full in names if len(name) == _SHORTENED and full.startswith(name)]
        return begun[0] if len(begun) == 1 else name

    return replace(read, segments=tuple(replace(segment, name=whole(segment.name)) for segment in read.segments))


def _segments(path: Path, segmentation: Segmentation, ct: Header) -> Iterator[Drawn]:
    if segmentation.is_empty:
        return
    affine, target = segmentation.affine, np.array(ct.affine)
    for segment in segmentation.segments:
        yield Drawn(
            segment.name,
            path.name,
            lambda s=segment: place(segmentation.mask(s), affine, _shape(ct), target, f"{path.name}, {s.name!r}"),  # type: ignore[misc]
            segment.mark,
        )
    for layer, values in enumerate(segmentation.layers):
        named = {segment.value for segment in segmentation.segments if segment.layer == layer}
        for value in sorted(set(np.unique(values).tolist()) - named - {0}):
            rest = np.asarray(values == value, np.uint8)
            what = f"label {value} of layer {layer}, which no segment names"
            yield Drawn(what, path.name, lambda r=rest: place(r, affine, _shape(ct), target, path.name))  # type: ignore[misc]


def _labels(path: Path, names: Mapping[int, str], ct: Header) -> Iterator[Drawn]:
    """Yield the labels of one label map: those that are named, and those that only have voxels."""
    whole = lru_cache(maxsize=1)(lambda: _on_ct(path, ct))
    try:
        present = {int(value) for value in np.unique(whole())} - {0}
    except DataError:
        present = set()  # each of its labels tells the reason when it is read
    for value in sorted(present | set(names)):
        name = names.get(value, f"label {value}, which nothing names")
        yield Drawn(name, path.name, lambda value=value: np.asarray(whole() == value, np.uint8))  # type: ignore[misc]
    if not names and not present:
        yield Drawn(stem_of(path.name), path.name, whole)


def _descriptions(path: Path, source: Path, task: Task) -> dict[int, str]:
    """Return value -> name from the label descriptions or the colour table beside a label map; empty without any.

    One that an annotator has saved counts before the exported one.
    """
    folder = source / task.id
    beside = [path.with_name(f"{stem_of(path.name)}{suffix}") for suffix in (".txt", ".label")]
    beside += [file for pattern in ("*.label", "*.ctbl", "*ColorTable.csv") for file in sorted(folder.glob(pattern))]
    beside += sorted(folder.glob("*.txt"), key=lambda file: (file.name == LABELS, file.name))
    beside += [source / LABELS]
    for file in beside:
        if file.name == FINDINGS or not file.is_file():
            continue
        if found := _label_names(file):
            return {value: name for value, name in found.items() if value}
    return {}


def _states_file(entry: Any) -> bool:
    return isinstance(entry, Mapping) and isinstance(entry.get("mask"), str)


def _label_names(path: Path) -> dict[int, str]:
    """Return value -> name from ITK-SNAP's label descriptions or 3D Slicer's colour table; empty from others."""
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    if path.suffix.lower() == ".csv":
        rows = csv.DictReader(io.StringIO(text, newline=""))
        named = [(row.get("LabelValue") or "", row.get("Name") or "") for row in rows]
        return {int(value): name for value, name in named if re.fullmatch(r"\d{1,3}", value) and name}
    lines = text.splitlines()
    return {int(match[1]): match[2] for line in lines if (match := _LABEL_LINE.match(line) or _COLOUR.match(line))}


def _instance_files(
    source: Path, paths: list[str], names: Mapping[int, str], own: Mapping[int, str], ct: Header
) -> Iterator[Drawn]:
    used = set()
    numbered = {int(match[1]): path for path in paths if (match := _OF_INSTANCE.search(path))}
    for value, name in sorted(names.items()):
        path = own.get(value) or numbered.get(value)
        if path is None:
            yield Drawn(name, f"instance {value}", lambda value=value: _no_file(value))  # type: ignore[misc]
            continue
        used.add(path)
        yield Drawn(name, path, lambda path=path: np.asarray(_on_ct(_inside(source, path), ct) > 0, np.uint8))  # type: ignore[misc]
    for path in sorted(set(paths) - used):
        yield Drawn(f"{path}, which no instance names", path, lambda path=path: _on_ct(_inside(source, path), ct))  # type: ignore[misc]


def _no_file(value: int) -> Labels:
    raise DataError(f"the export has no file for instance {value}", fix="export again")


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


def _series(folder: Path, scan: str) -> list[Mapping[str, Any]]:
    path = folder / _REDBRICK
    try:
        document = read_json_file(path)
        listed = document.get("tasks", document) if isinstance(document, Mapping) else document
        tasks = listed if isinstance(listed, list) else [listed]
        return [series for task in tasks if scan in {task["name"], stem_of(task["name"])} for series in task["series"]]
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", fix="give the folder of the export") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8, as JSON is", fix="give the export as RedBrick wrote it") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is not a RedBrick export: {error!r}", fix="give the folder of the export") from error


def _instance_name(entry: Any) -> str:
    """Return what an instance is called: its ``finding`` attribute, else the last part of its category."""
    if not isinstance(entry, Mapping):
        return str(entry)
    attributes = entry.get("attributes") or []
    if isinstance(attributes, Mapping):
        attributes = [{"name": name, "value": value} for name, value in attributes.items()]
    for attribute in attributes:
        if str(attribute.get("name", "")).lower() in {"finding", "finding id"}:
            value = attribute.get("value")
            return str(value[0] if isinstance(value, list) and len(value) == 1 else value)
    category = entry.get("category")
    return str(category[-1] if isinstance(category, list) and category else category)


def _inside(folder: Path, name: str) -> Path:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise DataError(f"the export names a file outside its folder: {name}", fix="export again")
    return path
