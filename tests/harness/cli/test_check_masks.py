"""``bench check-masks``: the scorer's verdicts without any truth."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from click.testing import CliRunner, Result

from harness.cli.check_masks import check_masks
from harness.cli.settings import Settings
from harness.dataset import Dataset, open_dataset
from harness.errors import DataError
from harness.scoring.case import check_case
from harness.scoring.submission import Submission

CASE = "case_1_a_1"
SHAPE = (24, 20, 6)
AFFINE = np.diag([-0.7, -0.8, 1.5, 1.0])


def save(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, affine), path)


def prediction() -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[3:9, 4:10, 1:4] = 1
    return mask


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    """Make a data set of one case with one finding."""
    ct = np.where(prediction() > 0, 40, -850).astype(np.int16)
    save(tmp_path / "ds/ct" / f"{CASE}.nii.gz", ct)
    save(tmp_path / "ds/seg" / f"{CASE}.nii.gz", prediction()[np.newaxis], np.eye(4))
    case = {"name": f"{CASE}.nii.gz", "findings": {"0": "A nodule"}, "categories": {"0": "2d"}}
    (tmp_path / "ds/dataset.json").write_text(json.dumps({"test": [case]}))
    return open_dataset(tmp_path / "ds")


def bench(data: Dataset, predictions: Path, *arguments: str) -> Result:
    home = Settings(predictions.parent / "home")
    command = [str(predictions), "--dataset", str(data.root), *arguments]
    return CliRunner().invoke(check_masks, command, obj=home)


@pytest.mark.parametrize("with_truth", [True, False])
def test_masks_are_checked_without_any_truth(data: Dataset, tmp_path: Path, with_truth: bool) -> None:
    """The verdict is that of the scorer, and the same whether there is a truth or not."""
    if not with_truth:
        shutil.rmtree(data.root / "seg")
        data = open_dataset(data.root)
    save(tmp_path / "pred" / CASE / "0.nii.gz", prediction())
    ended = bench(data, tmp_path / "pred")
    assert ended.exit_code == 0, ended.output
    assert f"ok       {CASE}/0  108 voxels" in ended.output


def test_a_mask_that_would_be_refused_ends_with_bad_data(data: Dataset, tmp_path: Path) -> None:
    """Its cause and its fix are below its line; in JSON too."""
    save(tmp_path / "pred" / CASE / "0.nii.gz", prediction() * np.float32(0.5))
    ended = bench(data, tmp_path / "pred")
    assert isinstance(ended.exception, DataError)
    assert "refused" in ended.output
    assert "fix: threshold" in ended.output
    document = json.loads(bench(data, tmp_path / "pred", "--json").stdout)
    assert (document["refused"], document["masks"][0]["verdict"]["level"]) == (1, "refused")


def test_a_missing_mask_is_named(data: Dataset, tmp_path: Path) -> None:
    """It scores 0 as well, and nothing of it is refused."""
    (case,) = data.split("test")
    empty = Submission(tmp_path, {}, {}, ())
    (found,) = check_case(empty.task(case, data.mask_flip, blind=True))
    assert (found.status, found.voxels) == ("missing_output", None)
