"""Where several processes train together, each adapter puts everything on the GPU of its own process.

No GPU is needed: torch and the models are replaced at their own interfaces, and only the calls to them are checked.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

PLUGINS = Path(__file__).resolve().parents[1]
SDK = ("torch_training", "torch_weights")

#: Modules that need torch: its own, the SDK's, and those of the models.
REPLACED = ("torch", *(f"groundbench_sdk.{name}" for name in SDK), "network", "model", "language")


@pytest.mark.parametrize(
    ("plugin", "adapter", "variant"),
    [
        ("biomedparse", "BiomedParse", "fine-tuned"),
        ("biomedparse_v2", "BiomedParseV2", "fine-tuned"),
        ("medsam2_text", "MedSam2Text", "fine-tuned"),
        ("sat", "SAT", "fine-tuned"),
        ("segvol", "SegVol", "text-fine-tuned"),
        ("voxtell", "VoxTell", "fine-tuned"),
    ],
)
def test_every_process_has_its_own_device(
    plugin: str, adapter: str, variant: str, load_plugin: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The second of two processes never names the first one's GPU: neither for a model nor for the loop."""
    kind = getattr(load_plugin(PLUGINS / plugin), adapter)
    for name in REPLACED:
        monkeypatch.setitem(sys.modules, name, MagicMock(name=name))
    training_loop: Any = sys.modules["groundbench_sdk.torch_training"]
    training_loop.setup_device = lambda job: job.devices[1]
    (declared,) = [v for v in _model(plugin).variants if v.name == variant]
    job = SimpleNamespace(
        params={**declared.params, "steps": 1}, devices=["cuda:0", "cuda:1"], threads=1, seed=0, checkpoint=None,
        weights_mode="random", weights=tmp_path,
    )  # fmt: skip
    from groundbench_sdk.recipe import Recipe

    of_params = Recipe.from_params  # nothing is read here, so that there is no sample; the recipe takes it for one
    monkeypatch.setattr(Recipe, "from_params", lambda params, _: of_params(params, 1))
    model = kind()
    model.load(job)
    model.network.to.assert_called_once_with("cuda:1")
    model.finetune([], [], SimpleNamespace(rank=1, world_size=2, state=tmp_path))
    assert training_loop.fit.call_args.args[0] is model.network
    assert training_loop.fit.call_args.kwargs["device"] == model.device == "cuda:1"
    calls = [call for name in REPLACED for call in sys.modules[name].mock_calls]
    assert calls
    assert "cuda:0" not in repr(calls)


def _model(plugin: str) -> Any:
    from harness.registry.discovery import discover

    return discover(()).get(plugin.replace("_", "-")).model
