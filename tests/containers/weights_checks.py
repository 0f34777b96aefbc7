"""Checks of released weights and of what text-prompted trainings share, run where torch is."""

from __future__ import annotations

import pickle
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from groundbench_sdk.events import Events
from groundbench_sdk.finetuning import Training
from groundbench_sdk.records import Rejected
from groundbench_sdk.torch_text_training import dices, fit_texts, pairs_of, recipe_of
from groundbench_sdk.torch_training import load_checkpoint
from groundbench_sdk.torch_weights import fill, gather, read_state
from torch import nn


@contextmanager
def _rejects(*words: str) -> Iterator[None]:
    """Fail unless the block is refused with all of `words`."""
    try:
        yield
    except Rejected as raised:
        missing = [word for word in words if word not in str(raised)]
        if missing:
            raise AssertionError(f"it says {raised}, not {missing}") from raised
    else:
        raise AssertionError(f"nothing was refused; expected: {words}")


def _saved(folder: Path, content: Any) -> Path:
    path = folder / "weights.pt"
    torch.save(content, str(path))
    return path


def check_weights_are_found_below_a_key_and_without_their_wrapper(folder: Path) -> None:
    """The first key that is there counts; a prefix goes only where every name has it; what is no tensor goes."""
    state = {"module.a": torch.ones(2), "module.b": torch.zeros(1)}
    for content in (state, {"model": state}, {"epoch": 3, "model": {**state, "module.note": "x"}}):
        found = read_state(_saved(folder, content), "absent", "model")
        assert sorted(found) == ["a", "b"], found
    mixed = read_state(_saved(folder, {"module.a": torch.ones(2), "b": torch.ones(1)}))
    assert sorted(mixed) == ["b", "module.a"]


def check_scalars_of_numpy_are_data(folder: Path) -> None:
    """Trainers keep their best score as a scalar of numpy beside the weights."""
    best = {"best": np.float64(0.5), "at": np.int64(3), "model": {"a": torch.ones(1)}}
    assert list(read_state(_saved(folder, best), "model")) == ["a"]


class _Boom:
    def __reduce__(self) -> Any:
        return exec, ("open('/tmp/boom', 'w').close()",)


def check_a_pickle_that_runs_code_is_refused(folder: Path) -> None:
    """Nothing of it runs, whether torch wrote it or pickle did, and whether it is weights at all."""
    with _rejects("weights.pt cannot be read as plain data"):
        read_state(_saved(folder, {"model": {"a": torch.ones(1)}, "more": _Boom()}), "model")
    path = folder / "weights.pt"
    for content in (pickle.dumps(_Boom()), b"", b"version https://git-lfs", b"PK\x03\x04 cut off"):
        path.write_bytes(content)
        with _rejects("weights.pt cannot be read as plain data"):
            read_state(path)
    assert not Path("/tmp/boom").exists()  # noqa: S108 - a container's own
    path.unlink()
    with _rejects("weights.pt are not here"):
        read_state(path)


def check_what_holds_no_weights_is_refused(folder: Path) -> None:
    """A list or a lone tensor is data, but no weights by name."""
    for content in ([torch.ones(1)], torch.ones(1), {"model": [1, 2]}):
        with _rejects("holds no weights by name"):
            read_state(_saved(folder, content), "model")


def check_every_weight_finds_its_place(folder: Path) -> None:
    """What is unknown, missing or of another shape is an error with counts and names; nothing is loaded then."""
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    whole = {name: torch.full_like(value, 7.0) for name, value in net.state_dict().items()}
    for wrong, words in (
        ({**whole, "2.weight": torch.ones(1)}, ("of 4 names 4 match", "1 unknown: 2.weight")),
        ({name: whole[name] for name in list(whole)[1:]}, ("of 4 names 3 match", "1 missing: 0.weight")),
        ({**whole, "1.bias": torch.ones(2)}, ("of 4 names 3 match", "1 of another shape: 1.bias")),
    ):
        with _rejects(*words):
            fill(net, wrong)
    assert not any((value == 7).any() for value in net.state_dict().values())
    fill(net, whole)
    assert all((value == 7).all() for value in net.state_dict().values())


def check_declared_gaps_are_allowed(folder: Path) -> None:
    """Only the named ends of the file's names, and the named beginnings of the model's, may be without a partner."""
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    half = {name: torch.full_like(value, 7.0) for name, value in net.state_dict().items() if name.startswith("0.")}
    before = net[1].weight.clone()
    fill(net, {**half, "x.position_ids": torch.ones(1)}, surplus=("position_ids",), absent=("1.",))
    assert (net[0].weight == 7).all()
    assert torch.equal(net[1].weight, before)
    with _rejects("1 unknown: x.position_ids"):
        fill(net, {**half, "x.position_ids": torch.ones(1)}, absent=("1.",))


def check_files_lie_together_under_their_own_names(folder: Path) -> None:
    """Asked for twice, the links are the same; other files stay away."""
    weights = folder / "weights"
    weights.mkdir()
    for name in ("clip--vocab.json", "clip--merges.txt", "model.pt"):
        (weights / name).write_text(name)
    for _ in range(2):
        found = gather(weights, "clip--", folder / "clip")
        assert {path.name: path.read_text() for path in found.iterdir()} == {
            "vocab.json": "clip--vocab.json",
            "merges.txt": "clip--merges.txt",
        }


def _case(*texts: str, labels: Any = None) -> Any:
    findings = [SimpleNamespace(id=f"f{number}", text=text) for number, text in enumerate(texts)]
    return SimpleNamespace(findings=findings, labels=lambda: labels)


def check_every_finding_is_a_sample(folder: Path) -> None:
    """In order, cases without findings left out, each with its own text."""
    pairs = pairs_of([_case("a", "b"), _case(), _case("c")])
    assert [(pair.number, pair.text) for pair in pairs] == [(0, "a"), (1, "b"), (0, "c")]


def check_a_recipe_counts_steps_or_epochs(folder: Path) -> None:
    """Steps as told; else passes over the samples, rounded up; the warm-up is a share; at least one validation."""
    told = recipe_of({"steps": 40, "batch": 2, "warmup": 0.05, "validations": 10, "epochs": 7}, 100, 2)
    assert (told.steps, told.warmup, told.validate_every, told.report_every) == (40, 2, 4, 10)
    counted = recipe_of({"steps": 0, "epochs": 3, "batch": 2, "accumulate": 2}, 10, 2, clip_norm=5.0)
    assert (counted.steps, counted.validate_every, counted.clip_norm) == (4, 4, 5.0)  # 30 samples by 8 a step
    assert recipe_of({"steps": 1, "batch": 1, "validations": 0}, 1, 1).report_every == 1
    with _rejects("neither the parameter steps nor epochs"):
        recipe_of({"steps": 0, "epochs": 0, "batch": 1}, 10, 1)


def check_dice_of_each_finding(folder: Path) -> None:
    """Against the set formula; entities count as one finding, both empty is 1, one empty is 0."""
    labels = np.zeros((3, 4, 4, 2), np.uint8)
    labels[0, :2], labels[0, 0, 0] = 1, 2
    labels[1, 3] = 1
    masks = np.zeros((3, 4, 4, 2), bool)
    masks[0, 1:3] = True
    found = dices(_case("a", "b", "c", labels=labels), ((f"f{number}", masks[number]) for number in range(3)))
    assert found == [0.5, 0.0, 1.0], found


class _Shares:
    """An adapter whose one number is the share of a row that it marks; it is drawn towards 0."""

    def __init__(self) -> None:
        self.network, self.device = nn.Linear(1, 1, bias=False), "cpu"
        nn.init.ones_(self.network.weight)
        self.job = SimpleNamespace(seed=3, params={"steps": 8, "batch": 1, "validations": 8})

    def predict(self, case: Any) -> Iterator[tuple[str, np.ndarray]]:
        marked = np.arange(16) < 16 * self.network.weight.item()
        for finding in case.findings:
            yield finding.id, marked[:, None, None]


def check_the_checkpoint_is_what_predicted_best(folder: Path) -> None:
    """Not the last weights, but those under which `predict` came closest to the truth of the validation cases."""
    labels = np.zeros((1, 16, 1, 1), np.uint8)
    labels[0, :8] = 1
    adapter = _Shares()
    fit_texts(
        adapter,
        torch.optim.SGD(adapter.network.parameters(), lr=0.1),
        n_train=4,
        sample=lambda index, _: float(index),
        loss=lambda module, samples: {"size": module(torch.ones(len(samples), 1)).mean()},
        val=[_case("a", labels=labels)],
        training=Training(folder, Events(folder)),
        schedule="constant",
    )
    assert abs(adapter.network.weight.item() - 0.2) < 1e-6, "eight steps of 0.1 from 1"
    load_checkpoint(adapter.network, folder / "checkpoint")
    assert abs(adapter.network.weight.item() - 0.5) < 1e-6, "half of the row is the truth"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        globals()[sys.argv[1]](Path(home))
