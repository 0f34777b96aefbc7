"""Tasks out, masks in: three programs' forms, every way in which a mask can lie, and the data set at the end."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pytest

from curation.annotation.grid import place
from curation.annotation.masks import numbered
from curation.annotation.nrrd import Segment, read_segmentation, write_segmentation
from curation.finalize import split_patients
from curation.pipeline import write_records
from curation.records import CategorizedFinding, SelectedReport
from curation.volumes import read_array, write_volume
from harness.dataset import open_dataset
from harness.dataset.validate import validate_dataset
from harness.errors import DataError, UsageError

SHAPE = (30, 24, 20)
AFFINE = np.array([[-1.5, 0, 0, 20], [0, -1.5, 0, 30], [0, 0, 2, -40], [0, 0, 0, 1.0]])
NAMES = ("p_1_a_1", "p_1_b_1", "p_2_a_1", "p_3_a_1")


def ct_values() -> npt.NDArray[np.int16]:
    """Return a chest in miniature: air around, tissue, two lungs."""
    values = np.full(SHAPE, -1000, np.int16)
    values[3:27, 3:21] = 40
    values[6:13, 6:18, 2:18] = -850
    values[17:24, 6:18, 2:18] = -850
    return values


def truth(n: int) -> npt.NDArray[np.uint8]:
    """Return the label map of finding n: n + 1 entities in the right lung."""
    labels = np.zeros(SHAPE, np.uint8)
    for entity in range(n + 1):
        labels[8:10, 8:10, 4 + 4 * entity : 6 + 4 * entity] = entity + 1
    return labels


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
        for text, code in [("3 mm nodule in the right lung", "2d"), ("Two nodules in the right lung", "2d")]
    )
    for name in NAMES:
        slices = np.moveaxis(ct_values(), 2, 0)
        write_volume(tmp_path / f"cts/{name}.nii.gz", np.int16, SHAPE, AFFINE, slices)
    path = tmp_path / "select.jsonl"
    write_records(path, [SelectedReport(id=name, findings=findings) for name in (*NAMES, "p_9_a_1")])
    return path


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
    result = bench(
        "finalize", "--tasks", tmp_path / "tasks", "--masks", tmp_path / "masks", "--out", tmp_path / "set",
        "--val", 0.3, "--test", 0.3,
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


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("flips", list(itertools.product([False, True], repeat=3)))
def test_every_order_and_direction_of_axes(order: tuple[int, ...], flips: tuple[bool, ...]) -> None:
    """All 48 ways in which axes can be exchanged and reversed come back exactly, cropped or not."""
    labels = np.random.default_rng(0).integers(0, 4, SHAPE).astype(np.uint8)
    crop = labels[4:20, 3:17, 5:15]
    affine = AFFINE.copy()
    affine[:3, 3] += AFFINE[:3, :3] @ [4, 3, 5]
    for axis, flip in enumerate(flips):
        if flip:
            affine[:3, 3] += affine[:3, axis] * (crop.shape[axis] - 1)
            affine[:3, axis] *= -1
            crop = np.flip(crop, axis)
    crop, affine = crop.transpose(order), affine[:, [*order, 3]]
    expected = np.zeros(SHAPE, np.uint8)
    expected[4:20, 3:17, 5:15] = labels[4:20, 3:17, 5:15]
    assert np.array_equal(place(crop, affine, SHAPE, AFFINE, "mask"), expected)


def test_slicer_files(tmp_path: Path) -> None:
    """What we write we read, in raw and gzip; Slicer's single voxel means nothing; other files are refused."""
    layers = np.stack([truth(0), truth(1)])
    path = tmp_path / "x.seg.nrrd"
    write_segmentation(path, layers, AFFINE, [Segment("a", 0, 1), Segment("b", 1, 2)])
    read = read_segmentation(path)
    assert np.array_equal(read.layers, layers)
    assert np.allclose(read.affine, AFFINE)
    assert np.array_equal(read.mask(read.segments[1]), truth(1) == 2)
    head = (
        "NRRD0004\n# a comment\ntype: unsigned char\ndimension: 3\nspace: right-anterior-superior\nsizes: 1 1 1\n"
        "space directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)\nencoding: raw\nSegment0_Name:=0: x\n\n"
    )
    path.write_bytes(head.encode() + b"\0")
    assert read_segmentation(path).is_empty
    for broken in (b"", b"NRRD0004\n\n", head.encode(), head.replace("raw", "bzip2").encode() + b"\0", b"PNG\n\n"):
        path.write_bytes(broken)
        with pytest.raises(DataError):
            read_segmentation(path)


def test_entities() -> None:
    """Several values stay entities without gaps; one value is cut into components; beyond 255 the rest share one."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[2, 2, 2], labels[2, 2, 9], labels[9, 9, 9] = 5, 5, 7
    assert sorted(np.unique(numbered(labels))) == [0, 1, 2]
    assert numbered((labels > 0).astype(np.uint8)).max() == 3
    many = np.zeros((60, 60, 4), np.uint8)
    many[::2, ::2, 0] = 1
    result = numbered(many)
    assert result.max() == 255
    assert np.array_equal(result > 0, many > 0)


def test_split_by_patient() -> None:
    """The split depends on names, shares and seed, not on order; every wanted split gets a patient."""
    patients = [f"p_{n}" for n in range(40)]
    split = split_patients(patients, 0.1, 0.2, 0)
    assert split == split_patients(patients[::-1], 0.1, 0.2, 0)
    assert split != split_patients(patients, 0.1, 0.2, 1)
    assert [list(split.values()).count(name) for name in ("train", "val", "test")] == [28, 4, 8]
    assert set(split_patients(patients[:3], 0.01, 0.01, 0).values()) == {"train", "val", "test"}
    assert set(split_patients(patients, 0, 0, 0).values()) == {"train"}


def test_folders_are_not_overwritten(selected: Path, tmp_path: Path, bench: Any) -> None:
    """A folder with other files is no place for tasks, and a data set is never replaced."""
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
