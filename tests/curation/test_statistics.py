"""Section 3.5 of a data set: known answers, and what is not stated is not counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curation.statistics import read_facts, spread
from harness.dataset.nifti import write_volume
from harness.errors import DataError, UsageError


def test_the_command(tmp_path: Path, bench: Any) -> None:
    """Ages and sexes of the index and of the table, scanners, depths and focal share by split."""
    root = tmp_path / "set"
    index: dict[str, list[dict[str, Any]]] = {"train": [], "test": []}
    for n, (split, depth) in enumerate((("train", 2), ("train", 4), ("test", 6))):
        shape = (3, 3, depth)
        write_volume(root / f"ct/c_{n}.nii.gz", np.int16, shape, np.eye(4), np.zeros((depth, 3, 3), np.int16))
        seg = (1, *shape)
        write_volume(root / f"seg/c_{n}.nii.gz", np.uint8, seg, np.eye(4), np.ones((depth, 1, 3, 3), np.uint8))
        entry = {"name": f"c_{n}.nii.gz", "findings": {"0": "x"}, "categories": {"0": "1a" if n else "2d"}}
        index[split].append(entry | {"shape": list(shape)} | ({"age": 40, "sex": "M"} if n == 0 else {}))
    (root / "dataset.json").write_text(json.dumps(index))
    table = tmp_path / "patients.csv"
    table.write_text(
        "VolumeName,PatientAge,PatientSex,Manufacturer,ManufacturerModelName,ConvolutionKernel\n"
        "c_0.nii.gz,099Y,F,A,One,B70f\nc_1.nii.gz,050Y,F,A,One,\nc_2.nii.gz,,O,B,,B31f\n"
    )
    result = bench("statistics", root, "--patients", table, "--json")
    assert result.exit_code == 0, result.output
    groups = json.loads(result.stdout)["groups"]
    assert groups["train"]["age"] == {"mean": 45, "sd": pytest.approx(50**0.5), "n": 2}
    assert groups["test"]["age"] is groups["test"]["male"] is None
    assert (groups["all"]["male"], groups["all"]["sexes"]) == (50, 2)
    assert groups["all"]["depth"] == {"mean": 4, "sd": 2, "n": 3}
    assert groups["all"]["scanners"] == {"A One": 2, "B": 1}
    assert groups["all"]["kernels"] == {"B70f": 1, "not stated": 1, "B31f": 1}
    text = bench("statistics", root, "--patients", table).output
    assert "45.0 ± 7.1 (2 known)" in text
    assert "41.7 ± 14.6" in text
    assert "not stated" not in bench("statistics", root).output


def test_tables_that_are_none(tmp_path: Path) -> None:
    """No file, and a row without a case."""
    with pytest.raises(UsageError):
        read_facts(tmp_path / "x.csv")
    (tmp_path / "x.csv").write_text("case,age\n,40\n")
    with pytest.raises(DataError, match="without a case"):
        read_facts(tmp_path / "x.csv")
    assert spread([]) is None
