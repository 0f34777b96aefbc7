"""Checks of the base of text-prompted models, in an image that has torch: loading, training, and what is delivered."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from groundbench_sdk import Job, Training
from groundbench_sdk.events import Events
from groundbench_sdk.slice_models import SliceModel
from groundbench_sdk.text_models import TextModel
from groundbench_sdk.volume_models import PatchModel
from torch import nn

PARAMS = {"steps": 8, "batch": 1, "validations": 8, "schedule": "constant", "rate": 0.1, "decay": 0.0}


class Rows(TextModel):
    """A model whose one weight is the fraction of a row that it marks; each sample draws it towards 0."""

    tokenizer_files = "toy--"

    def build(self, tokenizer: Path | None) -> nn.Module:
        self.words = None if tokenizer is None else (tokenizer / "words.txt").read_text()
        return nn.Linear(1, 1, bias=False)

    def load_weights(self, folder: Path) -> None:
        nn.init.constant_(self.network.weight, float((folder / "weight.txt").read_text()))

    def parameter_groups(self) -> list[Any]:
        return [{"params": list(self.network.parameters()), "betas": (0.0, 0.0)}]  # steps of exactly the rate

    def predict(self, case: Any) -> Iterator[tuple[str, np.ndarray]]:
        marked = np.arange(16) < 16 * self.network.weight.item()
        for finding in case.findings:
            yield finding.id, marked[:, None, None]

    def samples(self, train: Any, training: Training) -> Any:
        return len(train), lambda _, __: np.ones(1, np.float32)

    def loss(self, module: nn.Module, samples: list[Any]) -> dict[str, torch.Tensor]:
        return {"size": module(self.tensor(samples)).mean()}


def _loaded(folder: Path, weights: str, **fields: Any) -> Rows:
    (folder / "weight.txt").write_text("1.0")
    (folder / "toy--words.txt").write_text("words")
    model = Rows()
    model.load(Job("predict", "m", "v", 3, ["cpu"], 1, PARAMS, folder, weights, **fields))
    return model


def check_published_weights_come_with_their_tokenizer(folder: Path) -> None:
    """Without ``--weights random`` both are read, the tokenizer's files under their own names."""
    model = _loaded(folder, "pinned")
    assert (model.network.weight.item(), model.words) == (1.0, "words")
    assert not model.network.training


def check_random_weights_follow_from_the_seed(folder: Path) -> None:
    """Neither weights nor tokenizer are read, and the same job draws the same."""
    first, second = _loaded(folder, "random"), _loaded(folder, "random")
    assert first.words is None
    assert first.network.weight.item() == second.network.weight.item() != 1.0


def check_the_best_weights_are_delivered_and_loaded(folder: Path) -> None:
    """Not the last weights, but those with which `predict` came closest to the truth of the validation case."""
    model = _loaded(folder, "pinned")
    labels = np.zeros((1, 16, 1, 1), np.uint8)
    labels[0, :8] = 1
    val = SimpleNamespace(findings=[SimpleNamespace(id="f", text="")], labels=lambda: labels)
    model.finetune([None] * 4, [val], Training(folder, Events(folder)))  # type: ignore[list-item]
    assert abs(model.network.weight.item() - 0.2) < 1e-5, "eight steps of 0.1 from 1"
    again = _loaded(folder, "pinned", checkpoint=folder / "checkpoint")
    assert abs(again.network.weight.item() - 0.5) < 1e-5, "half of the row is the truth"


class Product(SliceModel):
    """Multiplies pictures by a matrix, and notes in which precision."""

    def build(self, tokenizer: Path | None) -> nn.Module:
        network: Any = nn.Linear(32, 32, bias=False)
        network.max_tokens, network.count_tokens, network.encode_text = 9, len, str
        network.encode_image = lambda pictures: torch.from_numpy(pictures[:, 0]).float()
        self.seen: list[tuple[torch.dtype, str]] = []
        return network

    def picture(self, hu: np.ndarray, square: Any) -> np.ndarray:
        return square.fit(hu).astype(np.uint8)

    def segment(self, features: Any, text: Any, first: int) -> np.ndarray:
        found = self.network(features)
        self.seen.append((found.dtype, torch.get_float32_matmul_precision()))
        return np.asarray(found.float().numpy())


def check_a_network_computes_in_the_declared_precision(folder: Path) -> None:
    """As it is unless declared; in TF32 or bfloat16 while it predicts, and not beyond that."""
    params = {**PARAMS, "image_size": 32, "slices_at_once": 2, "threshold": 0.5}
    finding = SimpleNamespace(id="0", text="a")
    ct = np.arange(32 * 32 * 2, dtype=np.int16).reshape(32, 32, 2) % 200
    case: Any = SimpleNamespace(affine=np.diag([-1, -1, 1, 1]), findings=[finding], volume=lambda *_, **__: ct)
    seen, masks = {}, {}
    for name in ("", "float32", "tf32", "bf16"):
        model = Product()
        asked = {**params, "precision": name} if name else params
        model.load(Job("predict", "m", "v", 3, ["cpu"], 1, asked, folder, "random"))
        ((_, masks[name]),) = model.predict(case)
        (seen[name],) = set(model.seen)
        assert torch.get_float32_matmul_precision() == "highest"
        assert not torch.is_autocast_enabled("cpu")
    plain = (torch.float32, "highest")
    assert seen == {"": plain, "float32": plain, "tf32": (torch.float32, "high"), "bf16": (torch.bfloat16, "highest")}
    assert np.array_equal(masks[""], masks["float32"])
    assert masks[""].any()


class Blocks(PatchModel):
    """One convolution along three axes and one along two."""

    def build(self, tokenizer: Path | None) -> nn.Module:
        return nn.ModuleDict({"solid": nn.Conv3d(4, 4, 3, padding=1), "flat": nn.Conv2d(4, 4, 3)})


def check_weights_are_laid_out_as_declared(folder: Path) -> None:
    """Channels last where a variant says so, for convolutions along three axes; the result is the same but rounded."""
    found = []
    image = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 4, 8, 8, 8)).astype(np.float32))
    for last in (False, True):
        model = Blocks()
        model.load(Job("predict", "m", "v", 3, ["cpu"], 1, {"channels_last": last}, folder, "random"))
        weight = model.network["solid"].weight
        assert weight.is_contiguous(memory_format=torch.channels_last_3d) is last
        assert model.network["flat"].weight.is_contiguous()
        found.append(model.network["solid"](image))
    assert torch.allclose(*found, atol=1e-5)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        globals()[sys.argv[1]](Path(home))
