"""What a training depends on: nothing more than before, but for variants that are prompted with boxes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from harness.dataset import open_dataset
from harness.images.build import Image
from harness.registry.declaration import Model, Prompt, Variant
from harness.registry.discovery import Plugin
from harness.runs.plan import RunRequest
from harness.runs.run_weights import Loaded
from harness.runs.training.finetune import TrainingPlan, training_cases

if TYPE_CHECKING:
    from harness.dataset import Dataset


def _plan(prompt: Prompt) -> TrainingPlan:
    variant = Variant("v", prompt=prompt, fine_tuned=True, params={"size": 8})
    plugin = Plugin(Model("m", "M", "A model.", "1", Path("/"), variants=(variant,)), "here")
    request = RunRequest(plugin, variant, cast("Dataset", None), "test", "mlhc2025", seed=3)
    image = Image(id="sha256:1", tag="m:1", size=1, device="cpu")
    return TrainingPlan(request, image, Loaded(), (), {"train": "a", "val": "b"})


@pytest.mark.parametrize("prompt", [Prompt.TEXT, Prompt.STRUCTURED_TEXT])
def test_the_key_of_a_training_by_text_stays(prompt: Prompt) -> None:
    """Checkpoints that were trained before boxes were known to trainings are found again."""
    plan = _plan(prompt)
    assert plan.identity == {
        "contract": 1, "verb": "finetune", "plugin": "m", "plugin_version": "1", "variant": "v", "params": {"size": 8},
        "weights": {"mode": "none", "files": {}}, "image": "sha256:1", "fingerprints": {"train": "a", "val": "b"},
        "seed": 3,
    }  # fmt: skip
    assert plan.key == "adb34b176d99c35e8793d2f808ccef5fea22517f568b4438ab86ed9ec7f3cd28"


def test_the_rule_of_its_boxes_is_part_of_a_training() -> None:
    """A training with boxes by another rule, or one that had none, is another training."""
    with_boxes, without = _plan(Prompt.BOX), _plan(Prompt.TEXT)
    assert "version 1" in with_boxes.identity["boxes"]
    assert {**without.identity, "boxes": with_boxes.identity["boxes"]} == with_boxes.identity
    assert with_boxes.key != without.key


def test_the_order_of_the_index_decides_no_sample(splits_writer: Callable[..., Path], tmp_path: Path) -> None:
    """The key does not see how the index is sorted, so the cases come by name: numbers by value, train before val."""
    data = splits_writer(tmp_path / "data", lambda n: f"toy_{3 * n}_a_1")
    orders = []
    for turned in (False, True):
        index = json.loads((data / "dataset.json").read_text())
        if turned:
            index = {split: index[split][::-1] for split in reversed(index)}
            (data / "dataset.json").write_text(json.dumps(index))
        request = replace(_plan(Prompt.TEXT).request, dataset=open_dataset(data))
        orders.append([case.id for case in training_cases(request)])
    assert orders[0] == orders[1] == ["toy_3_a_1", "toy_6_a_1", "toy_9_a_1", "toy_12_a_1", "toy_15_a_1"]
