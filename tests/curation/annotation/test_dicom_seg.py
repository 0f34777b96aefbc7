"""Masks go out as DICOM segmentations and come back voxel by voxel, tied to their texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest

from curation.annotation.dicom_seg import Outline, read_seg, write_seg
from curation.annotation.tasks import read_tasks
from curation.pipeline import write_records
from curation.records import CategorizedFinding, SelectedReport
from curation.volumes import read_array
from harness.errors import DataError
from tests.curation.annotation.conftest import save
from tests.curation.ct.series import SCAN, write_series

TEXTS = (
    "Nodule in the right lung",
    "Areas of consolidation with air bronchograms in the posterior basal segment of the left lower lobe",
)
SHAPE = SCAN.shape[::-1]


def test_from_dicom_to_dicom(tmp_path: Path, bench: Any) -> None:
    """CT from a sagittal series, masks drawn, SEG written, and read by another import: every voxel, every entity."""
    write_series(tmp_path / "dicom/case_1", turn=(0, 1, 0, 0, 0, -1))
    assert bench("intake", tmp_path / "dicom", "--out", tmp_path / "ct", "--jobs", 1).exit_code == 0
    findings = tuple(
        CategorizedFinding(text=text, codes=("L0",), abnormal=True, prior=False, category="2b") for text in TEXTS
    )
    write_records(tmp_path / "select.jsonl", [SelectedReport(id="case_1", findings=findings)])
    bench("annotate", "export", tmp_path / "select.jsonl", "--cts", tmp_path / "ct", "--out", tmp_path / "tasks")
    (task,) = read_tasks(tmp_path / "tasks").tasks
    ct, header = read_array(tmp_path / "ct/case_1.nii.gz")
    drawn = np.zeros((2, *ct.shape), np.uint8)
    drawn[0, 1:3, 2:4, 3:5], drawn[1, 2:4, 2:4, 2:6], drawn[1, 0, 0, 0] = 1, 1, 2  # they overlap; a corner of the scan
    for labels, finding in zip(drawn, task.findings, strict=True):
        save(tmp_path / f"tasks/case_1/{finding.id}.nii.gz", labels, np.array(header.affine))
    assert bench("annotate", "import", tmp_path / "tasks", "--out", tmp_path / "masks").exit_code == 0
    seg = ("annotate", "seg", tmp_path / "tasks", "--masks", tmp_path / "masks", "--out", tmp_path / "seg")
    result = bench(*seg, "--dicom", tmp_path / "dicom")
    assert "case_1: 3 segments" in result.output
    assert "there already" in bench(*seg, "--dicom", tmp_path / "dicom").output
    result = bench(*seg[:-1], tmp_path / "other", "--dicom", tmp_path / "ct")
    assert result.exit_code == 4
    assert "there is no series" in result.output
    written = highdicom.seg.segread(tmp_path / "seg/case_1.dcm")
    assert len(written.get_source_image_uids()) <= len(SCAN)
    assert {len(told.SegmentLabel) for told in written.SegmentSequence} == {27, 64}
    result = bench("annotate", "import", tmp_path / "tasks", "--from", tmp_path / "seg", "--out", tmp_path / "back")
    assert result.exit_code == 0, result.output
    for labels, finding in zip(drawn, task.findings, strict=True):
        back, _ = read_array(tmp_path / f"back/case_1/{finding.id}.nii.gz")
        assert np.array_equal(back, labels)


def test_labels_of_other_programs(tmp_path: Path, bench: Any) -> None:
    """In an anonymised series without our marks a label is known by its text, cut off at DICOM's 64 characters too."""
    write_series(tmp_path / "dicom/case_1", without_tags=("PatientName", "StudyID", "SliceThickness"))
    bench("intake", tmp_path / "dicom", "--out", tmp_path / "ct", "--jobs", 1)
    findings = tuple(
        CategorizedFinding(text=text, codes=("L0",), abnormal=True, prior=False, category="2b") for text in TEXTS
    )
    write_records(tmp_path / "select.jsonl", [SelectedReport(id="case_1", findings=findings)])
    bench("annotate", "export", tmp_path / "select.jsonl", "--cts", tmp_path / "ct", "--out", tmp_path / "tasks")
    mask = np.zeros(SHAPE, bool)
    mask[2:4, 2:4, 2:4] = True
    affine = np.array(read_array(tmp_path / "ct/case_1.nii.gz")[1].affine)
    images = sorted((tmp_path / "dicom/case_1").iterdir())
    outlines = [Outline(f"{n}: {text}"[:64], "", mask) for n, text in enumerate(TEXTS)]
    write_seg(tmp_path / "seg/case_1.dcm", outlines, affine, images)
    where = ("annotate", "import", tmp_path / "tasks", "--from", tmp_path / "seg", "--out", tmp_path / "m")
    assert bench(*where).stdout.strip().endswith("2 ok")
    write_seg(tmp_path / "seg/case_1.dcm", [*outlines, Outline("Segment_1", "", mask)], affine, images)
    result = bench(*where)
    assert result.exit_code == 4
    assert "'Segment_1' in case_1.dcm may be a part of it" in result.output
    with pytest.raises(DataError, match="another grid"):
        write_seg(tmp_path / "x.dcm", outlines, affine * 2, images)
    (tmp_path / "seg/case_1.dcm").write_bytes(images[0].read_bytes())
    with pytest.raises(DataError, match="not a segmentation"):
        read_seg(tmp_path / "seg/case_1.dcm")


def test_a_frame_that_lies_far_away(tmp_path: Path) -> None:
    """A frame a kilometre from the others would make a volume of a million empty slices: it is refused as it is."""
    write_series(tmp_path / "ct")
    images = sorted((tmp_path / "ct").iterdir())
    mask = np.zeros(SHAPE, bool)
    mask[2:4, 2:4, 2:4] = True
    series = highdicom.get_volume_from_series([pydicom.dcmread(path) for path in images], rtol=0.1)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ series.affine
    write_seg(tmp_path / "a.dcm", [Outline(str(n), "", mask) for n in range(8)], affine, images)
    seg = pydicom.dcmread(tmp_path / "a.dcm")
    (plane,) = seg.PerFrameFunctionalGroupsSequence[-1].PlanePositionSequence
    step = series.spacing[0] * np.array(series.unit_vectors()[0]) * 2**36
    plane.ImagePositionPatient = [f"{value:.9g}" for value in np.array(plane.ImagePositionPatient, float) + step]
    seg.save_as(tmp_path / "b.dcm")
    with pytest.raises(DataError, match="more than any chest CT"):
        read_seg(tmp_path / "b.dcm")
