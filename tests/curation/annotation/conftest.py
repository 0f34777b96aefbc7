"""Scans, truths and selected findings that the tests of annotation share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pytest

from curation.annotation.tasks import task_of
from curation.pipeline import write_records
from curation.records import CategorizedFinding, SelectedReport
from harness.dataset.nifti import write_volume

SHAPE = (30, 24, 20)


AFFINE = np.array([[-1.5, 0, 0, 20], [0, -1.5, 0, 30], [0, 0, 2, -40], [0, 0, 0, 1.0]])


def truth(n: int) -> npt.NDArray[np.uint8]:
    """Return the label map of finding n: n + 1 entities in the right lung."""
    labels = np.zeros(SHAPE, np.uint8)
    for entity in range(n + 1):
        labels[8:10, 8:10, 4 + 4 * entity : 6 + 4 * entity] = entity + 1
    return labels


TEXTS = ("3 mm nodule in the right lung", "Two nodules in the right lung")


def key(scan: str, n: int) -> str:
    """Return the id of a scan's finding n in the tasks: its number and the digest of its text."""
    findings = [CategorizedFinding(text=t, codes=(), abnormal=True, prior=False, category="2d") for t in TEXTS]
    return task_of(scan, findings).findings[n].id


NAMES = ("p_1_a_1", "p_1_b_1", "p_2_a_1", "p_3_a_1")


def ct_values() -> npt.NDArray[np.int16]:
    """Return a chest in miniature: air around, tissue, two lungs."""
    values = np.full(SHAPE, -1000, np.int16)
    values[3:27, 3:21] = 40
    values[6:13, 6:18, 2:18] = -850
    values[17:24, 6:18, 2:18] = -850
    values[truth(1) > 0] = 40  # the nodules
    return values


def save(path: Path, labels: npt.NDArray[Any], affine: npt.NDArray[Any] = AFFINE) -> Path:
    """Write a NIfTI file with nibabel, as another program would."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(labels, affine), path)
    return path


@pytest.fixture
def selected(tmp_path: Path) -> Path:
    """Four selected scans of three patients, two findings each, and their CTs."""
    findings = tuple(
        CategorizedFinding(text=text, codes=("L0",), abnormal=True, prior=False, category=code)
        for text, code in zip(TEXTS, ("2d", "2d"), strict=True)
    )
    for name in NAMES:
        slices = np.moveaxis(ct_values(), 2, 0)
        write_volume(tmp_path / f"cts/{name}.nii.gz", np.int16, SHAPE, AFFINE, slices)
    path = tmp_path / "select.jsonl"
    write_records(path, [SelectedReport(id=name, findings=findings) for name in (*NAMES, "p_9_a_1")])
    return path
