"""From tasks for annotators to a valid data set, the same bytes again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curation.annotation.nrrd import Segment, write_segmentation
from curation.annotation.tasks import read_tasks
from curation.pipeline import write_records
from curation.records import CategorizedFinding, CategorizedReport, ExtractedReport, Phrase, SelectedReport
from curation.volumes import read_array
from harness.dataset import open_dataset
from harness.dataset.validate import validate_dataset
from harness.errors import DataError, UsageError
from tests.curation.annotation.conftest import AFFINE, NAMES, SHAPE, TEXTS, key, save, truth


def draw_nifti(folder: Path, name: str) -> None:
    """Save the first finding as a 0/1 mask and the second with its entities, on axes in another order."""
    save(folder / name / f"{key(name, 0)}.nii.gz", truth(0))
    labels, affine = np.flip(truth(1), 0), AFFINE.copy()
    affine[:, 0], affine[:, 3] = -AFFINE[:, 0], AFFINE[:, 3] + AFFINE[:, 0] * (SHAPE[0] - 1)
    order = [2, 0, 1]
    save(folder / name / f"{key(name, 1)}.nii.gz", labels.transpose(order), affine[:, [*order, 3]])


def draw_slicer(folder: Path, name: str) -> None:
    """Save a cropped segmentation with one layer a finding and one segment an entity."""
    crop = (slice(5, 15), slice(5, 15), slice(2, 14))
    layers = np.stack([truth(0)[crop], truth(1)[crop]])
    affine = AFFINE.copy()
    affine[:3, 3] += AFFINE[:3, :3] @ [5, 5, 2]
    segments = [
        Segment("0: 3 mm nodule in the right lung", 0, 1),
        Segment("1: Two nodules in the right lung", 1, 1),
        Segment("1 (2)", 1, 2),
    ]
    write_segmentation(folder / name / f"{name}.seg.nrrd", layers, affine, segments)


def draw_redbrick(folder: Path, name: str) -> None:
    """Add a task to an export with one label map: instances 1 to 3."""
    labels = truth(1) + (truth(1) > 0)
    labels[12:14, 8:10, 4:6] = 1
    save(folder / "segmentations" / f"{name}.nii.gz", labels.astype(np.uint8))
    path = folder / "tasks.json"
    document = json.loads(path.read_text()) if path.exists() else []
    names = {"1": {"category": f"{key(name, 0)}: nodule"}, "2": {"category": ["x", f"1: {TEXTS[1]}"]}}
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
        labels, _ = read_array(tmp_path / f"masks/p_2_a_1/{key('p_2_a_1', finding)}.nii.gz")
        expected = truth(finding)
        if kind == "redbrick" and finding == 0:
            expected = np.zeros(SHAPE, np.uint8)
            expected[12:14, 8:10, 4:6] = 1
        assert np.array_equal(labels, expected)
    patients = tmp_path / "patients.csv"
    patients.write_text("case,patient\n" + "".join(f"{name},{name[:3]}\n" for name in NAMES), encoding="utf-8")
    result = bench(
        "finalize", "--tasks", tmp_path / "tasks", "--masks", tmp_path / "masks", "--out", tmp_path / "set",
        "--val", 0.3, "--test", 0.3, "--patients", patients, "--gate", "error",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    report = validate_dataset(tmp_path / "set")
    assert [p for p in report.problems if p.level.value == "error"] == []
    dataset = open_dataset(tmp_path / "set")
    assert sorted(case.id for case in dataset) == sorted(NAMES)
    assert len({case.split for case in dataset if case.patient == "p_1"}) == 1
    assert {case.split for case in dataset} == {"train", "val", "test"}
    assert next(iter(dataset)).findings[1].entities == 2


def test_a_data_set_keeps_what_its_reports_said(selected: Path, tmp_path: Path, bench: Any) -> None:
    """Codes and the flag of earlier examinations reach the opened data set; other phrases stand beside its index."""
    nodule, two = (
        CategorizedFinding(text=text, codes=("L0",), abnormal=True, prior=n == 1, category="2d")
        for n, text in enumerate(TEXTS)
    )
    normal = Phrase(text="The heart is normal", codes=("H0",), abnormal=False, prior=False)
    of = {"id": NAMES[0], "report_sha256": "0f" * 32}
    write_records(
        selected, [SelectedReport(**of, findings=(nodule, two)), SelectedReport(id=NAMES[2], findings=(two,))]
    )
    plain = (Phrase(text=f.text, codes=f.codes, abnormal=True, prior=f.prior) for f in (nodule, two))
    write_records(tmp_path / "curated/extract.jsonl", [ExtractedReport(**of, phrases=(normal, *plain))])
    write_records(tmp_path / "curated/categorize.jsonl", [CategorizedReport(**of, findings=(nodule, two))])
    bench("annotate", "export", selected, "--cts", tmp_path / "cts", "--out", tmp_path / "tasks")
    draw_nifti(tmp_path / "tasks", NAMES[0])
    (mark,) = (task.findings[0].id for task in read_tasks(tmp_path / "tasks").tasks if task.id == NAMES[2])
    save(tmp_path / "tasks" / NAMES[2] / f"{mark}.nii.gz", truth(1))
    bench("annotate", "import", tmp_path / "tasks", "--out", tmp_path / "masks")
    (tmp_path / "table.csv").write_text(f"VolumeName,PatientAge,PatientSex\n{NAMES[0]}.nii.gz,061Y,F\n")
    result = bench(
        "finalize", "--tasks", tmp_path / "tasks", "--masks", tmp_path / "masks", "--out", tmp_path / "set",
        "--val", 0, "--test", 0, "--patients", tmp_path / "table.csv", "--curated", tmp_path / "curated",
        "--gate", "error",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "the report of 1 case is not in" in result.stderr
    first, second = open_dataset(tmp_path / "set").split("train")
    assert [finding.prior for finding in first.findings] == [False, True]
    assert (first.age, first.sex, second.age) == (61, "F", None)
    (entry, other) = json.loads((tmp_path / "set/dataset.json").read_text())["train"]
    assert (entry["regions"]["0"], entry["report_sha256"]) == ("Lungs/Airways/Pleura", "0f" * 32)
    assert "report_sha256" not in other
    (report,) = json.loads((tmp_path / "set/reports_dataset.json").read_text())["train"]
    assert (report["findings"]["0"], report["abnormal"]["0"]) == ("The heart is normal", False)
    assert report["channels"] == {"1": 0, "2": 1}
    assert not [p for p in validate_dataset(tmp_path / "set").problems if p.level.value == "error"]


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


def _select(path: Path, texts: dict[str, list[str]]) -> Path:
    """Write selected scans with findings of these texts."""
    records = [
        SelectedReport(
            id=scan,
            findings=tuple(
                CategorizedFinding(text=text, codes=("L0",), abnormal=True, prior=False, category="2d")
                for text in findings
            ),
        )
        for scan, findings in texts.items()
    ]
    write_records(path, records)
    return path


@pytest.mark.parametrize("kind", ["nifti", "slicer", "redbrick"])
def test_exporting_again_adds_and_overwrites_nothing(kind: str, selected: Path, tmp_path: Path, bench: Any) -> None:
    """Drawings survive every repetition; new scans are added; a scan with other findings stays, and is reported."""
    first = _select(tmp_path / "a.jsonl", {"p_1_a_1": list(TEXTS)})
    more = _select(tmp_path / "b.jsonl", {"p_1_a_1": list(TEXTS), "p_2_a_1": list(TEXTS)})
    other = _select(tmp_path / "c.jsonl", {"p_1_a_1": [TEXTS[1]], "p_3_a_1": list(TEXTS)})

    def export(path: Path, out: str = "tasks") -> Any:
        return bench(
            "annotate", "export", path, "--cts", tmp_path / "cts", "--out", tmp_path / out, "--format", kind, "--json"
        )

    assert export(first).exit_code == 0
    {
        "nifti": draw_nifti,
        "slicer": draw_slicer,
        "redbrick": lambda folder, name: save(folder / name / "x.nii.gz", truth(0)),
    }[kind](tmp_path / "tasks", "p_1_a_1")
    before = {path: path.read_bytes() for path in (tmp_path / "tasks/p_1_a_1").iterdir()}
    again = export(more)
    assert again.exit_code == 0
    assert json.loads(again.stdout)["kept"] == ["p_1_a_1"]
    changed = export(other)
    assert changed.exit_code == 4
    assert "no longer selected" in json.loads(changed.stdout)["left_out"]["p_1_a_1"]
    assert {path: path.read_bytes() for path in (tmp_path / "tasks/p_1_a_1").iterdir()} == before
    assert [task.id for task in read_tasks(tmp_path / "tasks").tasks] == ["p_1_a_1", "p_2_a_1", "p_3_a_1"]
    if kind == "redbrick":
        return
    assert export(other, "new").exit_code == 0
    result = bench(
        "annotate", "import", tmp_path / "new", "--from", tmp_path / "tasks", "--out", tmp_path / "masks", "--json"
    )
    rows = {row["case"]: row for row in json.loads(result.stdout)["findings"] if row["case"] == "p_1_a_1"}
    assert rows["p_1_a_1"]["state"] == "ok"
    assert rows["p_1_a_1"]["voxels"] == (truth(1) > 0).sum()


def test_tasks_for_another_machine(selected: Path, tmp_path: Path, bench: Any) -> None:
    """With --copy the folder needs nothing outside; without it the CTs are links, and CT-RATE's tree is searched."""
    tree = tmp_path / "tree/p_1/p_1_a"
    tree.mkdir(parents=True)
    (tmp_path / "cts/p_1_a_1.nii.gz").rename(tree / "p_1_a_1.nii.gz")
    select = _select(tmp_path / "a.jsonl", {"p_1_a_1": list(TEXTS)})
    common = ("annotate", "export", select, "--cts", tmp_path / "tree", "--out", tmp_path / "tasks")
    ct = tmp_path / "tasks/p_1_a_1/ct.nii.gz"
    assert bench(*common).exit_code == 0
    assert ct.is_symlink()
    assert bench(*common, "--copy").exit_code == 0
    assert not ct.is_symlink()
    assert ct.read_bytes() == (tree / "p_1_a_1.nii.gz").read_bytes()
    shutil.copy(tree / "p_1_a_1.nii.gz", tmp_path / "tree/p_1_a_1.nii.gz")
    result = bench(*common, "--json")
    assert "2 CTs are named" in json.loads(result.stdout)["left_out"]["p_1_a_1"]


def test_tasks_of_an_earlier_version_lose_nothing(selected: Path, tmp_path: Path, bench: Any) -> None:
    """They are refused, with the way on which drawings in 3D Slicer come along by their texts."""
    (tmp_path / "old").mkdir()
    (tmp_path / "old/tasks.json").write_text('{"version": 1, "format": "slicer", "tasks": []}')
    draw_slicer(tmp_path / "old", "p_1_a_1")
    result = bench("annotate", "export", selected, "--cts", tmp_path / "cts", "--out", tmp_path / "old")
    assert isinstance(result.exception, DataError)
    assert "--from" in result.exception.fix
    select = _select(tmp_path / "a.jsonl", {"p_1_a_1": list(TEXTS)})
    bench("annotate", "export", select, "--cts", tmp_path / "cts", "--out", tmp_path / "new", "--format", "slicer")
    result = bench("annotate", "import", tmp_path / "new", "--from", tmp_path / "old", "--out", tmp_path / "masks")
    assert result.stdout.strip().endswith("2 ok")
