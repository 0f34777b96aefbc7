"""Masks that annotators deliver: each fault is reported and stops no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.curation.annotation.conftest import AFFINE, SHAPE, save, truth


def test_bad_masks_are_told_and_stop_no_other(selected: Path, tmp_path: Path, bench: Any) -> None:
    """A missing, an empty, a foreign, a resampled and a broken mask: each has its own reason."""
    bench("annotate", "export", selected, "--cts", tmp_path / "cts", "--out", tmp_path / "tasks")
    drawn = tmp_path / "drawn"
    save(drawn / "p_1_a_1/0.nii.gz", np.zeros(SHAPE, np.uint8))
    save(drawn / "p_1_a_1/1.nii.gz", np.ones((15, 12, 10), np.uint8), AFFINE @ np.diag([2, 2, 2, 1]))
    save(drawn / "p_1_b_1/0.nii.gz", truth(0).astype(np.float32) / 2)
    (drawn / "p_1_b_1/1.nii.gz").write_bytes(b"no volume")
    moved = AFFINE.copy()
    moved[0, 3] += 0.7
    save(drawn / "p_2_a_1/0.nii.gz", truth(0), moved)
    far = AFFINE.copy()
    far[2, 3] += 30
    save(drawn / "p_2_a_1/1.nii.gz", truth(1), far)
    save(drawn / "p_3_a_1/0.nii.gz", truth(0), np.eye(4))
    result = bench("annotate", "import", tmp_path / "tasks", "--from", drawn, "--out", tmp_path / "masks", "--json")
    rows = {
        (row["case"], row["finding"]): (row["state"], row["reason"]) for row in json.loads(result.stdout)["findings"]
    }
    assert rows["p_1_a_1", "0"][0] == "empty"
    assert "another grid" in rows["p_1_a_1", "1"][1]
    assert "not labels" in rows["p_1_b_1", "0"][1]
    assert rows["p_1_b_1", "1"][0] == "refused"
    assert "beside" in rows["p_2_a_1", "0"][1]
    assert "outside" in rows["p_2_a_1", "1"][1]
    assert rows["p_3_a_1", "0"][0] == "ok"
    assert rows["p_3_a_1", "1"][0] == "missing"
    result = bench(
        "finalize", "--tasks", tmp_path / "tasks", "--masks", tmp_path / "masks", "--out", tmp_path / "set", "--json"
    )
    made = json.loads(result.stdout)
    assert made["findings"] == 1
    assert "p_1_a_1" in made["left_out"]
