"""Checks of trainings by several processes, run where torch is: the number of them is no part of a recipe."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

#: A net with a running mean, dropout, a frozen and an unused part, an infinite buffer, one layer under two names, and a
#: loss that is not a mean over samples: what is in a pass matters. No bias before the normalisation: its gradient is
#: the rounding error of 0, which Adam would magnify.
ADAPTER = """
import os, signal, sys, time
import numpy as np
import torch
from torch import nn
from groundbench_sdk import Adapter
from groundbench_sdk.recipe import Recipe
from groundbench_sdk.torch_training import fit, setup_device

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm, self.drop = nn.Linear(4, 8, bias=False), nn.BatchNorm1d(8), nn.Dropout(0.2)
        self.last, self.frozen, self.unused = nn.Linear(8, 1), nn.Linear(2, 2), nn.Linear(3, 3)
        self.again = self.last
        self.frozen.requires_grad_(requires_grad=False)
        self.register_buffer("mask", torch.tensor([0.0, -float("inf")]))

    def forward(self, x):
        return self.again(self.drop(torch.tanh(self.norm(self.first(x)))))

class Mine(Adapter):
    def load(self, job):
        self.params, self.device = job.params, setup_device(job)
        torch.manual_seed(1)
        self.net = Net()

    def finetune(self, train, val, training):
        p = self.params
        done = 0

        def sample(index, rng):
            return np.float32(rng.normal(index % 5, 1, 4))

        def loss(module, samples):
            nonlocal done
            done += 1
            if p.get("end_in") == "step" and training.rank == 0 and done == 9:
                (training.state.parent / "here").touch()
                time.sleep(p["slow_s"])
            y = module(torch.from_numpy(np.stack(samples)))
            return {"square": (y ** 2).mean(), "spread": (y.max() - y.min()) / 100}

        def validate(module, numbers):
            if p.get("end_in") == "validation" and list(numbers)[0] >= 4:
                (training.state.parent / "here").touch()
                time.sleep(p["slow_s"])
            with (training.state.parent / "measured").open("a") as file:
                file.write("".join(f"{number} " for number in numbers))
            y = module(torch.ones(1, 4)) + torch.rand(1) / 10
            return [float(torch.sigmoid(y.sum() + number)) for number in numbers]

        recipe = Recipe(
            steps=20, batch=8, at_once=p.get("at_once", 2), warmup=3, clip_norm=0.5, validate_every=7, report_every=1,
            workers=p.get("workers", 0),
        )
        trained = [one for one in self.net.parameters() if one.requires_grad]
        optimiser = torch.optim.AdamW(trained, lr=0.01, weight_decay=0.1, eps=1e-3)
        fit(self.net, optimiser, recipe=recipe, n_train=13, sample=sample, loss=loss, training=training, seed=5,
            device=self.device, n_val=6, validate=validate)
        # In one write: what several processes print without a buffer may mix.
        sys.stdout.write(f"BUFFERS {training.rank} {self.net.norm.running_mean.tolist()}\\n")
        sys.stdout.flush()
"""


def _bench(folder: Path, processes: int, **params: Any) -> Path:
    """Write a ``/bench``, or the job anew of one that has been trained in, whose state is kept."""
    root = folder / "bench"
    (root / "out").mkdir(parents=True, exist_ok=True)
    job = {"contract": 1, "verb": "finetune", "model": "m", "variant": "v", "seed": 5, "devices": ["cpu"], "threads": 4}
    (root / "job.json").write_text(json.dumps({**job, "params": {"processes": processes, **params}}))
    (root / "cases.jsonl").write_text("")
    (folder / "adapter.py").write_text(ADAPTER)
    for name in ("events.jsonl", "here"):
        (root / "out" / name).unlink(missing_ok=True)
    return root


def _start(root: Path) -> subprocess.Popen[str]:
    path = os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(root.parent)])
    environment = {**os.environ, "BENCH_ROOT": str(root), "PYTHONPATH": path}
    return subprocess.Popen(
        [sys.executable, "-m", "groundbench_sdk", "adapter:Mine"], env=environment, cwd=str(root.parent),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def _train(folder: Path, processes: int, **params: Any) -> tuple[Path, str]:
    """Train to the end; return the output folder, and what was printed."""
    folder.mkdir(exist_ok=True)
    root = _bench(folder, processes, **params)
    running = _start(root)
    printed, said = running.communicate(timeout=300)
    assert running.returncode == 0, said
    return root / "out", printed


def _stop(root: Path, *, within_s: float) -> None:
    """Ask a training to end when it says that it is there, and wait for its end."""
    running = _start(root)
    deadline = time.monotonic() + 120
    while not (root / "out" / "here").exists():
        assert time.monotonic() < deadline
        assert running.poll() is None, running.communicate()[1]
        time.sleep(0.05)
    time.sleep(0.5)
    asked = time.monotonic()
    running.send_signal(signal.SIGTERM)
    _, said = running.communicate(timeout=120)
    assert running.returncode != 0, said
    assert time.monotonic() - asked < within_s, (time.monotonic() - asked, said)


def _trains(out: Path) -> list[dict[str, Any]]:
    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    return [event for event in events if event["event"] == "train"]


def _warnings(out: Path) -> list[str]:
    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    return [event["text"] for event in events if event["event"] == "warning"]


def _weights(out: Path) -> dict[str, torch.Tensor]:
    return dict(torch.load(str(out / "checkpoint" / "model.pt"), weights_only=True))


def _same(out: Path, other: Path, *, since: int = 0) -> None:
    """Fail unless two trainings had the same steps, losses within 1e-5, Dice and weights."""
    one, two = ([event for event in _trains(found) if event["step"] > since] for found in (out, other))
    assert [(event["step"], event["epoch"]) for event in one] == [(event["step"], event["epoch"]) for event in two]
    for event, again in zip(one, two, strict=True):
        assert event["losses"].keys() == again["losses"].keys() == {"square", "spread"}
        for name, value in event["losses"].items():
            assert abs(again["losses"][name] - value) < 1e-5, (event, again)
        assert abs(event.get("val_dice", 0) - again.get("val_dice", 0)) < 1e-5, (event, again)
    mine, others = _weights(out), _weights(other)
    assert mine.keys() == others.keys()
    for name, value in mine.items():
        if name != "mask":
            assert torch.allclose(others[name].double(), value.double(), atol=1e-5), name
    assert mine["mask"].tolist() == others["mask"].tolist() == [0.0, -float("inf")]


def check_one_two_and_four_processes_train_the_same(folder: Path) -> None:
    """Schedule, samples, losses, Dice, weights and running means."""
    one, _ = _train(folder / "1", 1)
    assert "again.weight" not in _weights(one), "a layer with two names is delivered under one"
    assert not {name for name in _weights(one) if "frozen" in name}
    assert int(_weights(one)["norm.num_batches_tracked"]) in {7, 14, 20}  # one a step, whatever the passes
    for processes in (2, 4):
        several, printed = _train(folder / str(processes), processes, workers=processes == 2)
        _same(one, several)
        lines = [line.split(maxsplit=2) for line in printed.splitlines() if line.startswith("BUFFERS")]
        assert sorted(rank for _, rank, _ in lines) == [str(rank) for rank in range(processes)]
        assert len({values for _, _, values in lines}) == 1, "all processes end with the same running mean"
        assert not _warnings(several)


def check_a_process_without_a_pass_changes_nothing(folder: Path) -> None:
    """Three processes share four passes unequally; of two with one pass the second only validates, and that is told."""
    _same(_train(folder / "1", 1)[0], _train(folder / "3", 3)[0])
    alone, idle = (_train(folder / f"whole-{processes}", processes, at_once=8)[0] for processes in (1, 2))
    _same(alone, idle)
    (warning,) = _warnings(idle)
    assert warning.startswith("a step has 1 of the 2 passes"), warning


def check_a_training_resumes_on_another_number_of_processes(folder: Path) -> None:
    """Ended in a step on one number and resumed on another, it goes on at the right sample."""
    whole, _ = _train(folder / "whole", 1)
    for first, then in ((1, 4), (4, 2)):
        place = folder / f"{first}-{then}"
        place.mkdir()
        _stop(_bench(place, first, end_in="step", slow_s=3), within_s=30)
        step = torch.load(str(place / "bench" / "out" / "state" / "training.pt"), weights_only=True)["step"]
        assert 0 < step < 20, step
        out, _ = _train(place, then)
        assert _trains(out)[0]["step"] == step + 1
        _same(whole, out, since=step)


def check_asked_to_end_within_a_validation(folder: Path) -> None:
    """It ends at once with its state saved; what was measured is not measured again, however many resume."""
    whole, _ = _train(folder / "whole", 1)
    _stop(_bench(folder, 2, end_in="validation", slow_s=60), within_s=20)
    out = folder / "bench" / "out"
    state = torch.load(str(out / "state" / "training.pt"), weights_only=True)
    assert (state["step"], state["validated"]) == (7, False)
    assert 0 < len((out / "measured").read_text().split()) < 6
    _train(folder, 4)
    measured = (out / "measured").read_text().split()
    assert sorted(measured[:6]) == list("012345"), measured  # once each, over both attempts
    assert len(measured) == 18
    assert _trains(out)[0]["step"] == 7  # the validation that was cut off is told when it is complete
    _same(whole, out, since=7)


def check_asked_to_end_in_a_step_longer_than_torchruns_patience(folder: Path) -> None:
    """A pass of 40 seconds is waited for; torchrun would kill its processes after 30."""
    _stop(_bench(folder, 2, end_in="step", slow_s=40), within_s=60)
    state = torch.load(str(folder / "bench" / "out" / "state" / "training.pt"), weights_only=True)
    assert state["step"] > 0


if __name__ == "__main__":
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        globals()[sys.argv[1]](Path(temporary))
