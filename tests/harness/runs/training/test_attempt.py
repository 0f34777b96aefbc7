"""What a training may use, and how an attempt at it ends; its containers play a part and run nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from harness.engines.base import ContainerSpec, Engine, Exit
from harness.images.build import Image
from harness.registry.declaration import Model, Variant
from harness.registry.discovery import Plugin
from harness.registry.resources import Resources
from harness.runs.plan import RunRequest
from harness.runs.run_weights import Loaded
from harness.runs.training.attempt import TrainingEnd, TrainingSpec, run_training, unheard
from harness.runs.training.finetune import TrainingPlan
from harness.sandbox.contract import Job
from harness.sandbox.stop import Stop
from harness.status import TrainingState
from harness.store.trainings import TrainingPoint

if TYPE_CHECKING:
    from harness.dataset import Dataset

PREDICT = Resources(memory_gb=16, cpus=4.0, shm_gb=0.25, out_gb=1)
TRAIN = Resources(memory_gb=64, cpus=2.0, shm_gb=8, out_gb=50, stall_minutes=120)


def _limits(weights: str, *, reduced: bool, training: Resources | None = TRAIN, gpus: int = 1) -> Resources:
    params = {"size": 256}
    variant = Variant("v", fine_tuned=True, params=params, reduced={"size": 8} if reduced else {})
    model = Model("m", "M", "A model.", "1", Path("/"), variants=(variant,), resources=PREDICT, training=training)
    request = RunRequest(Plugin(model, "here"), variant, cast("Dataset", None), "test", "mlhc2025", weights=weights)
    return TrainingPlan(request, cast("Image", None), Loaded(), ()).resources(gpus)


@pytest.mark.parametrize(("weights", "reduced"), [("pinned", True), ("/a/folder", True), ("random", False)])
def test_a_whole_training_gets_what_is_declared(weights: str, *, reduced: bool) -> None:
    """Only both together, random weights and reduced parameters, make a training small."""
    assert _limits(weights, reduced=reduced) == TRAIN


def test_a_reduced_training_fits_where_the_model_predicts() -> None:
    """Memory, shared memory and CPUs are the smaller ones of both; what it may leave and its silence stay."""
    limits = _limits("random", reduced=True)
    assert (limits.memory_mb, limits.shm_mb, limits.cpus) == (16_384, 256, 2.0)
    assert (limits.out_mb, limits.stall_timeout_s) == (51_200, 7200.0)


def test_limits_grow_with_the_gpus() -> None:
    """Those that are declared are of a container with one; a reduced training still fits where the model predicts."""
    limits = _limits("pinned", reduced=False, training=Resources.training(memory_gb=64, cpus=2, shm_gb=8), gpus=4)
    assert (limits.memory_mb, limits.shm_mb, limits.cpus, limits.pids) == (262_144, 32_768, 8, 1024)
    assert _limits("random", reduced=True, gpus=4).memory_mb == 16_384


def test_without_a_declaration_training_is_like_predicting() -> None:
    """A model that declares no limits for training has one set of them."""
    assert _limits("random", reduced=True, training=None) == PREDICT


class Played:
    """A container that writes its events at its first tick, then ends, or goes on until it is asked or ended."""

    def __init__(self, spec: ContainerSpec, events: Sequence[dict[str, Any]], end: Exit | None, *, obeys: bool) -> None:
        self.spec, self.events, self.end, self.obeys = spec, list(events), end, obeys

    def wait(self, seconds: float) -> Exit | None:
        lines = "".join(json.dumps(event) + "\n" for event in self.events)
        with (self.spec.root / "out" / "events.jsonl").open("a", encoding="utf-8") as file:
            file.write(lines)
        self.events = []
        threading.Event().wait(0 if self.end else seconds)
        return self.end

    def held_bytes(self, device: int) -> int:
        return 0

    def ask(self) -> None:
        if self.obeys:
            self.end = Exit(143)

    def stop(self) -> Exit:
        return self.end or Exit(137)

    def remove(self) -> None:
        """Nothing is left of it."""


class Stage:
    """An engine with one container."""

    isolates = False

    def __init__(self, *events: dict[str, Any], end: Exit | None = None, obeys: bool = False) -> None:
        self.events, self.end, self.obeys = events, end, obeys

    def start(self, spec: ContainerSpec) -> Played:
        spec.log.write_text("loss went up\n")
        return Played(spec, self.events, self.end, obeys=self.obeys)


LIMITS = Resources(start_minutes=1e-3, stall_minutes=3e-3, out_gb=1)
LOADED = {"event": "progress", "stage": "loaded"}


def _spec(folder: Path) -> TrainingSpec:
    model = Model("m", "M", "A model.", "1", Path("/"), variants=(Variant("v", fine_tuned=True),))
    job = Job(verb="finetune", model="m", variant="v", seed=0, devices=["cpu"], threads=1)
    return TrainingSpec("training", folder, Plugin(model, "here"), Image("i"), job, LIMITS, (), ())


def _train(folder: Path, stage: Stage, stop: Stop | None = None) -> tuple[TrainingEnd, list[TrainingPoint]]:
    points: list[TrainingPoint] = []
    end = run_training(cast("Engine", stage), _spec(folder), points.extend, stop or Stop(), before_s=100)
    return end, points


def _step(step: int, **more: object) -> dict[str, Any]:
    return {"event": "train", "step": step, "steps": 10, **more}


def test_steps_only_rise(tmp_path: Path) -> None:
    """A step that was there, one before it and one beyond the end are dropped; the clock goes on from before."""
    events = [_step(1), _step(5, val_dice=0.5), _step(5), _step(2), _step(11), _step(10)]
    end, points = _train(tmp_path, Stage(*events, end=Exit(0)))
    assert (end.state, end.evidence) == (TrainingState.DONE, None)
    assert [(point.step, point.val_dice) for point in points] == [(1, None), (5, 0.5), (10, None)]
    assert all(100 <= point.seconds < 130 for point in points)


def test_what_the_model_warns_of_is_kept_once(tmp_path: Path) -> None:
    """Several processes may say the same; of a case, or of the training as a whole."""
    cut = {"event": "warning", "case": "a_1", "text": "finding 0: cut"}
    end, _ = _train(tmp_path, Stage(cut, cut, {"event": "warning", "text": "one process is idle"}, end=Exit(0)))
    assert end.warnings == ("a_1: finding 0: cut", "one process is idle")


@pytest.mark.parametrize(
    ("events", "end", "state", "reason"),
    [
        ([], Exit(0), "done", ""),
        ([{"event": "train_failed", "kind": "nan_loss", "reason": "nan"}], Exit(1), "nan_loss", "nan"),
        ([{"event": "train_failed", "kind": "error", "reason": "x"}], Exit(0), "error", "x"),
        ([], Exit(137, oom=True), "oom", "the kernel ended it for its memory (limit: memory_gb = "),
        ([], Exit(None, error="the engine lost it"), "infra_error", "the engine lost it"),
        ([], Exit(3), "plugin_error", "the container ended with exit code 3; its last line: loss went up"),
        ([], None, "timeout", "no train event came within 0.18 s"),
        ([{"event": "started"}], None, "timeout", "loading did not end within 0.06 s"),
        ([{"event": "started"}, LOADED], None, "timeout", "no train event came within 0.18 s"),
        ([_step(1)], None, "timeout", "no train event came within 0.18 s"),
    ],
)  # fmt: skip
def test_every_end_has_a_state(
    events: list[dict[str, Any]], end: Exit | None, state: str, reason: str, tmp_path: Path
) -> None:
    """Decided from what the container said, from its silence, and from the engine's evidence."""
    ended, _ = _train(tmp_path, Stage(*events, end=end))
    assert ended.state == state
    assert ended.reason.startswith(reason)
    assert (tmp_path / ended.log).read_text() == "loss went up\n"


def test_a_death_is_kept_with_the_last_step(tmp_path: Path) -> None:
    """The facts of a training that failed, by the keys that its record has always had."""
    ended, _ = _train(tmp_path, Stage(_step(4), end=Exit(3, peak_bytes=9)))
    assert ended.evidence is not None
    assert ended.evidence.document() == {
        "exit_code": 3,
        "oom": False,
        "engine_said": "",
        "peak_bytes": 9,
        "memory_limit_bytes": LIMITS.memory_mb * 2**20,
        "last_step": 4,
        "last_lines": ["loss went up"],
    }


@pytest.mark.parametrize(
    ("obeys", "now", "reason"),
    [(True, False, "stopped; its state is kept"), (False, True, "stopped before its state was saved again")],
)
def test_a_training_that_is_stopped_is_interrupted(obeys: bool, now: bool, reason: str, tmp_path: Path) -> None:
    """It is asked and saves its state; only the second request ends it without."""
    stop = Stop()
    stop.soon.set()
    if now:
        stop.now.set()
    ended, _ = _train(tmp_path, Stage(_step(1), obeys=obeys), stop)
    assert (ended.state, ended.reason) == (TrainingState.INTERRUPTED, reason)


def test_only_the_state_outlives_an_attempt(tmp_path: Path) -> None:
    """The next container finds what the last one saved, and nothing else of it."""
    out = tmp_path / "container" / "out"
    (out / "state").mkdir(parents=True)
    (out / "state" / "step").write_text("5")
    (out / "checkpoint").mkdir()
    _train(tmp_path, Stage(end=Exit(0)))
    assert sorted(path.name for path in out.iterdir()) == ["events.jsonl", "state"]
    assert (out / "state" / "step").read_text() == "5"


def test_a_state_that_is_a_link_is_not_kept(tmp_path: Path) -> None:
    """A container cannot have the harness move a folder of the host."""
    (tmp_path / "container" / "out").mkdir(parents=True)
    (tmp_path / "container" / "out" / "state").symlink_to("/etc")
    _train(tmp_path, Stage(end=Exit(0)))
    assert not (tmp_path / "container" / "out" / "state").exists()


def test_what_came_while_nobody_listened_is_read(tmp_path: Path) -> None:
    """Steps beyond the last known one, at the time that is known."""
    spec = _spec(tmp_path)
    (spec.root / "out").mkdir(parents=True)
    lines = [json.dumps(_step(step)) + "\n" for step in (3, 5, 4, 6)]
    (spec.root / "out" / "events.jsonl").write_text("".join(lines))
    assert [(p.step, p.seconds) for p in unheard(spec, after=3, seconds=7.0)] == [(5, 7.0), (6, 7.0)]
