"""Masks that follow from the truth's boxes are known by their voxels, whoever sold them as text."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.cli.score import score
from harness.dataset import open_dataset
from harness.dataset.boxes import entity_boxes, simulate_boxes
from harness.registry.protocol import BoxRule
from harness.runs.from_boxes import _sizes, _voxels, made_from_boxes
from harness.store.database import Store
from plugins.controls.adapter import box, ellipsoid
from tests.harness.scoring.conftest import save
from tests.harness.submissions.conftest import call, write_data

SHAPES = {"box": box, "ellipsoid": ellipsoid}


def _write(folder: Path) -> None:
    """Write six cases, each with a finding of one entity and one of two."""
    cases = []
    for i in range(6):
        truth = np.zeros((2, 60, 56, 12), np.uint8)
        truth[0, 10:30, 12 : 30 + i, 2:9] = 1
        truth[1, 40:50, 20:28, 3:6] = 1
        truth[1, 8:16, 42:50, 0:3] = 2
        save(folder / "data" / "seg" / f"case_{i}_a_1.nii.gz", truth, np.eye(4))
        cases.append(
            {
                "name": f"case_{i}_a_1.nii.gz", "findings": {"0": "A consolidation", "1": "Two nodules"},
                "shape": list(truth.shape[1:]), "entity_counts": {"0": 1, "1": 2},
                "pixels": {str(n): int((truth[n] > 0).sum()) for n in range(2)}, "categories": {"0": "1f", "1": "2d"},
            }
        )  # fmt: skip
    (folder / "data" / "dataset.json").write_text(json.dumps({"train": [], "val": [], "test": cases}))
    spacings = [{"name": case["name"], "spacing_mm": [0.8, 0.8, 2.0]} for case in cases]
    (folder / "data" / "spacing.json").write_text(json.dumps(spacings))


def _fill(folder: Path, shape: Callable[..., Any], rule: BoxRule, seed: int) -> Path:
    """Fill the boxes of every finding with a shape, as a control does."""
    _write(folder)
    data = open_dataset(folder / "data" / "dataset.json", cache=None)
    for case in data.split("test"):
        for finding, boxes in simulate_boxes(case, rule=rule, seed=seed).items():
            mask = np.zeros(case.shape, np.uint8)
            for x0, y0, z0, x1, y1, z1 in boxes:
                mask[x0:x1, y0:y1, z0:z1] |= shape((x1 - x0, y1 - y0, z1 - z0))
            save(folder / "masks" / case.id / f"{finding}.nii.gz", mask, np.eye(4))
    return folder


def _scored(folder: Path, *more: str) -> dict[str, Any]:
    arguments = (folder / "masks", "--dataset", folder / "data", "--name", "brilliant", "--jobs", 1, "--json", *more)
    found: dict[str, Any] = json.loads(call(folder / "home", score, *arguments).stdout)
    return found


@pytest.mark.parametrize("shape", ["box", "ellipsoid"])
def test_a_control_sold_as_text_is_named(shape: str, tmp_path: Path) -> None:
    """By any draw of its boxes, with no control beside it; as a model that gets boxes it is in order."""
    folder = _fill(tmp_path, SHAPES[shape], BoxRule.WIDENED, seed=7)
    stated = ("--who", "A lab", "--trained-on", "none")
    told = {"box": "fill their box", "ellipsoid": "fill the ellipsoid in their box"}[shape]
    sold = _scored(folder, "--prompt", "text", *stated)
    assert [reason for reason in sold["unrankable"] if reason.endswith(told)]
    assert sold["rankable"] is False
    assert _scored(folder, "--prompt", "box", *stated)["unrankable"] == []


@pytest.mark.parametrize("rule", [BoxRule.WIDENED, BoxRule.MOVED])
def test_every_box_of_a_rule_has_one_of_the_sizes(rule: BoxRule, tmp_path: Path) -> None:
    """Also where the volume ends."""
    _write(tmp_path)
    for case in open_dataset(tmp_path / "data" / "dataset.json", cache=None).split("test"):
        tight = entity_boxes(case)[0][1]
        for seed in range(20):
            x0, y0, z0, x1, y1, z1 = simulate_boxes(case, rule=rule, seed=seed)["0"][0]
            assert (x1 - x0, y1 - y0, z1 - z0) in _sizes(tight, case.shape)


def test_other_masks_are_not(tmp_path: Path) -> None:
    """The truth with holes is no box; the first mask that is none ends the comparison."""
    write_data(tmp_path)
    document = _scored(tmp_path, "--prompt", "text")
    assert not [reason for reason in document["unrankable"] if "boxes" in reason]


def test_a_few_small_masks_prove_nothing(tmp_path: Path) -> None:
    """One of them may have the right number of voxels by chance."""
    folder = _fill(tmp_path, ellipsoid, BoxRule.WIDENED, seed=0)
    run = _scored(folder, "--prompt", "text")["run"]
    cases = open_dataset(folder / "data" / "dataset.json", cache=None).split("test")
    with Store(folder / "home" / "results.db") as store:
        found = {case.id: store.findings(run, case.id) for case in cases}
    assert made_from_boxes(cases, found).startswith("its masks follow from the truth's boxes: all ")
    assert made_from_boxes(cases[:2], found) == ""


@pytest.mark.parametrize("size", [(1, 1, 1), (7, 4, 3), (24, 20, 6)])
def test_the_voxels_are_those_of_the_controls(size: tuple[int, int, int]) -> None:
    """Counted slice by slice, as the plugin fills them."""
    for shape in ("box", "ellipsoid"):
        assert _voxels(shape, size) == int(SHAPES[shape](size).sum())
