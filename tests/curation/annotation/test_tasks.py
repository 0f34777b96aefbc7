"""From tasks for annotators to a valid data set, the same bytes again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curation.annotation.nrrd import Segment, write_segmentation
from curation.volumes import read_array
from harness.dataset import open_dataset
from harness.dataset.validate import validate_dataset
from harness.errors import DataError, UsageError
from tests.curation.annotation.conftest import AFFINE, NAMES, SHAPE, save, truth


def draw_nifti(folder: Path, name: str) -> None:
    """Save the first finding as a 0/1 mask and the second with its entities, on axes in another order."""
    save(folder / name / "0.nii.gz", truth(0))
    labels, affine = np.flip(truth(1), 0), AFFINE.copy()
    affine[:, 0], affine[:, 3] = -AFFINE[:, 0], AFFINE[:, 3] + AFFINE[:, 0] * (SHAPE[0] - 1)
    order = [2, 0, 1]
    save(folder / name / "1.nii.gz", labels.transpose(order), affine[:, [*order, 3]])


def draw_slicer(folder: Path, name: str) -> None:
    """Save a cropped segmentation with one layer a finding and one segment an entity."""
    crop = (slice(5, 15), slice(5, 15), slice(2, 14))
    layers = np.stack([truth(0)[crop], truth(1)[crop]])
    affine = AFFINE.copy()
    affine[:3, 3] += AFFINE[:3, :3] @ [5, 5, 2]
    segments = [
        Segment("0: 3 mm nodule in the right lung", 0, 1),
        Segment("1: first", 1, 1),
        Segment("1: second", 1, 2),
    ]
    write_segmentation(folder / name / f"{name}.seg.nrrd", layers, affine, segments)


def draw_redbrick(folder: Path, name: str) -> None:
    """Add a task to an export with one label map: instances 1 to 3."""
    labels = truth(1) + (truth(1) > 0)
    labels[12:14, 8:10, 4:6] = 1
    save(folder / "segmentations" / f"{name}.nii.gz", labels.astype(np.uint8))
    path = folder / "tasks.json"
    document = json.loads(path.read_text()) if path.exists() else []
    names = {"1": {"category": "0: nodule"}, "2": {"category": ["x", "1: two"]}}
    third = {"3": {"category": "nodule", "attributes": [{"name": "Finding", "value": "1"}]}}
    document.append(
        {"name": name, "series": [{"segmentMap": names | third, "segmentations": f"segmentations/{name}.nii.gz"}]}
    )
    path.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("kind", "draw"), [("nifti", draw_nifti), ("slicer", draw_slicer), ("redbrick", draw_redbrick)]
)
def test_from_tasks_to_a_valid_data_set(
    kind: str, draw: Callable[[Path, str], None], selected: Path, tmp_path: Path, bench: Any
) -> None:
    """In every program's form the masks arrive voxel by voxel, and the data set that they make is valid."""
    result = bench(
        "annotate",
        "export",
        selected,
        "--cts",
        tmp_path / "cts",
        "--out",
        tmp_path / "tasks",
        "--format",
        kind,
        "--json",
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["left_out"].keys() == {"p_9_a_1"}
    drawn = tmp_path / "drawn"
    for name in NAMES:
        draw(drawn, name)
    result = bench("annotate", "import", tmp_path / "tasks", "--from", drawn, "--out", tmp_path / "masks", "--json")
    assert {row["state"] for row in json.loads(result.stdout)["findings"]} == {"ok"}
    for finding in (0, 1):
        labels, _ = read_array(tmp_path / f"masks/p_2_a_1/{finding}.nii.gz")
        expected = truth(finding)
        if kind == "redbrick" and finding == 0:
            expected = np.zeros(SHAPE, np.uint8)
            expected[12:14, 8:10, 4:6] = 1
        assert np.array_equal(labels, expected)
    patients = tmp_path / "patients.csv"
    patients.write_text("case,patient\n" + "".join(f"{name},{name[:3]}\n" for name in NAMES), encoding="utf-8")
    result = bench(
        "finalize", "--tasks", tmp_path / "tasks", "--masks", tmp_path / "masks", "--out", tmp_path / "set",
        "--val", 0.3, "--test", 0.3, "--patients", patients,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    report = validate_dataset(tmp_path / "set")
    assert [p for p in report.problems if p.level.value == "error"] == []
    dataset = open_dataset(tmp_path / "set")
    assert sorted(case.id for case in dataset) == sorted(NAMES)
    assert len({case.split for case in dataset if case.patient == "p_1"}) == 1
    assert {case.split for case in dataset} == {"train", "val", "test"}
    assert next(iter(dataset)).findings[1].entities == 2


def test_the_same_bytes_again(selected: Path, tmp_path: Path, bench: Any) -> None:
    """Finalising twice gives the same files."""
    bench("annotate", "export", selected, "--cts", tmp_path / "cts", "--out", tmp_path / "tasks")
    for name in NAMES:
        draw_nifti(tmp_path / "tasks", name)
    bench("annotate", "import", tmp_path / "tasks", "--out", tmp_path / "masks")
    for name in ("a", "b"):
        bench("finalize", "--tasks", tmp_path / "tasks", "--masks", tmp_path / "masks", "--out", tmp_path / name)
    for path in (tmp_path / "a").rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()


def test_folders_are_not_overwritten(selected: Path, tmp_path: Path, bench: Any) -> None:
    """A folder with other files is refused as a place for tasks, and a data set is never replaced."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full/x").write_text("mine")
    result = bench("annotate", "export", selected, "--cts", tmp_path / "cts", "--out", tmp_path / "full")
    assert isinstance(result.exception, UsageError)
    result = bench("annotate", "import", tmp_path / "full", "--out", tmp_path / "masks")
    assert isinstance(result.exception, UsageError)
    bench("annotate", "export", selected, "--cts", tmp_path / "cts", "--out", tmp_path / "tasks")
    result = bench("finalize", "--tasks", tmp_path / "tasks", "--masks", tmp_path / "none", "--out", tmp_path / "full")
    assert isinstance(result.exception, UsageError)
    result = bench("finalize", "--tasks", tmp_path / "tasks", "--masks", tmp_path / "none", "--out", tmp_path / "set")
    assert isinstance(result.exception, DataError)
