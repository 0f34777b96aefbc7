"""Boxes reach a model that is prompted with them, on the grid of its CT, and no other model."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest

from harness.dataset.boxes import BOX_RULES
from harness.registry.protocol import BoxRule

if TYPE_CHECKING:
    from conftest import Bench

PLUGINS = Path(__file__).parent / "plugins"


def _run(bench: Bench, dataset: Path, engine: str, variant: str, *more: object) -> Any:
    command = ("run", "--plugin", "boxed", "--plugin-dir", PLUGINS / "boxed", "--dataset", dataset)
    return bench.json(*command, "--engine", engine, "--variant", variant, *more)


def test_a_box_model_gets_a_box_for_each_entity(engine: str, bench: Bench, make_dataset: Callable[..., Path]) -> None:
    """Its masks are the boxes that are kept with the run: each around its entity, up to five voxels wider."""
    dataset = make_dataset(2)
    run = _run(bench, dataset, engine, "box")
    assert run["coverage"] == {"ok": 4}
    shown = bench.json("results", "show", run["run"])
    folder = bench.home / "runs" / run["run"]
    kept = (folder / "boxes.jsonl").read_bytes()
    assert shown["record"]["prompts"]["sha256"] == hashlib.sha256(kept).hexdigest()
    assert shown["record"]["prompts"]["number"] == 2 * 3
    assert (
        f"boxes     6 in boxes.jsonl, sha256:{hashlib.sha256(kept).hexdigest()}"
        in bench("results", "show", run["run"]).stdout
    )
    assert shown["plan"]["boxes"] == BOX_RULES[BoxRule.WIDENED]
    tight = {"0": [[2, 3, 4, 8, 9, 10]], "1": [[10, 5, 2, 14, 9, 6], [16, 5, 8, 20, 9, 12]]}
    for line in map(json.loads, kept.splitlines()):
        for finding, boxes in line["boxes"].items():
            assert len(boxes) == len(tight[finding])
            wider = (np.array(boxes) - np.array(tight[finding])) * [-1, -1, -1, 1, 1, 1]
            assert wider.min() >= 0
            assert wider.max() <= 5
            assert not wider[:, [2, 5]].any()
            mask = np.zeros((24, 20, 16), np.uint8)
            for x0, y0, z0, x1, y1, z1 in boxes:
                mask[x0:x1, y0:y1, z0:z1] = 1
            answer: Any = nib.load(folder / "masks" / line["case"] / f"{finding}.nii.gz")
            np.testing.assert_array_equal(np.asarray(answer.dataobj), mask)


@pytest.mark.parametrize("seed", [0, 1])
def test_boxes_of_a_part_are_those_of_the_whole(seed: int, bench: Bench, make_dataset: Callable[..., Path]) -> None:
    """A run over the first case gives it the boxes that a run over all of them does, for the same seed."""
    dataset = make_dataset(2)
    files = []
    for more in ((), ("--limit", "1")):
        run = _run(bench, dataset, "local", "box", "--seed", seed, *more)
        files.append((bench.home / "runs" / run["run"] / "boxes.jsonl").read_text().splitlines())
    assert files[1] == files[0][:1]


def test_a_box_model_is_trained_with_boxes(engine: str, bench: Bench, tmp_path: Path, splits_writer: Any) -> None:
    """Train and val cases have boxes by the same rule, kept and recorded with the training, and part of its key."""
    run = _run(bench, splits_writer(tmp_path / "data"), engine, "tuned")
    assert run["coverage"] == {"ok": 4}
    (folder,) = (bench.home / "checkpoints").iterdir()
    kept, record = (folder / "boxes.jsonl").read_bytes(), json.loads((folder / "record.json").read_text())
    assert record["prompts"] == {
        "rule": record["plan"]["boxes"],
        "file": "boxes.jsonl",
        "sha256": hashlib.sha256(kept).hexdigest(),
        "number": 2 * 5,
    }
    seen = json.loads((folder / "checkpoint" / "seen.json").read_text())
    shown = {case: {finding: about["boxes"] for finding, about in found.items()} for case, found in seen.items()}
    assert shown == {line["case"]: line["boxes"] for line in map(json.loads, kept.splitlines())}
    every = [about for found in seen.values() for about in found.values()]
    assert [about["split"] for about in every] == ["train"] * 8 + ["val"] * 2
    moved = np.array([about["boxes"] for about in every]) - np.array([about["around"] for about in every])
    assert 0 < np.abs(moved).max() <= 5
    assert not moved[..., [2, 5]].any()


def test_verify_names_changed_boxes_of_the_training(bench: Bench, tmp_path: Path, splits_writer: Any) -> None:
    """The checkpoint depends on them, and so does the run: they are compared with the record and the truth."""
    run = _run(bench, splits_writer(tmp_path / "data"), "local", "tuned")["run"]
    (kept,) = (bench.home / "checkpoints").glob("*/boxes.jsonl")
    bench("results", "verify", run)
    kept.write_text(kept.read_text().replace("[[", "[[1", 1))
    said = bench("results", "verify", run, code=4).stdout
    assert "training: boxes.jsonl: its digest differs from the recorded one" in said


def test_a_text_model_gets_no_box(bench: Bench, make_dataset: Callable[..., Path]) -> None:
    """The same model, prompted with text: no box in its cases, none kept with the run."""
    run = _run(bench, make_dataset(1), "local", "text")
    assert run["coverage"] == {"ok": 2}
    shown = bench.json("results", "show", run["run"])
    assert "prompts" not in shown["record"]
    assert "boxes" not in shown["plan"]
    assert not (bench.home / "runs" / run["run"] / "boxes.jsonl").exists()


def test_verify_names_boxes_that_were_changed(bench: Bench, make_dataset: Callable[..., Path]) -> None:
    """Untouched boxes are those of the truth; a changed file, with its digest too, or a lost one is named."""
    run = _run(bench, make_dataset(1), "local", "box")["run"]
    kept = bench.home / "runs" / run / "boxes.jsonl"
    verify = ("results", "verify", run, "--jobs", 1)
    assert bench.json(*verify)["differences"] == []
    before = kept.read_text()
    kept.write_text(before.replace("[[", "[[1"))
    assert "boxes.jsonl: its digest differs from the recorded one" in bench(*verify, code=4).stdout
    with sqlite3.connect(bench.home / "results.db") as db:
        digests = [hashlib.sha256(text.encode()).hexdigest() for text in (before, kept.read_text())]
        db.execute("UPDATE runs SET record = replace(record, ?, ?)", digests)
    assert "boxes.jsonl: differs from the boxes that the ground truth gives" in bench(*verify, code=4).stdout
    kept.unlink()
    assert "boxes.jsonl: missing" in bench(*verify, code=4).stdout
