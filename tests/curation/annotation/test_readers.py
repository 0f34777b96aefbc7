"""Masks that annotators deliver: each fault is reported and stops no other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curation.annotation.nrrd import write_segmentation
from harness.errors import UsageError
from tests.curation.annotation.conftest import AFFINE, SHAPE, key, save, truth


def test_bad_masks_are_told_and_stop_no_other(selected: Path, tmp_path: Path, bench: Any) -> None:
    """A missing, an empty, a foreign, a resampled and a broken mask: each has its own reason."""
    bench("annotate", "export", selected, "--cts", tmp_path / "cts", "--out", tmp_path / "tasks")
    drawn = tmp_path / "drawn"
    save(drawn / f"p_1_a_1/{key('p_1_a_1', 0)}.nii.gz", np.zeros(SHAPE, np.uint8))
    save(drawn / f"p_1_a_1/{key('p_1_a_1', 1)}.nii.gz", np.ones((15, 12, 10), np.uint8), AFFINE @ np.diag([2, 2, 2, 1]))
    save(drawn / f"p_1_b_1/{key('p_1_b_1', 0)}.nii.gz", truth(0).astype(np.float32) / 2)
    (drawn / f"p_1_b_1/{key('p_1_b_1', 1)}.nii.gz").write_bytes(b"no volume")
    moved = AFFINE.copy()
    moved[0, 3] += 0.7
    save(drawn / f"p_2_a_1/{key('p_2_a_1', 0)}.nii.gz", truth(0), moved)
    far = AFFINE.copy()
    far[2, 3] += 30
    save(drawn / f"p_2_a_1/{key('p_2_a_1', 1)}.nii.gz", truth(1), far)
    save(drawn / f"p_3_a_1/{key('p_3_a_1', 0)}.nii.gz", truth(0), np.eye(4))
    result = bench("annotate", "import", tmp_path / "tasks", "--from", drawn, "--out", tmp_path / "masks", "--json")
    rows = {
        (row["case"], row["finding"][0]): (row["state"], row["reason"]) for row in json.loads(result.stdout)["findings"]
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


def _labels() -> Any:
    """Return a label map of both findings: 1 and 2."""
    labels = truth(0)
    labels[20:22, 8:10, 4:6] = 2
    return labels


def _import(bench: Any, tmp_path: Path, drawn: Path) -> tuple[int, dict[str, Any]]:
    result = bench("annotate", "import", tmp_path / "tasks", "--from", drawn, "--out", tmp_path / "masks", "--json")
    document = json.loads(result.stdout)
    return result.exit_code, {
        "ok": sorted((row["case"], row["voxels"]) for row in document["findings"] if row["state"] == "ok"),
        "states": {(row["case"], row["finding"][0]): row["state"] for row in document["findings"]},
        "unused": {(row["case"], row["name"]): row["voxels"] for row in document["unused"]},
    }


def test_label_maps_and_other_suffixes(selected: Path, tmp_path: Path, bench: Any) -> None:
    """ITK-SNAP's label map with its descriptions, .nii and .nrrd are read; a label without a name is reported."""
    bench("annotate", "export", selected, "--cts", tmp_path / "cts", "--out", tmp_path / "tasks")
    drawn = tmp_path / "drawn"
    save(drawn / "p_1_a_1/p_1_a_1.nii.gz", _labels())
    shutil.copy(tmp_path / "tasks/p_1_a_1/labels.txt", drawn / "p_1_a_1/labels.txt")
    save(drawn / "p_1_b_1.nii", _labels())
    shutil.copy(tmp_path / "tasks/p_1_b_1/labels.txt", drawn / "p_1_b_1.label")
    save(drawn / f"p_2_a_1/{key('p_2_a_1', 0)}.nii", truth(0))
    write_segmentation(drawn / f"p_2_a_1/{key('p_2_a_1', 1)}.nrrd", truth(1)[None], AFFINE, [])
    save(drawn / "p_3_a_1/p_3_a_1.nii.gz", _labels())
    code, found = _import(bench, tmp_path, drawn)
    assert code == 4
    small, large = int((truth(0) > 0).sum()), int((truth(1) > 0).sum())
    both = [(name, small) for name in ("p_1_a_1", "p_1_b_1") for _ in range(2)]
    assert found["ok"] == [*both, ("p_2_a_1", small), ("p_2_a_1", large)]
    assert found["states"]["p_3_a_1", "0"] == "refused"
    assert [voxels for (case, _), voxels in found["unused"].items() if case == "p_3_a_1"] == [small, small]


def test_everything_that_was_delivered_is_told(selected: Path, tmp_path: Path, bench: Any) -> None:
    """A bare number, a second copy, a stranger's file and another scan's folder: named, and never taken on trust."""
    bench("annotate", "export", selected, "--cts", tmp_path / "cts", "--out", tmp_path / "tasks")
    drawn = tmp_path / "drawn"
    save(drawn / "p_1_a_1/0.nii.gz", truth(0))
    for suffix in ("nii", "nii.gz"):
        save(drawn / f"p_1_b_1/{key('p_1_b_1', 0)}.{suffix}", truth(0))
    save(drawn / f"p_2_a_1/{key('p_2_a_1', 0)}.nii.gz", truth(0))
    (drawn / "p_2_a_1/scene.mrb").write_bytes(b"zip")
    save(drawn / f"p_7/{key('p_7', 0)}.nii.gz", truth(0))
    code, found = _import(bench, tmp_path, drawn)
    assert code == 4
    assert found["states"]["p_1_a_1", "0"] == "refused"
    assert found["states"]["p_1_b_1", "0"] == "refused"
    assert [case for case, _ in found["ok"]] == ["p_2_a_1"]
    assert ("p_2_a_1", "scene.mrb") in found["unused"]
    assert ("", "p_7") in found["unused"]
    save(tmp_path / "tasks/p_1_a_1/0.nii.gz", truth(0))
    _, found = _import(bench, tmp_path, tmp_path / "tasks")
    assert found["states"]["p_1_a_1", "0"] == "ok"  # beside the exported list


def test_masks_are_not_written_over_drawings(selected: Path, tmp_path: Path, bench: Any) -> None:
    """The folder of masks lies in no folder that annotators write to."""
    bench("annotate", "export", selected, "--cts", tmp_path / "cts", "--out", tmp_path / "tasks")
    for out in (tmp_path / "tasks", tmp_path / "tasks/masks"):
        result = bench("annotate", "import", tmp_path / "tasks", "--out", out)
        assert isinstance(result.exception, UsageError)


def test_label_maps_of_other_names(selected: Path, tmp_path: Path, bench: Any) -> None:
    """A label map is one by its name, in the folder or beside it; what an annotator named counts before the export."""
    bench("annotate", "export", selected, "--cts", tmp_path / "cts", "--out", tmp_path / "tasks")
    drawn = tmp_path / "drawn"
    for scan in ("p_1_a_1", "p_1_b_1", "p_2_a_1", "p_3_a_1"):
        (drawn / scan).mkdir(parents=True)
        shutil.copy(tmp_path / f"tasks/{scan}/labels.txt", drawn / scan)
    write_segmentation(drawn / "p_1_a_1/Segmentation.nrrd", _labels()[None], AFFINE, [])
    save(drawn / "p_1_b_1_seg.nii.gz", _labels())
    save(drawn / "p_2_a_1/ct_seg.nii.gz", np.where(_labels() > 0, 3 - _labels(), 0).astype(np.uint8))
    exported = (tmp_path / "tasks/p_2_a_1/labels.txt").read_text(encoding="utf-8")
    swapped = exported.replace("    1  ", "    x  ").replace("    2  ", "    1  ").replace("    x  ", "    2  ")
    (drawn / "p_2_a_1/zz.txt").write_text(swapped, encoding="utf-8")
    save(drawn / "p_3_a_1/nodules.nii.gz", _labels())  # two entities of whichever finding: not a label map by its name
    save(drawn / "p_3_a_10_seg.nii.gz", _labels())
    code, found = _import(bench, tmp_path, drawn)
    assert code == 4
    sizes = sorted(int((_labels() == value).sum()) for value in (1, 2))
    for scan in ("p_1_a_1", "p_1_b_1", "p_2_a_1"):
        assert sorted(size for case, size in found["ok"] if case == scan) == sizes
        assert found["states"][scan, "0"] == found["states"][scan, "1"] == "ok"
    assert found["states"]["p_3_a_1", "0"] == "refused"
    assert ("", "p_3_a_10_seg.nii.gz") in found["unused"]


def test_names_of_files_with_the_scan_or_the_text(selected: Path, tmp_path: Path, bench: Any) -> None:
    """The scan's name may stand first, and blanks of a text may be underscores; volumes in two files are named."""
    bench("annotate", "export", selected, "--cts", tmp_path / "cts", "--out", tmp_path / "tasks")
    task = json.loads((tmp_path / "tasks/tasks.json").read_text())["tasks"][0]
    first, second = task["findings"][:2]
    drawn = tmp_path / "drawn"
    save(drawn / f"p_1_a_1_{first['id']}.nii.gz", truth(0))
    save(drawn / f"p_1_a_1/1_{second['text'].replace(' ', '_')}.nii.gz", truth(1))
    (drawn / "p_1_a_1/mask.mhd").write_text("ObjectType = Image\n", encoding="utf-8")
    _, found = _import(bench, tmp_path, drawn)
    assert found["states"]["p_1_a_1", "0"] == found["states"]["p_1_a_1", "1"] == "ok"
    report = json.loads((tmp_path / "masks/import.json").read_text())
    assert any("two files" in row["reason"] for row in report["unused"] if row["name"] == "mask.mhd")


def test_exports_of_redbrick_in_other_words(selected: Path, tmp_path: Path, bench: Any) -> None:
    """Attributes as a table, values as lists, a file that the instance states, the file's name as the task's."""
    bench(
        "annotate", "export", selected, "--cts", tmp_path / "cts", "--out", tmp_path / "tasks", "--format", "redbrick"
    )
    scans = {task["id"]: task for task in json.loads((tmp_path / "tasks/tasks.json").read_text())["tasks"]}
    drawn = tmp_path / "drawn"
    one, two = (finding["id"] for finding in scans["p_1_a_1"]["findings"])
    save(drawn / "seg/a.nii.gz", _labels())
    first = {
        "name": "p_1_a_1.nii.gz",
        "series": [
            {
                "segmentMap": {
                    "1": {"category": "Lesion", "attributes": {"Finding": [one]}},
                    "2": {"category": "Lesion", "attributes": [{"name": "finding id", "value": two}]},
                },
                "segmentations": "seg/a.nii.gz",
            }
        ],
    }
    names = [finding["text"] for finding in scans["p_1_b_1"]["findings"]]
    for n in (0, 1):
        save(drawn / f"seg/b/mask_{n + 1}.nii.gz", truth(n))
    maps = {str(n + 1): {"category": names[n], "mask": f"seg/b/mask_{n + 1}.nii.gz"} for n in (0, 1)}
    second = {"name": "p_1_b_1", "series": [{"segmentMap": maps, "segmentations": []}]}
    (drawn / "tasks.json").write_text(json.dumps({"tasks": [first, second]}), encoding="utf-8-sig")
    _, found = _import(bench, tmp_path, drawn)
    assert [case for case, _ in found["ok"]] == ["p_1_a_1", "p_1_a_1", "p_1_b_1", "p_1_b_1"]
    (drawn / "tasks.json").write_bytes(json.dumps([first]).encode("utf-16"))
    _import(bench, tmp_path, drawn)
    report = json.loads((tmp_path / "masks/import.json").read_text())
    assert "not UTF-8" in report["findings"][0]["reason"]


@pytest.mark.parametrize("suffix", ["ctbl", "csv"])
def test_label_maps_with_a_colour_table_of_slicer(selected: Path, tmp_path: Path, bench: Any, suffix: str) -> None:
    """The names of segments in the table beside an exported label map are those of its labels."""
    bench("annotate", "export", selected, "--cts", tmp_path / "cts", "--out", tmp_path / "tasks", "--format", "slicer")
    task = next(t for t in json.loads((tmp_path / "tasks/tasks.json").read_text())["tasks"] if t["id"] == "p_1_a_1")
    folder = tmp_path / "drawn/p_1_a_1"
    folder.mkdir(parents=True)
    write_segmentation(folder / "Segmentation-label.nrrd", _labels()[None], AFFINE, [])
    names = [f"{finding['id'].partition('-')[0]}: {finding['text']}" for finding in task["findings"]]
    if suffix == "ctbl":
        lines = [f"{n} {name.replace(' ', '_')} 128 174 128 255" for n, name in enumerate(names, start=1)]
        table = "\n".join(["# Color table file", "0 Background 0 0 0 0", *lines])
    else:
        lines = [f'{n},"{name}",0.5,0.7,0.5,1' for n, name in enumerate(names, start=1)]
        table = "\n".join(["LabelValue,Name,Color_R,Color_G,Color_B,Color_A", *lines])
    (folder / f"Segmentation-label_ColorTable.{suffix}").write_text(table + "\n", encoding="utf-8")
    _, found = _import(bench, tmp_path, tmp_path / "drawn")
    assert found["states"]["p_1_a_1", "0"] == found["states"]["p_1_a_1", "1"] == "ok"
    assert found["unused"] == {}
