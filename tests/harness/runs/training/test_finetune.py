"""What a training depends on: nothing more than before, but for variants that are prompted with boxes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from harness.images.build import Image
from harness.registry.declaration import Model, Prompt, Variant
from harness.registry.discovery import Plugin
from harness.runs.plan import RunRequest
from harness.runs.run_weights import Loaded
from harness.runs.training.finetune import TrainingPlan

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
