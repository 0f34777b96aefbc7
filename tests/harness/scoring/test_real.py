"""Real masks and published numbers."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from harness.dataset import Case, open_dataset
from harness.runs.rows import rows_of
from harness.scoring.case import CaseTask, score_case
from harness.scoring.profiles import PROFILES
from harness.scoring.submission import open_submission
from harness.scoring.summary import summarise

from .test_equality import check

#: Half of the last decimal that the paper prints.
ROUNDING = 0.0005


def test_the_papers_averages_are_mixtures(real_data: Path) -> None:
    """In every row of Table 4 the average is 22 % non-focal and 78 % focal, within the rounding of all five numbers."""
    table = json.loads((real_data / "text" / "paper_table4.json").read_text())
    share = table["group_share"]
    off = []
    for row in table["rows"]:
        non_focal, focal, average = (row[key]["value"] for key in ("non_focal", "focal", "average"))
        mixture = share["non_focal"] * non_focal + share["focal"] * focal
        # The two Dice and their mean are rounded, and both shares may be off by half a percentage point.
        assert abs(mixture - average) <= 2 * ROUNDING + 0.005 * abs(non_focal - focal), row["method"]
        off.append((row["method"], round(mixture - average, 5)))
    assert off == [
        ("MedSAM2", -0.00084),
        ("SAM2", 0.00064),
        ("SegVol", -0.0004),
        ("BiomedParse", -0.0003),
        ("BiomedParse", -0.00016),
        ("SegVol", -0.00024),
        ("SegVol", -0.00018),
        ("SAT", 0.0),
        ("SAT", 0.00042),
        ("MedSAM2 Text", 0.00016),
    ]


def arrays_of(case: Case, stack: Path) -> tuple[np.ndarray, np.ndarray, CaseTask]:
    """Return ground truth, prediction and the task to compare them."""
    truth = np.asanyarray(nib.load(case.truth).dataobj)
    prediction = np.asanyarray(nib.load(stack).dataobj)
    task = CaseTask(
        case=case.id,
        truth=case.truth,
        shape=case.shape,
        spacing=case.spacing,
        affine=case.affine,
        findings=case.findings,
        stack=stack,
    )
    return truth, prediction, task


def cropped(truth: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut both to their common box and the voxel around it, so that a surface touches a border only where it did."""
    used = np.argwhere(((truth > 0) | (prediction > 0)).any(axis=0))
    window = (slice(None), *(slice(max(a - 1, 0), b + 2) for a, b in zip(used.min(0), used.max(0), strict=True)))
    return truth[window], prediction[window]


@pytest.mark.slow
@pytest.mark.parametrize("reader", [1, 2, 3, 4])
@pytest.mark.parametrize("number", range(8))
def test_readers_of_real_nodules(real_data: Path, reader: int, number: int) -> None:
    """Every count of every reader on every case equals the slow oracle's."""
    folder = real_data / "realct" / "lidc_masks"
    case = open_dataset(folder).split("test")[number]
    truth, prediction, task = arrays_of(case, folder / f"pred_reader{reader}" / f"{case.id}.nii.gz")
    check(*cropped(truth, prediction), task)


@pytest.mark.parametrize("name", ["cip_a_1", "elastix_a_1", "ibsi_a_1", "lung1_a_1", "partsolid_a_1"])
@pytest.mark.parametrize("shift", [0, 2])
def test_real_masks_against_themselves(real_data: Path, tmp_path: Path, name: str, shift: int) -> None:
    """The ground truth as its own prediction, as it is and shifted, equals the slow oracle's numbers."""
    data = open_dataset(real_data / "realct")
    case = next(case for case in data if case.id == f"realct_{name}")
    truth = np.asanyarray(nib.load(case.truth).dataobj)
    prediction = (np.roll(truth, shift, axis=1) > 0).astype(np.uint8)
    nib.save(nib.Nifti1Image(prediction, np.eye(4)), tmp_path / "stack.nii.gz")
    truth, prediction, task = arrays_of(case, tmp_path / "stack.nii.gz")
    check(*cropped(truth, prediction), task)


def test_the_four_readers(real_data: Path) -> None:
    """The table of docs/scoring.md."""
    folder = real_data / "realct" / "lidc_masks"
    cases = open_dataset(folder).split("test")
    found = []
    for reader in (1, 2, 3, 4):
        submission = open_submission(folder / f"pred_reader{reader}", cases)
        rows = [row for case in cases for row in rows_of(case, score_case(submission.task(case, ())))]
        metrics = summarise(rows, PROFILES["miccai2026"])
        names = ("dice", "hit", "instance_precision", "instance_recall", "instance_f1", "distance_f1")
        found.append([metrics["dice"]["per_case"]["value"], *(metrics[name]["all"]["value"] for name in names)])
    table = (Path(__file__).parents[3] / "docs" / "scoring.md").read_text()
    for reader, values in enumerate(found, 1):
        assert f"| {reader} | {' | '.join(f'{value:.6f}' for value in values)} |" in table
