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
from groundbench_sdk.text_models import TextModel
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


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        globals()[sys.argv[1]](Path(home))
