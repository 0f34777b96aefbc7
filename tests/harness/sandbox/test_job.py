"""What a container is given is known word for word, for every way in which a model is prompted or trained."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from harness.dataset import Finding, RunnableCase
from harness.engines.base import Mount
from harness.registry.declaration import Model, Prompt, Variant
from harness.registry.discovery import Plugin
from harness.sandbox.job import JobCase, categories_shown, make_job, predicting_case, training_case, write_job

BOXES = {"0": [[0, 0, 0, 1, 2, 3]], "a": []}
FINDINGS = (Finding(0, "0", "Nodule in the left lung.", "2a"), Finding(1, "a", "Größe: 3 mm"))

#: What every prompt of the case holds.
GRID = {"id": "train_1_a_1", "shape": [2, 3, 4], "spacing": [0.5, 0.5, 2.0]}
TEXTS = [{"id": "0", "text": "Nodule in the left lung."}, {"id": "a", "text": "Größe: 3 mm"}]
CATEGORIES = [{**TEXTS[0], "category": "2a"}, TEXTS[1]]
BOXED = [{**TEXTS[0], "boxes": BOXES["0"]}, {**TEXTS[1], "boxes": []}]


def _plugin(variant: Variant) -> Plugin:
    return Plugin(Model("m", "M", "A model.", "1", Path("/"), variants=(variant,)), "here")


@pytest.fixture
def case(tmp_path: Path) -> RunnableCase:
    """Write a case of the train split: a packed CT and masks that are not."""
    ct, seg = tmp_path / "scan.nii.gz", tmp_path / "masks.nii"
    nib.save(nib.Nifti1Image(np.zeros((2, 3, 4), np.int16), np.diag([0.5, 0.5, 2.0, 1.0])), ct)  # type: ignore[no-untyped-call]
    seg.touch()
    return RunnableCase("train_1_a_1", "train", FINDINGS, ct, seg)


def _line(given: JobCase, folder: Path) -> Any:
    """Return what the container reads of a case."""
    write_job(folder / "job", make(Variant("v")), [given])
    (line,) = (folder / "job" / "cases.jsonl").read_text(encoding="utf-8").splitlines()
    return json.loads(line)


def make(variant: Variant, **more: Any) -> Any:
    """Make a job for predicting with no GPU, or as `more` says."""
    plain = {"verb": "predict", "params": variant.params, "seed": 0, "gpus": 0, "cpus": 1.0, "weights": "none"}
    plain["memory_mb"] = 4096
    return make_job(_plugin(variant), variant, **{**plain, **more})


@pytest.mark.parametrize(
    ("prompt", "boxes", "findings"),
    [(Prompt.TEXT, None, TEXTS), (Prompt.STRUCTURED_TEXT, None, CATEGORIES), (Prompt.BOX, BOXES, BOXED)],
)
def test_what_is_shown_of_a_finding(
    prompt: Prompt, boxes: Mapping[str, Any] | None, findings: Any, case: RunnableCase, tmp_path: Path
) -> None:
    """Text always; the category for structured text alone; boxes for box prompts alone. The same for both verbs."""
    given = predicting_case(case, prompt, boxes=boxes, mask_flip=(1,), granted_truth=False)
    assert _line(given, tmp_path) == {**GRID, "ct": "ct/train_1_a_1.nii.gz", "findings": findings}
    assert given.mounts == (Mount(case.ct.resolve(), "ct/train_1_a_1.nii.gz"),)
    given = training_case(case, prompt, boxes=boxes, mask_flip=(1,))
    assert _line(given, tmp_path) == {
        **GRID,
        "ct": "ct/train_1_a_1.nii.gz",
        "findings": findings,
        "split": "train",
        "seg": "seg/train_1_a_1.nii",
        "seg_flip": [1],
    }
    assert given.mounts == (
        Mount(case.ct.resolve(), "ct/train_1_a_1.nii.gz"),
        Mount(case.truth.resolve(), "seg/train_1_a_1.nii"),
    )


def test_without_a_flip_nothing_is_said_of_one(case: RunnableCase, tmp_path: Path) -> None:
    """Masks that lie as stored have no `seg_flip` and no `truth_flip`."""
    assert "seg_flip" not in _line(training_case(case, Prompt.TEXT, boxes=None, mask_flip=()), tmp_path)
    granted = predicting_case(case, Prompt.TEXT, boxes=None, mask_flip=(), granted_truth=True)
    assert "truth_flip" not in _line(granted, tmp_path)


def test_only_the_grant_shows_the_truth(case: RunnableCase, tmp_path: Path) -> None:
    """Under the test-only grant the ground truth is named and mounted, with its flip."""
    given = predicting_case(case, Prompt.TEXT, boxes=None, mask_flip=(0, 1), granted_truth=True)
    assert _line(given, tmp_path) == {
        **GRID,
        "ct": "ct/train_1_a_1.nii.gz",
        "findings": TEXTS,
        "truth": "truth/train_1_a_1.nii",
        "truth_flip": [0, 1],
    }
    assert given.mounts[1:] == (Mount(case.truth.resolve(), "truth/train_1_a_1.nii"),)


@pytest.mark.parametrize("split", ["val", "valid", "validation"])
def test_a_training_has_two_splits(split: str, case: RunnableCase, tmp_path: Path) -> None:
    """Whatever is not the train split is `val` to a container, however the data set calls it."""
    other = RunnableCase(case.id, split, case.findings, case.ct, case.truth)
    assert _line(training_case(other, Prompt.TEXT, boxes=None, mask_flip=()), tmp_path)["split"] == "val"


def test_categories_are_for_structured_text_alone() -> None:
    """Free text and boxes are measured without the category."""
    assert [prompt for prompt in Prompt if categories_shown(prompt)] == [Prompt.STRUCTURED_TEXT]


def test_the_job_of_a_prediction(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every field is there, in order, one a line."""
    monkeypatch.setattr("harness.sandbox.job.usable_cores", lambda: 64)
    write_job(tmp_path / "job", make(Variant("zero-shot", params={"size": 8, "name": "ä"}), cpus=2.5), [])
    assert (tmp_path / "job" / "job.json").read_text(encoding="utf-8") == (
        '{\n "checkpoint": false,\n "contract": 1,\n "devices": [\n  "cpu"\n ],\n "memory_mb": 4096,\n'
        ' "model": "m",\n "params": {\n'
        '  "name": "ä",\n  "size": 8\n },\n "seed": 0,\n "threads": 3,\n "variant": "zero-shot",\n'
        ' "verb": "predict",\n "weights": "none"\n}\n'
    )
    assert (tmp_path / "job" / "cases.jsonl").read_text() == ""


def test_the_job_of_a_training() -> None:
    """GPUs are numbered as inside the container."""
    job = make(Variant("v", fine_tuned=True), verb="finetune", seed=7, gpus=2, weights="pinned")
    assert job.model_dump() == {
        "contract": 1, "verb": "finetune", "model": "m", "variant": "v", "seed": 7, "devices": ["cuda:0", "cuda:1"],
        "threads": 1, "params": {}, "weights": "pinned", "checkpoint": False, "memory_mb": 4096,
    }  # fmt: skip


@pytest.mark.parametrize(("cpus", "cores", "threads"), [(0.5, 8, 1), (4.0, 8, 4), (4.2, 8, 5), (64.0, 8, 8), (2, 1, 1)])
def test_threads_are_the_cpu_limit_rounded_up(
    cpus: float, cores: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never more than the machine has cores, never none."""
    monkeypatch.setattr("harness.sandbox.job.usable_cores", lambda: cores)
    assert make(Variant("v"), cpus=cpus).threads == threads


@pytest.fixture(params=[0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Any:
    """Work under a usual and under a careful umask."""
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_the_folder_is_new_and_shut(tmp_path: Path, case: RunnableCase) -> None:
    """Nothing of an earlier container is left; other users see nothing; the container's user reads its job."""
    root = tmp_path / "shards" / "0-1"
    (root / "out" / "left").mkdir(parents=True)
    write_job(root, make(Variant("v")), [training_case(case, Prompt.TEXT, boxes=None, mask_flip=())])
    assert sorted(path.name for path in root.iterdir()) == ["cases.jsonl", "job.json", "out"]
    assert list((root / "out").iterdir()) == []
    assert stat.S_IMODE(root.stat().st_mode) & 0o077 == 0
    for name in ("job.json", "cases.jsonl"):
        assert stat.S_IMODE((root / name).stat().st_mode) == 0o644
