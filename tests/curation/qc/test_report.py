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
    """A data set with one sound and one mirrored mask: exit code 4, both files, pictures for the bad one."""
    root = tmp_path / "set"
    write_volume(root / "ct/x_1_a_1.nii.gz", np.int16, SHAPE, AFFINE, np.moveaxis(chest(), 2, 0))
    masks = np.zeros((2, *SHAPE), np.uint8)
    masks[(0, *box(*RIGHT).voxels.T)] = 1
    masks[(1, *box(*RIGHT).voxels.T)] = 1
    write_volume(root / "seg/x_1_a_1.nii.gz", np.uint8, masks.shape, np.eye(4), np.moveaxis(masks, 3, 0))
    texts = {"0": "Nodule in the right lung", "1": "<b>Nodule</b> in the left lung"}
    entry = {"name": "x_1_a_1.nii.gz", "findings": texts, "categories": {"0": "2d", "1": "2d"}}
    missing = {"name": "y_2_a_1.nii.gz", "findings": {"0": "Nodule"}, "categories": {"0": "2d"}}
    (root / "dataset.json").write_text(json.dumps({"test": [entry, missing]}))
    result = bench("qc", root, "--out", tmp_path / "qc", "--json")
    assert result.exit_code == 4
    document = json.loads(result.stdout)
    assert document["by_code"] == {"laterality": 1, "unreadable": 1}
    assert document["clean"] == 1
    text = (tmp_path / "qc/qc.html").read_text()
    assert text.count("data:image/png") == 2
    assert "<b>Nodule</b> in the left" not in text
    assert "http" not in text.replace("http-equiv", "")


def test_a_page_without_findings() -> None:
    """Nothing to show is shown as such."""
    counts = {"error": 0, "warning": 0, "info": 0}
    text = page({"dataset": "x", "cases": 0, "findings": 0, "clean": 0, "counts": counts}, [])
    assert "0 cases" in text
