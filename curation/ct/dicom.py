"""DICOM series to checked volumes: what is not one regular stack of slices in HU is refused with its reason.

pydicom reads the files, highdicom their geometry, and GDCM what is compressed. Source of the rules: DICOM PS3.3,
C.7.6.2 (image plane) and C.8.2.1 (CT image).
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import highdicom
import numpy as np
import numpy.typing as npt
from pydicom.errors import InvalidDicomError

from curation.dicom_file import read_dicom
from curation.volumes import require_size
from harness.dataset.patients import age_of
from harness.errors import DataError, UsageError

_TAGS: Final = [
    "SOPInstanceUID", "SOPClassUID", "SeriesInstanceUID", "SeriesDescription", "Modality", "ImageType", "PatientID",
    "PatientAge", "PatientSex", "Manufacturer", "ManufacturerModelName", "ConvolutionKernel", "KVP", "SliceThickness",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns", "NumberOfFrames",
    "RescaleSlope", "RescaleIntercept", "RescaleType", "FrameOfReferenceUID", "SharedFunctionalGroupsSequence",
]  # fmt: skip
_TO_RAS: Final = np.diag([-1.0, -1.0, 1.0, 1.0])
_EVEN: Final = 0.05  # of the distance between slices by which one may lie elsewhere
_TILT: Final = 0.5  # degrees between the stack and the normal of its slices
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,190}")  # as in the tasks for annotators
_CT_CLASSES: Final = frozenset({"1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1"})  # CT, enhanced CT


@dataclass(frozen=True)
class Series:
    """The files of one series, with what their headers state."""

    uid: str
    name: str  #: of the volume
    files: tuple[Path, ...]
    headers: tuple[Any, ...]

    @property
    def told(self) -> str:
        """How a person knows it: number of images, description, kernel and identifier."""
        first = self.headers[0]
        kernel = first.get("ConvolutionKernel", "")
        words = (f"{len(self.files)} images", first.get("SeriesDescription"), kernel and f"kernel {kernel}", self.uid)
        return ", ".join(str(word) for word in words if word)

    def facts(self) -> dict[str, str]:
        """Return what a table of cases states of the scan; empty where the header does not."""
        names = {
            "age": "PatientAge", "sex": "PatientSex", "manufacturer": "Manufacturer", "model": "ManufacturerModelName",
            "kernel": "ConvolutionKernel", "kvp": "KVP", "slice_thickness": "SliceThickness",
        }  # fmt: skip
        facts = {name: str(self.headers[0].get(tag) or "").strip() for name, tag in names.items()}
        try:
            age_of(facts["age"])
        except ValueError:
            facts["age"] = ""
        return facts


@dataclass(frozen=True)
class Stack:
    """A volume in HU: values (slice, row, column), affine (array index -> mm, RAS+), and what was noted."""

    values: npt.NDArray[np.float32]
    affine: npt.NDArray[np.float64]
    note: str


def find_series(folder: Path, names: Mapping[str, str] | None = None) -> tuple[list[Series], dict[str, str]]:
    """Find the CT series below a folder.

    Parameters
    ----------
    folder
        Searched with all its folders.
    names
        Series identifier -> name of its volume; other series are left out. None: a series is named by the first folder
        below `folder`, or by `folder` itself, and a folder with several of them is refused.

    Returns
    -------
    tuple
        The series, and name -> why nothing is made of it.
    """
    found, damaged = _headers(folder)
    series = [
        Series(uid, _named(folder, items[0][0]), tuple(p for p, _ in items), tuple(h for _, h in items))
        for uid, items in found.items()
    ]
    refused: dict[str, str] = {}
    if names is None:
        several = Counter(item.name for item in series)
        refused = {
            name: "it has several series; choose with --series: "
            + "; ".join(item.told for item in series if item.name == name)
            for name, count in several.items()
            if count > 1
        }
        refused |= {name: f"{path} is damaged" for path in damaged.values() if (name := _named(folder, path))}
    else:
        refused = {name: f"there is no CT series {uid}" for uid, name in names.items() if uid not in found}
        series = [replace(item, name=names[item.uid]) for item in series if item.uid in names]
        for item in series:
            if broken := next((damaged[path.parent] for path in item.files if path.parent in damaged), None):
                refused[item.name] = f"{broken} beside it is damaged"
    for item in series:
        if not _NAME.fullmatch(item.name):
            refused[item.name] = "its name is not made of letters, digits, dots, hyphens and underscores: use --series"
    return [item for item in series if item.name not in refused], refused


def _headers(folder: Path) -> tuple[dict[str, list[tuple[Path, Any]]], dict[Path, Path]]:
    """Return series -> its files with their headers, and folder -> a DICOM file in it that cannot be read."""
    found: dict[str, list[tuple[Path, Any]]] = {}
    damaged: dict[Path, Path] = {}  # folder -> a file of it
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")):
        if path.name.endswith((".nii", ".nii.gz")) or path.name == "DICOMDIR":
            continue
        try:
            header = read_dicom(path, stop_before_pixels=True, specific_tags=_TAGS)
        except InvalidDicomError:
            continue  # not DICOM
        except (OSError, ValueError, EOFError, AttributeError, KeyError, NotImplementedError):
            damaged[path.parent] = path
            continue
        if header.get("SOPClassUID") not in _CT_CLASSES or _is_localizer(header):
            continue
        if header.get("SeriesInstanceUID") and header.get("SOPInstanceUID"):
            found.setdefault(str(header.SeriesInstanceUID), []).append((path, header))
        else:
            damaged[path.parent] = path
    return found, damaged


def _is_localizer(header: Any) -> bool:
    return "LOCALIZER" in [str(part).upper() for part in header.get("ImageType") or ()]


def _named(folder: Path, path: Path) -> str:
    parts = path.relative_to(folder).parts
    return parts[0] if len(parts) > 1 else folder.resolve().name


def read_names(path: Path) -> dict[str, str]:
    """Read a table of series: CSV with the columns ``series`` and ``case``.

    Raises
    ------
    UsageError, DataError
        It does not exist, or lacks a column or a value, or two series have one name.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
        names = {row["series"].strip(): row["case"].strip().removesuffix(".nii.gz") for row in rows}
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist", fix="give a CSV file with the columns series and case") from error
    except (OSError, ValueError, csv.Error, KeyError, AttributeError) as error:
        raise DataError(f"{path} cannot be read: {error!r}", fix="give the columns series and case") from error
    twice = [name for name, count in Counter(names.values()).items() if count > 1 or not name]
    if twice:
        raise DataError(f"{path}: two series, or none, have the name {twice[0]!r}", fix="give each a name of its own")
    return names


def read_stack(series: Series) -> Stack:
    """Return the volume of a series in HU.

    Raises
    ------
    DataError
        It is not one regular stack: slices are missing, doubled, of other sizes or directions, tilted, or not in HU; or
        its pixels cannot be decoded.
    """
    files, note = _without_copies(series)
    try:
        images = [read_dicom(path) for path in files]
        frames = sum(int(image.get("NumberOfFrames") or 1) for image in images)
        require_size((frames, *(max(int(image.get(name, 0)) for image in images) for name in ("Rows", "Columns"))), 8)
        if images[0].get("NumberOfFrames", 1) > 1:
            if len(images) > 1:
                raise DataError(f"it has {len(images)} multi-frame images", fix="give each a folder of its own")
            volume: Any = highdicom.Image.from_dataset(images[0]).get_volume(dtype=np.float64)
        else:
            _check_stack(images)
            volume = highdicom.get_volume_from_series(images, dtype=np.float64, rtol=2 * _EVEN)
    except (
        ValueError,
        TypeError,
        RuntimeError,
        NotImplementedError,
        AttributeError,
        KeyError,
        OSError,
        EOFError,
    ) as error:
        raise DataError(
            f"it cannot be read as a volume: {error}", fix="export the series again, uncompressed"
        ) from error
    return Stack(volume.array.astype(np.float32), _TO_RAS @ volume.affine, note)


def _without_copies(series: Series) -> tuple[list[Path], str]:
    """Return one file an image: the same image in several files counts once where the files are the same."""
    by_image: dict[str, list[Path]] = {}
    for path, header in zip(series.files, series.headers, strict=True):
        by_image.setdefault(str(header.SOPInstanceUID), []).append(path)
    copies = [paths for paths in by_image.values() if len(paths) > 1]
    for paths in copies:
        first = read_dicom(paths[0])
        if any(read_dicom(other) != first for other in paths[1:]):
            raise DataError(
                f"{paths[0].name} and {paths[1].name} say they are the same image, and differ", fix="keep the right one"
            )
    note = f"{sum(len(paths) - 1 for paths in copies)} copies of files were left out" if copies else ""
    return [paths[0] for paths in by_image.values()], note


def _check_stack(images: list[Any]) -> None:
    """Raise DataError, in the words of a scanner's operator, where slices are no regular stack."""
    for tag in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept"):
        without = [image for image in images if image.get(tag) is None]
        if without:
            file = Path(str(without[0].filename)).name
            raise DataError(
                f"{len(without)} of {len(images)} images do not state {tag} (the first: {file})",
                fix="export the original series; a file that was cut off may lack the rest",
            )
    _check_alike(images)
    if len(images) < 2:
        raise DataError("it has a single slice", fix="give a whole series")
    turn = np.array(images[0].ImageOrientationPatient, float).reshape(2, 3)
    normal = np.cross(turn[0], turn[1])
    points = np.array([image.ImagePositionPatient for image in images], float)
    along = points @ normal
    order = np.argsort(along, kind="stable")
    steps = np.diff(along[order])
    if (steps < 1e-3).any():
        where = along[order][:-1][steps < 1e-3]
        raise DataError(
            f"{len(where)} positions have two slices (the first at {where[0]:g} mm)",
            fix="the series holds two phases or reconstructions: separate them, and give one",
        )
    usual = float(np.median(steps))
    gaps = np.flatnonzero(np.abs(steps - usual) > _EVEN * usual)
    if len(gaps):
        lacking = sum(max(0, round(float(steps[gap] / usual)) - 1) for gap in gaps)
        first = f"the first between {along[order][gaps[0]]:g} and {along[order][gaps[0] + 1]:g} mm"
        what = f"{lacking} slices are missing" if lacking else "its slices do not lie at even distances"
        raise DataError(
            f"{what} ({first}; usual distance {usual:g} mm)", fix="export the series again, with all slices"
        )
    stack = points[order[-1]] - points[order[0]]
    tilt = float(np.degrees(np.arccos(min(1.0, abs(stack @ normal) / float(np.linalg.norm(stack))))))
    if tilt > _TILT:
        raise DataError(
            f"its gantry is tilted by {tilt:.1f} degrees: its slices are not a box",
            fix="resample it to upright slices in the viewer, or give another series",
        )


def _check_alike(images: list[Any]) -> None:
    first = images[0]
    for tag in ("Rows", "Columns", "PixelSpacing", "ImageOrientationPatient", "FrameOfReferenceUID"):
        values = {_plain(image.get(tag)) for image in images}
        if len(values) > 1 and not _close(values):
            raise DataError(
                f"its images differ in {tag} ({', '.join(map(str, sorted(map(str, values))[:2]))})",
                fix="the series holds several acquisitions: separate them, and give one",
            )
    unit = str(first.get("RescaleType") or "HU")
    if unit.upper() not in {"HU", "US"}:  # US: unspecified, which CT images without HU say, and many with
        raise DataError(f"its values are in {unit}, not HU", fix="give the CT series itself, not a map made from it")


def _plain(value: Any) -> Any:
    return tuple(map(float, value)) if isinstance(value, Iterable) and not isinstance(value, str) else value


def _close(values: set[Any]) -> bool:
    return all(isinstance(value, tuple) for value in values) and bool(
        np.ptp(np.array(list(values)), axis=0).max() < 1e-3
    )
