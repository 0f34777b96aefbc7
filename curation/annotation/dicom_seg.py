"""DICOM SEG: masks as a hospital's viewers read and write them.

Source: DICOM PS3.3, A.51 (Segmentation IOD). highdicom reads and writes the files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any, Final

import highdicom
import numpy as np
import numpy.typing as npt
from highdicom.seg import SegmentAlgorithmTypeValues, SegmentationTypeValues, SegmentDescription
from highdicom.seg import Segmentation as Seg
from pydicom.sr.codedict import codes

from curation.annotation.grid import place
from curation.annotation.nrrd import Segment, Segmentation
from curation.annotation.tasks import CT, Task, segment_name
from curation.dicom_file import read_dicom
from curation.volumes import read_array, require_size
from harness.dataset.voxels import read_header
from harness.errors import DataError

_MARK: Final = "groundbench.finding:"  # how a segment's tracking identifier names the digest of its finding
_LABEL, _DESCRIPTION = 64, 1024  # characters that DICOM lets a label and a description have (PS3.5, LO and ST)
_EVEN: Final = 0.1  # of the distance between slices by which one may lie elsewhere
#: What a SEG repeats of its series: it may be empty (PS3.3, type 2), and is lacking where a series was anonymised.
_REPEATED: Final = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime",
    "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
_TO_RAS: Final = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Outline:
    """One finding to write: what it is called, the digest of its text, and its mask on the CT's array."""

    name: str
    mark: str
    mask: npt.NDArray[np.bool_]


def read_seg(path: Path) -> Segmentation:
    """Read a SEG file as layers on its own grid, one a segment.

    Raises
    ------
    DataError
        It is not a SEG of one volume, or its segments are probabilities.
    """
    try:
        seg: Any = highdicom.seg.Segmentation.from_dataset(read_dicom(path), copy=False)
        numbers = list(seg.segment_numbers)
        if (grid := seg.get_volume_geometry(rtol=_EVEN)) is not None:
            require_size((len(numbers), *grid.spatial_shape), 1)
        volume = seg.get_volume(segment_numbers=numbers, rescale_fractional=False, skip_overlap_checks=True, rtol=_EVEN)
        values = np.moveaxis(volume.array, -1, 0)  # segments, slices, rows, columns
        if not np.isin(values, (0, int(seg.get("MaximumFractionalValue", 1)))).all():
            raise DataError(f"{path.name} has probabilities, not a mask", fix="save it as a binary segmentation")
        segments = []
        for layer, number in enumerate(numbers):
            told = seg.get_segment_description(number)
            mark = str(told.get("TrackingID") or "")
            found = mark.removeprefix(_MARK) if mark.startswith(_MARK) else ""
            segments.append(Segment(_name(told), layer, 1, found))
    except (ValueError, RuntimeError, NotImplementedError, AttributeError, KeyError, IndexError, OSError) as error:
        raise DataError(
            f"{path.name} is not a segmentation that can be read: {error}", fix="export it again"
        ) from error
    return Segmentation((values > 0).astype(np.uint8), _TO_RAS @ volume.affine, tuple(segments))


def _name(told: Any) -> str:
    """Return a segment's whole text, which may be longer than a label's 64 characters."""
    return str(told.get("SegmentDescription") or told.SegmentLabel)


def write_seg(path: Path, outlines: Sequence[Outline], affine: npt.NDArray[np.float64], images: Sequence[Path]) -> None:
    """Write a SEG file of the findings of a scan, which refers to the images that the scan was made of.

    Parameters
    ----------
    path
        The file to write.
    outlines
        The findings, at least one.
    affine
        Of the CT that the masks lie on (array index -> mm, RAS+).
    images
        The files of its series.

    Raises
    ------
    DataError
        The masks do not lie on the grid of the series, or it cannot be read.
    """
    try:
        sources = [read_dicom(image) for image in images]
        for source, name in product(sources, _REPEATED):
            if name not in source:
                setattr(source, name, "")
        grid: Any = (
            highdicom.Image.from_dataset(sources[0]).get_volume()
            if len(sources) == 1
            else highdicom.get_volume_from_series(sources, rtol=_EVEN)
        ).get_geometry()
    except (ValueError, RuntimeError, NotImplementedError, AttributeError, KeyError, OSError) as error:
        raise DataError(f"the series of {path.name} cannot be read: {error}", fix="give the original series") from error
    for source in sources:
        if not source.get("SliceThickness"):
            source.SliceThickness = round(float(grid.spacing[0]), 6)
    target = _TO_RAS @ grid.affine
    layers = [
        place(outline.mask.astype(np.uint8), affine, grid.spatial_shape, target, outline.name) for outline in outlines
    ]
    channels = {"SegmentNumber": list(range(1, len(layers) + 1))}
    try:
        seg = Seg(
            source_images=sources,
            pixel_array=grid.with_array(np.stack(layers, axis=-1), channels=channels),
            segmentation_type=SegmentationTypeValues.BINARY,
            segment_descriptions=[_described(n, outline) for n, outline in enumerate(outlines, start=1)],
            series_instance_uid=highdicom.UID(),
            series_number=900,
            sop_instance_uid=highdicom.UID(),
            instance_number=1,
            manufacturer="groundbench",
            manufacturer_model_name="groundbench",
            software_versions=version("groundbench"),
            device_serial_number="0",
            content_label="FINDINGS",
            series_description="Findings of the report",
        )
    except (ValueError, AttributeError) as error:
        raise DataError(
            f"the series of {path.name} does not bear a SEG: {error}", fix="give the original series"
        ) from error
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.partial")
    seg.save_as(beside, enforce_file_format=True)
    beside.replace(path)


def write_task(task: Task, folder: Path, masks: Path, images: Sequence[Path], out: Path) -> str:
    """Write ``<scan>.dcm`` of one scan's imported masks, unless it is there; return what was done, in words."""
    target = out / f"{task.id}.dcm"
    if target.exists():
        return "there already"
    outlines = []
    for finding in task.findings:
        path = masks / task.id / f"{finding.id}.nii.gz"
        if not path.is_file():
            continue
        labels, _ = read_array(path)
        values = sorted(set(np.unique(labels).tolist()) - {0})
        for n, value in enumerate(values, start=1):
            name = segment_name(finding) + (f" ({n})" if n > 1 else "")
            outlines.append(Outline(name, finding.mark, labels == value))
    if not outlines:
        return "no mask"
    write_seg(target, outlines, np.array(read_header(folder / task.id / CT).affine), images)
    return f"{len(outlines)} segments"


def _described(number: int, outline: Outline) -> SegmentDescription:
    described = SegmentDescription(
        segment_number=number,
        segment_label=outline.name[:_LABEL],
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Lesion,
        algorithm_type=SegmentAlgorithmTypeValues.MANUAL,
        tracking_uid=highdicom.UID(),
        tracking_id=f"{_MARK}{outline.mark}",
    )
    described.SegmentDescription = outline.name[:_DESCRIPTION]
    return described
