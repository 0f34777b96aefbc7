"""Checks of the training loop, run where torch is: inside an image. Each ``check_…`` fails by an exception."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import DEFAULT, patch

import numpy as np
import torch
from groundbench_sdk.events import Events
from groundbench_sdk.finetuning import Training, TrainingFailed
from groundbench_sdk.recipe import Recipe
from groundbench_sdk.records import Rejected
from groundbench_sdk.torch_state import State
from groundbench_sdk.torch_together import Together
from groundbench_sdk.torch_training import fit, load_checkpoint, samples_of_step
from torch import nn

#: What the little net has to find out.
TRUTH = torch.tensor([[2.0, -1.0, 0.5, 3.0]])


def _sample(index: int, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.from_numpy(rng.standard_normal(4).astype(np.float32)) + index / 10
    return x, TRUTH[0] @ x


def _loss(module: nn.Module, samples: list[Any]) -> dict[str, torch.Tensor]:
    x, y = (torch.stack(part) for part in zip(*samples, strict=True))
    return {"square": (module(x)[:, 0] - y).square().mean()}


def _net() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Dropout(0.1), nn.Linear(4, 1, bias=False))


def _distance(module: nn.Module) -> float:
    return float((module[1].weight - TRUTH).detach().abs().max())


def _fit(out: Path, recipe: Recipe, module: nn.Module | None = None, **changes: Any) -> nn.Module:
    module = module or _net()
    optimiser = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], lr=0.1, weight_decay=0.0)
    options: dict[str, Any] = {"n_train": 10, "sample": _sample, "loss": _loss, "seed": 5, **changes}
    out.mkdir(exist_ok=True)
    fit(module, optimiser, recipe=recipe, training=Training(out, Events(out)), **options)
    return module


@contextmanager
def _raises(kind: type[Exception], words: str) -> Iterator[None]:
    """Fail unless the block raises `kind` with `words` in its message."""
    try:
        yield
    except kind as raised:
        if words not in str(raised):
            raise AssertionError(f"it says {raised}, not {words}") from raised
    else:
        raise AssertionError(f"nothing was raised; expected: {words}")


def _events(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]


def _weights(out: Path) -> dict[str, torch.Tensor]:
    return dict(torch.load(str(out / "checkpoint" / "model.pt"), weights_only=True))


def check_learns(folder: Path) -> None:
    """The loop finds the weights, says so in events, and delivers them."""
    module = _fit(folder, Recipe(steps=300, batch=4, report_every=50, warmup=10, clip_norm=5.0))
    assert _distance(module) < 0.4, _distance(module)
    events = _events(folder)
    assert [event["step"] for event in events] == [50, 100, 150, 200, 250, 300]
    assert events[-1]["losses"]["square"] < events[0]["losses"]["square"]
    assert events[-1]["epoch"] == 120.0
    again = _net()
    load_checkpoint(again, folder / "checkpoint")
    assert torch.equal(again[1].weight, module[1].weight)


def check_killed_and_resumed_ends_the_same(folder: Path) -> None:
    """A training that is cut off at any step, and goes on, delivers the undisturbed one's weights to the last bit."""
    recipe = Recipe(steps=40, batch=4, at_once=2, save_every_s=0.0, schedule="cosine", warmup=5)
    _fit(folder / "whole", recipe)

    for stop in (1, 17, 39):
        seen = 0

        def loss(module: nn.Module, samples: list[Any], stop: int = stop) -> dict[str, torch.Tensor]:
            nonlocal seen
            seen += 1
            if seen > 2 * stop:
                raise InterruptedError
            return _loss(module, samples)

        out = folder / f"cut-{stop}"
        with _raises(InterruptedError, ""):
            _fit(out, recipe, loss=loss)
        assert not (out / "checkpoint").exists()
        _fit(out, recipe)
        for name, value in _weights(folder / "whole").items():
            assert torch.equal(_weights(out)[name], value), (stop, name)


def check_best_by_val_dice_is_delivered(folder: Path) -> None:
    """The weights of the best validation are delivered, not the last ones."""
    found: list[torch.Tensor] = []

    def validate(module: nn.Module, cases: Any) -> list[float]:
        assert not module.training
        measured.extend(cases)
        found.append(module[1].weight.detach().clone())
        return [0.9 if 3 < len(found) <= 6 else 0.2]

    measured: list[int] = []
    _fit(folder, Recipe(steps=40, validate_every=10), n_val=3, validate=validate)
    assert measured == [0, 1, 2] * 4
    assert torch.equal(_weights(folder)["1.weight"], found[3])
    dices = [event["val_dice"] for event in _events(folder) if "val_dice" in event]
    assert [round(dice, 6) for dice in dices] == [0.2, 0.9, 0.2, 0.2]


def check_frozen_parameters_stay_out(folder: Path) -> None:
    """A frozen encoder is neither trained nor delivered; a checkpoint without a trained weight is refused."""
    module = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1, bias=False))
    module[0].requires_grad_(requires_grad=False)
    before = module[0].weight.clone()
    _fit(folder, Recipe(steps=5), module)
    assert torch.equal(module[0].weight, before)
    assert list(_weights(folder)) == ["1.weight"]
    load_checkpoint(module, folder / "checkpoint")
    for wrong in (nn.Sequential(nn.Linear(4, 4), nn.Linear(5, 1)), nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1))):
        with _raises(Rejected, "does not fit this model"):
            load_checkpoint(wrong, folder / "checkpoint")
    with _raises(Rejected, "another plan"):
        load_checkpoint(module, folder)


def check_nan_loss_has_a_name(folder: Path) -> None:
    """A loss that is not finite ends training at that step, before a weight is touched by it."""

    def loss(module: nn.Module, samples: list[Any]) -> dict[str, torch.Tensor]:
        parts = _loss(module, samples)
        bad = parts["square"] * (float("nan") if (folder / "bad").exists() else 1.0)
        (folder / "bad").write_text("")
        return {**parts, "extra": bad}

    with _raises(TrainingFailed, "not finite at step 1: square"):
        _fit(folder, Recipe(steps=5, save_every_s=0.0), loss=loss)


def check_gradient_that_is_not_finite_is_never_saved(folder: Path) -> None:
    """It is caught before the step; what was saved before is finite, and a later attempt resumes from there."""

    def loss(module: nn.Module, samples: list[Any]) -> dict[str, torch.Tensor]:
        nonlocal seen
        seen += 1
        extra = torch.sqrt(module[1].weight.sum() * 0) if seen == 12 else 0.0  # a value of 0, a gradient of NaN
        return {"square": _loss(module, samples)["square"] + extra}

    seen = 0
    with _raises(TrainingFailed, "the gradient of a finite loss is not finite at step 11"):
        _fit(folder, Recipe(steps=20, validate_every=10), loss=loss, n_val=1, validate=lambda *_: [0.5])
    state = torch.load(str(folder / "state" / "training.pt"), weights_only=True)
    assert state["step"] == 10
    assert all(bool(value.isfinite().all()) for value in state["weights"].values())
    _fit(folder, Recipe(steps=20, validate_every=10), loss=loss, n_val=1, validate=lambda *_: [0.5])
    assert (folder / "checkpoint").is_dir()


def check_weights_that_are_not_finite_are_never_saved(folder: Path) -> None:
    """Neither as a state nor as the best weights nor as a checkpoint; an infinite buffer is no fault."""
    for recipe, more in ((Recipe(steps=3), {}), (Recipe(steps=3), {"n_val": 1, "validate": lambda *_: [0.5]})):
        module = _net()
        module.register_buffer("mask", torch.tensor(-float("inf")))

        def loss(module: nn.Module, samples: list[Any]) -> dict[str, torch.Tensor]:
            with torch.no_grad():  # as a rate that is far too large does, after a finite gradient
                module[1].weight[0, 0] = float("inf") if module.training else 0.0
            return {"zero": (module[1].weight[0, 1] - 1).square()}

        with _raises(TrainingFailed, "weights are not finite after step 3: 1.weight"):
            _fit(folder, recipe, module, loss=loss, **more)
        assert not list((folder / "state").glob("*.pt"))
        assert not (folder / "checkpoint").exists()


def check_of_equal_validations_the_last_is_delivered(folder: Path) -> None:
    """The weights that were trained longest; and a validation without a finding is refused."""
    for dice in (0.0, 0.4, 1.0):
        out = folder / str(dice)
        module = _fit(out, Recipe(steps=20, validate_every=5), n_val=2, validate=lambda *_, dice=dice: [dice])
        assert torch.equal(_weights(out)["1.weight"], module[1].weight)
    with _raises(TrainingFailed, "no validation case has a finding"):
        _fit(folder / "none", Recipe(steps=20, validate_every=5), n_val=2, validate=lambda *_: [])
    with _raises(TrainingFailed, "a validation must find a Dice from 0 to 1, not nan"):
        _fit(folder / "nan", Recipe(steps=20, validate_every=5), n_val=2, validate=lambda *_: [float("nan")])


def check_one_unreadable_sample_of_many_is_left_out(folder: Path) -> None:
    """Told once with its reason, the same with loader processes; the second of fifty, and one of ten, are too many."""

    def training(out: Path, n_train: int, *bad: int, workers: int = 0) -> None:
        def sample(index: int, rng: np.random.Generator) -> Any:
            if index in bad:
                raise ValueError(f"case-{index} ends early")
            return _sample(index, rng)

        _fit(out, Recipe(steps=60, batch=2, workers=workers), n_train=n_train, sample=sample)

    for workers in (0, 2):
        training(folder / str(workers), 50, 7, workers=workers)
        told = [event["text"] for event in _events(folder / str(workers)) if event["event"] == "warning"]
        assert told == ["sample 7 of 50 is left out: ValueError: case-7 ends early"], told
    assert torch.equal(_weights(folder / "0")["1.weight"], _weights(folder / "2")["1.weight"])
    with _raises(TrainingFailed, "2 of 50 samples failed; the last, "):
        training(folder / "two", 50, 7, 30)
    with _raises(ValueError, "case-7 ends early"):
        training(folder / "few", 10, 7)

    def validate(module: nn.Module, cases: Any) -> list[float]:
        if 3 in cases:
            raise ValueError("no CT")
        return [0.5]

    _fit(folder / "val", Recipe(steps=4, validate_every=2), n_val=50, validate=validate)
    told = [event["text"] for event in _events(folder / "val") if event["event"] == "warning"]
    assert told == ["validation case 3 of 50 is left out: ValueError: no CT"], told
    with _raises(ValueError, "no CT"):
        _fit(folder / "few-val", Recipe(steps=4), n_val=4, validate=validate)


def check_saving_takes_a_small_share_of_the_time(folder: Path) -> None:
    """Where a save takes a twentieth of a second, the next waits for a second, however often it is asked for."""
    saves = []
    write = State._write

    def slow(state: State, name: str, content: Any) -> None:
        saves.append(time.monotonic())
        time.sleep(0.05)
        write(state, name, content)

    def loss(module: nn.Module, samples: list[Any]) -> dict[str, torch.Tensor]:
        time.sleep(0.01)
        return _loss(module, samples)

    with patch.object(State, "_write", slow):
        began = time.monotonic()
        _fit(folder, Recipe(steps=250, save_every_s=0.0), loss=loss)
    took = time.monotonic() - began
    assert 1 < len(saves) <= 2 + took / 1.0, (len(saves), took)


def check_the_disk_is_looked_at_first(folder: Path) -> None:
    """Too full for state and checkpoint: refused at the first step. Filled later: told, and trained on."""
    full = SimpleNamespace(free=10)
    with patch("shutil.disk_usage", lambda _: full), _raises(TrainingFailed, "the disk has no room for the training"):
        _fit(folder / "a", Recipe(steps=50, save_every_s=0.0))

    def loss(module: nn.Module, samples: list[Any]) -> dict[str, torch.Tensor]:
        seen.append(1)
        time.sleep(0.1)  # more than twenty times what a save takes
        return _loss(module, samples)

    seen: list[int] = []
    with patch("shutil.disk_usage", lambda _: SimpleNamespace(free=10**12 if len(seen) < 2 else 10)):
        _fit(folder / "b", Recipe(steps=9, save_every_s=0.0), loss=loss)
    told = [event["text"] for event in _events(folder / "b") if event["event"] == "warning"]
    assert told, "a state that could not be saved is told"
    assert told[0].startswith("the state at step "), told
    assert (folder / "b" / "checkpoint").is_dir()


def check_a_layer_with_two_names_is_kept_once(folder: Path) -> None:
    """In the state, the best weights and the checkpoint; it comes back under both. A frozen one is not kept at all."""
    for frozen in (False, True):
        module = nn.Sequential(nn.Linear(4, 1, bias=False))
        module.add_module("other", nn.Linear(4, 1, bias=False))
        module.add_module("again", module[1] if frozen else module[0])
        module[1].requires_grad_(requires_grad=False)
        out = folder / str(frozen)
        _fit(out, Recipe(steps=5), module, loss=lambda net, samples: _loss(net[0], samples))
        assert list(_weights(out)) == ["0.weight"]
        before = module[0].weight.detach().clone()
        module[0].weight.data.zero_()
        load_checkpoint(module, out / "checkpoint")
        assert torch.equal(module[0].weight, before)


def check_stalled_loader_has_a_name(folder: Path) -> None:
    """A worker that gives no sample in time ends training."""

    def sample(index: int, rng: np.random.Generator) -> Any:
        time.sleep(60)

    with _raises(TrainingFailed, "no sample came within 1 s at step 0"):
        _fit(folder, Recipe(steps=5, workers=1, loader_timeout_s=1.0), sample=sample)


def check_workers_change_nothing(folder: Path) -> None:
    """Samples prepared by other processes give the same weights."""
    for workers in (0, 2):
        _fit(folder / str(workers), Recipe(steps=12, batch=2, workers=workers))
    for name, value in _weights(folder / "0").items():
        assert torch.equal(_weights(folder / "2")[name], value), name


def check_samples_of_a_step(folder: Path) -> None:
    """Steps go through permutations of the samples without a gap, also where a step is across two passes."""
    taken = [one for step in range(6) for one in samples_of_step(step, seed=1, n_train=12, batch=5)]
    assert [position for position, _ in taken] == list(range(30))
    flat = [index for _, index in taken]
    assert sorted(flat[:12]) == sorted(flat[12:24]) == list(range(12))
    assert flat[:12] != flat[12:24]


def check_bf16(folder: Path) -> None:
    """With autocast to bfloat16 the little net is found as well, if less exactly."""
    assert _distance(_fit(folder, Recipe(steps=300, batch=4, bf16=True))) < 0.5


def check_a_constant_rate_may_drop(folder: Path) -> None:
    """The rate is full, then a tenth, then a hundredth, from the step at which each share of the steps is done."""
    recipe = Recipe(steps=27, schedule="constant", drops=(8 / 9, 26 / 27))
    rates = [recipe.rate(step) for step in range(27)]
    assert np.allclose(rates, [1.0] * 24 + [0.1] * 2 + [0.01]), rates
    assert Recipe(steps=27, schedule="constant").rate(26) == 1.0


def check_wrong_numbers_are_refused(folder: Path) -> None:
    """A recipe that cannot be followed says which number is wrong."""
    for numbers, word in (({"steps": 0}, "steps"), ({"steps": 1, "batch": 0}, "batch")):
        with _raises(Rejected, word):
            Recipe(**numbers)


ADAPTER = """
import os, sys
sys.path.insert(0, {here!r})
import torch
import torch_checks as checks
from groundbench_sdk import Adapter
from groundbench_sdk.recipe import Recipe
from groundbench_sdk.torch_state import State
from groundbench_sdk.torch_training import fit

class Mine(Adapter):
    def load(self, job):
        self.job = job

    def finetune(self, train, val, training):
        keys = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "GLOO_SOCKET_IFNAME", "OMP_NUM_THREADS")
        sys.stderr.write("RANK " + repr({{k: os.environ.get(k) for k in keys}}) + "\\n")
        net = checks._net()
        net[0].p = 0.0
        def sample(index, rng):
            if self.job.params.get("slow"):
                import time; time.sleep(0.05)
            if self.job.params.get("kill") and training.rank == 1:
                os.kill(os.getpid(), self.job.params["kill"])
            if self.job.params.get("fail") and training.rank == 1:
                raise RuntimeError("rank 1 is lost")
            return checks._sample(index, rng)
        def validate(module, cases):
            return [0.25 if case == 0 else 0.75 for case in cases]
        recipe = Recipe(steps=self.job.params["steps"], batch=4, at_once=2, validate_every=20)
        fit(net, torch.optim.SGD(net.parameters(), lr=0.02), recipe=recipe, n_train=len(train), sample=sample,
            loss=checks._loss, training=training, seed=5, n_val=2, validate=validate)
"""


def _bench(folder: Path, **params: Any) -> Path:
    """Write a ``/bench`` whose cases are not read, and an adapter that trains the little net."""
    root = folder / "bench"
    (root / "out").mkdir(parents=True)
    job = {"contract": 1, "verb": "finetune", "model": "m", "variant": "v", "seed": 5, "devices": ["cpu"], "threads": 2}
    (root / "job.json").write_text(json.dumps({**job, "params": params}))
    case = {"ct": "ct/a.nii.gz", "shape": [1, 1, 1], "spacing": [1, 1, 1], "findings": [], "seg": "seg/a.nii.gz"}
    cases = [{**case, "id": f"c{n}", "split": "train" if n < 8 else "val"} for n in range(10)]
    (root / "cases.jsonl").write_text("".join(json.dumps(case) + "\n" for case in cases))
    here = str(Path(__file__).resolve().parent)
    (folder / "adapter.py").write_text(ADAPTER.format(here=here))
    return root


def _start(folder: Path, root: Path) -> subprocess.Popen[str]:
    path = os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(folder)])
    environment = {**os.environ, "BENCH_ROOT": str(root), "PYTHONPATH": path}
    return subprocess.Popen(
        [sys.executable, "-m", "groundbench_sdk", "adapter:Mine"], env=environment, cwd=str(folder),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def check_two_processes_train_as_one(folder: Path) -> None:
    """Two ranks meet on the loop-back, and the passes of a batch give the same weights whichever rank makes them."""
    roots = {}
    for processes in (1, 2):
        place = folder / str(processes)
        place.mkdir()
        roots[processes] = _bench(place, steps=40, processes=processes)
        running = _start(place, roots[processes])
        _, said = running.communicate(timeout=300)
        assert running.returncode == 0, said
        ranks = [eval(line[5:]) for line in said.splitlines() if line.startswith("RANK ")]  # noqa: S307 - our own words
        if processes == 2:
            assert sorted(rank["RANK"] for rank in ranks) == ["0", "1"], ranks
            for rank in ranks:
                assert (rank["WORLD_SIZE"], rank["MASTER_ADDR"]) == ("2", "127.0.0.1"), rank
                assert (rank["GLOO_SOCKET_IFNAME"], rank["OMP_NUM_THREADS"]) == ("lo", "1"), rank
    one, two = (_weights(roots[n] / "out") for n in (1, 2))
    for name, value in one.items():
        assert torch.allclose(two[name], value, atol=1e-5), (name, two[name], value)
    # Told once, by rank 0, and both ranks' validation cases count.
    events = _events(roots[2] / "out")
    kinds = [event["event"] for event in events]
    assert kinds == ["started", "progress", *["train"] * kinds.count("train"), "finished"], kinds
    assert {event["val_dice"] for event in events if "val_dice" in event} == {0.5}


def check_processes_wait_longer_than_nccl_would(folder: Path) -> None:
    """A process waits for another's save or validation for as long as the harness lets a training be silent."""
    training = Training(folder, Events(folder), rank=1, world_size=2)
    group = patch.multiple("torch.distributed", init_process_group=DEFAULT, destroy_process_group=DEFAULT)
    with patch("torch.cuda.set_device"), group as parts, Together(training, "cuda:1").joined():
        joins = parts["init_process_group"]
    ((backend,), given) = joins.call_args
    assert backend == "nccl"
    assert given["timeout"].days >= 1


def check_lost_rank_ends_all(folder: Path) -> None:
    """When one of two processes fails, both end, and the reason is reported."""
    root = _bench(folder, steps=40, processes=2, fail=True)
    running = _start(folder, root)
    _, said = running.communicate(timeout=300)
    assert running.returncode != 0
    failed = [event for event in _events(root / "out") if event["event"] == "train_failed"]
    assert any("rank 1 is lost" in event["reason"] for event in failed), said
    assert not (root / "out" / "checkpoint").exists()


def check_killed_rank_is_named_by_its_signal(folder: Path) -> None:
    """When the kernel ends one of two processes, that is told, and not that the other one got no answer."""
    for number, name in ((signal.SIGKILL, "SIGKILL"), (signal.SIGSEGV, "SIGSEGV")):
        place = folder / name
        place.mkdir()
        root = _bench(place, steps=40, processes=2, kill=int(number))
        running = _start(place, root)
        _, said = running.communicate(timeout=300)
        assert running.returncode != 0
        failed = [event for event in _events(root / "out") if event["event"] == "train_failed"]
        assert len(failed) == 1, (failed, said)
        assert failed[0]["reason"].startswith(f"process 1 was ended by {name}"), failed


def check_asked_to_end_saves(folder: Path) -> None:
    """SIGTERM ends one process, or two together, after the step in flight; the same job then goes on from there."""
    for processes in (1, 2):
        place = folder / str(processes)
        place.mkdir()
        root = _bench(place, steps=60, processes=processes, slow=True)
        running = _start(place, root)
        deadline = time.monotonic() + 120
        heard = root / "out" / "events.jsonl"
        while time.monotonic() < deadline and not (heard.exists() and '"train"' in heard.read_text()):
            time.sleep(0.1)
        running.send_signal(signal.SIGTERM)
        _, said = running.communicate(timeout=60)
        assert running.returncode != 0
        state = torch.load(str(root / "out" / "state" / "training.pt"), weights_only=True)
        assert 0 < state["step"] < 60, said
        again = _start(place, root)
        _, said = again.communicate(timeout=300)
        assert again.returncode == 0, said
        steps = [event["step"] for event in _events(root / "out") if event["event"] == "train"]
        assert steps[-1] == 60
        assert steps == sorted(steps), steps


if __name__ == "__main__":
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        globals()[sys.argv[1]](Path(temporary))
