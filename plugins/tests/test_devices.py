"""Where several processes train together, each adapter puts all that it has on the GPU of its own process.

No GPU is needed: torch and the models stand behind their own interfaces, and only what they are told is looked at.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

PLUGINS = Path(__file__).resolve().parents[1]
SDK = ("torch_training", "torch_weights", "torch_text_training")

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
    training_loop, texts = (sys.modules[f"groundbench_sdk.torch_{name}"] for name in ("training", "text_training"))
    training_loop.settle = lambda job: job.devices[1]  # type: ignore[attr-defined]
    (declared,) = [v for v in _model(plugin).variants if v.name == variant]
    job = SimpleNamespace(
        params=declared.params, devices=["cuda:0", "cuda:1"], threads=1, seed=0, checkpoint=None,
        weights_mode="random", weights=tmp_path,
    )  # fmt: skip
    model = kind()
    model.load(job)
    model.network.to.assert_called_once_with("cuda:1")
    model.finetune([], [], SimpleNamespace(rank=1, world=2, state=tmp_path))
    assert texts.fit_texts.call_args.args[0] is model
    assert model.device == "cuda:1"
    told = [call for name in REPLACED for call in sys.modules[name].mock_calls]
    assert told
    assert "cuda:0" not in repr(told)


def _model(plugin: str) -> Any:
    from harness.registry.discovery import discover

    return discover(()).get(plugin.replace("_", "-")).model
