"""What a training may use: what its model declares, and where it runs reduced no more than predicting."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from harness.images.build import Image
from harness.registry.declaration import Model, Variant
from harness.registry.discovery import Plugin
from harness.registry.resources import Resources
from harness.runs.plan import RunRequest
from harness.runs.run_weights import Loaded
from harness.runs.training.finetune import TrainingPlan

if TYPE_CHECKING:
    from harness.dataset import Dataset

PREDICT = Resources(memory_gb=16, cpus=4.0, shm_gb=0.25, out_gb=1)
TRAIN = Resources(memory_gb=64, cpus=2.0, shm_gb=8, out_gb=50, stall_minutes=120)


def _limits(weights: str, *, reduced: bool, training: Resources | None = TRAIN) -> Resources:
    params = {"size": 256}
    variant = Variant("v", fine_tuned=True, params=params, reduced={"size": 8} if reduced else {})
    model = Model("m", "M", "A model.", "1", Path("/"), variants=(variant,), resources=PREDICT, training=training)
    request = RunRequest(Plugin(model, "here"), variant, cast("Dataset", None), "test", "mlhc2025", weights=weights)
    return TrainingPlan(request, cast("Image", None), Loaded(), ()).resources


@pytest.mark.parametrize(("weights", "reduced"), [("pinned", True), ("/a/folder", True), ("random", False)])
def test_a_whole_training_gets_what_is_declared(weights: str, *, reduced: bool) -> None:
    """Only both together, random weights and reduced parameters, make a training small."""
    assert _limits(weights, reduced=reduced) == TRAIN


def test_a_reduced_training_fits_where_the_model_predicts() -> None:
    """Memory, shared memory and CPUs are the smaller ones of both; what it may leave and its silence stay."""
    limits = _limits("random", reduced=True)
    assert (limits.memory_mb, limits.shm_mb, limits.cpus) == (16_384, 256, 2.0)
    assert (limits.out_mb, limits.stall_timeout_s) == (51_200, 7200.0)


def test_without_a_declaration_training_is_like_predicting() -> None:
    """A model that declares no limits for training has one set of them."""
    assert _limits("random", reduced=True, training=None) == PREDICT
