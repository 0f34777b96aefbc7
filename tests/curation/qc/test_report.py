"""The quality check as a command and as a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from curation.qc.report import page
from harness.dataset.nifti import write_volume
from tests.curation.qc.conftest import AFFINE, RIGHT, SHAPE, box, chest


def test_the_command(tmp_path: Path, bench: Any) -> None:
    """One sound mask, one on the wrong side, one in two findings and in lung: exit code 4, and pictures."""
    root = tmp_path / "set"
    masks = np.zeros((4, *SHAPE), np.uint8)
    masks[(0, *box(*RIGHT).voxels.T)] = 1
    masks[(1, *box(20, 40, 20).voxels.T)] = 1
    masks[(2, *box(20, 20, 20).voxels.T)] = masks[(3, *box(20, 20, 20).voxels.T)] = 1
    values = chest()
    values[masks[:2].any(axis=0)] = 30
    write_volume(root / "ct/x_1_a_1.nii.gz", np.int16, SHAPE, AFFINE, np.moveaxis(values, 2, 0))
    write_volume(root / "seg/x_1_a_1.nii.gz", np.uint8, masks.shape, np.eye(4), np.moveaxis(masks, 3, 0))
    texts = {"0": "Nodule in the right lung", "1": "<b>Nodule</b> in the left lung", "2": "Effusion", "3": "Oedema"}
    categories = {"0": "2d", "1": "2d", "2": "2e"}
    entry = {"name": "x_1_a_1.nii.gz", "findings": texts, "categories": categories}
    missing = {"name": "y_2_a_1.nii.gz", "findings": {"0": "Nodule"}, "categories": {"0": "2d"}}
    (root / "dataset.json").write_text(json.dumps({"test": [entry, missing]}))
    result = bench("qc", root, "--out", tmp_path / "qc", "--json")
    assert result.exit_code == 4
    document = json.loads(result.stdout)
    assert document["by_code"] == {"density": 1, "laterality": 1, "same-mask": 2, "unreadable": 1}
    assert document["clean"] == 1
    text = (tmp_path / "qc/qc.html").read_text()
    assert text.count("data:image/png") == 6
    assert "<b>Nodule</b> in the left" not in text
    assert "http" not in text.replace("http-equiv", "")


def test_a_page_without_findings() -> None:
    """Nothing to show is shown as such."""
    counts = {"error": 0, "warning": 0, "info": 0}
    text = page({"dataset": "x", "cases": 0, "findings": 0, "clean": 0, "counts": counts}, [])
    assert "0 cases" in text
