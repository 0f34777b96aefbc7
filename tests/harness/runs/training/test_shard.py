"""An attempt at a training on another host: what it leaves for the next one, and for the command that follows it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from harness.engines.base import ContainerSpec, Engine, Exit
from harness.errors import PrerequisiteError
from harness.registry.resources import Resources
from harness.runs.place import Place
from harness.runs.report import ShardReport
from harness.runs.shard import STOP_FILE, run_shard
from harness.runs.spec import ShardSpec, bare
from harness.runs.training import shard
from harness.runs.training.shard import CHECKPOINTS, POINTS, STATES, PointReader, furthest, read_ends
from harness.sandbox.stop import Stop
from harness.status import TrainingState
from tests.harness.runs.test_spec import a_spec

STEPS, END = 6, Exit(0)


class Learns:
    """A container that makes a step at every tick, and in the end a checkpoint that says where it began."""

    def __init__(self, spec: ContainerSpec, after: Callable[[int, Path], None], end: Exit) -> None:
        self.out, self.after, self.end = spec.root / "out", after, end
        self.state = self.out / "state" / "step"
        self.step = self.began = int(self.state.read_text()) if self.state.exists() else 0
        self.asked = False
        self.ended: Exit | None = None

    def wait(self, seconds: float) -> Exit | None:
        time.sleep(seconds / 5)
        if self.asked:
            self.ended = Exit(0)
        elif self.step == STEPS:
            (self.out / "checkpoint").mkdir(exist_ok=True)
            (self.out / "checkpoint" / "weights").write_text(f"from {self.began}")
            self.ended = self.end
        if self.ended is not None:
            return self.ended
        self.step += 1
        self.state.parent.mkdir(exist_ok=True)
        partial = self.state.with_name(".partial")
        partial.write_text(str(self.step))
        partial.replace(self.state)
        with (self.out / "events.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"event": "train", "step": self.step, "steps": STEPS}) + "\n")
        self.after(self.step, self.out)
        return None

    def held_bytes(self, device: int) -> int:
        return 0

    def ask(self) -> None:
        self.asked = True

    def stop(self) -> Exit:
        return self.ended or Exit(137)

    def remove(self) -> None:
        """Nothing is left of it."""


@dataclass
class Host:
    """An engine whose containers learn; `after` is called with each step and the container's output folder."""

    after: Callable[[int, Path], None] = lambda _step, _out: None
    end: Exit = END
    name: str = "docker"
    isolates: bool = True
    limits_memory: bool = True
    started: list[ContainerSpec] = field(default_factory=list)

    def start(self, spec: ContainerSpec) -> Learns:
        self.started.append(spec)
        spec.log.write_text("learning\n")
        return Learns(spec, self.after, self.end)

    def describe(self) -> dict[str, Any]:
        return {"engine": self.name, "version": "1"}

    def lacks(self, gpu_ids: Sequence[str]) -> list[str]:
        return []

    def try_out(self, spec: ContainerSpec, command: Sequence[str]) -> Any:
        raise PrerequisiteError("containers do not work any more", fix="restart it")


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard, "KEEP_EVERY_S", 0.01)


def a_training(shared: Path, number: int = 0) -> ShardSpec:
    """Return an attempt at a training in a shared folder."""
    folder = shared / "runs" / "m-v-training-1"
    folder.mkdir(parents=True, exist_ok=True)
    spec = a_spec(folder)
    plugin = bare(spec.plugin, Resources(out_gb=1))
    job = spec.job.model_copy(update={"verb": "finetune"})
    return replace(spec, run=folder.name, number=number, plan="p", folder=folder, plugin=plugin, job=job, cases=())


def run(spec: ShardSpec, scratch: Path, host: Host, stop: Stop | None = None, **place: Any) -> ShardReport:
    """Carry out an attempt on a host; nothing of it may be left on its scratch."""
    there = Place(cast("Engine", host), scratch, cores=2, node="gpu1", **place)
    report = run_shard(spec, there, stop or Stop())
    assert list(scratch.glob("*")) == []
    return report


def _kept(spec: ShardSpec) -> list[int]:
    """Return the steps of the states that are kept whole."""
    return [int((path / "step").read_text()) for path in sorted((spec.folder / STATES).glob("[!.]*"))]


def test_what_an_attempt_leaves(tmp_path: Path) -> None:
    """Reports, a checkpoint with its digests, the seconds, and where it happened."""
    spec, host = a_training(tmp_path), Host()
    assert run(spec, tmp_path / "scratch", host) == ShardReport(spec.run, 0, "done", "gpu1")
    (end,) = read_ends(spec.folder, "p")
    assert (end.name, end.end.state, list(end.files)) == ("0", TrainingState.DONE, ["weights"])
    assert (end.end.about["node"], end.end.about["engine"]["engine"]) == ("gpu1", "docker")
    assert (spec.folder / CHECKPOINTS / "0" / "checkpoint" / "weights").read_text() == "from 0"
    assert (spec.folder / end.end.log).read_text() == "learning\n"
    assert [point.step for point in PointReader(spec.folder).new()] == list(range(1, STEPS + 1))
    assert furthest(spec.folder) == STEPS
    assert read_ends(spec.folder, "another plan") == []
    (asked,) = host.started
    assert asked.root.is_relative_to(tmp_path / "scratch")


def test_a_finished_training_is_not_tried_again(tmp_path: Path) -> None:
    """As after a job that was begun again when it had ended."""
    run(a_training(tmp_path), tmp_path / "scratch", Host())
    host = Host()
    assert run(a_training(tmp_path, 1), tmp_path / "scratch", host).state == "done"
    assert host.started == []


@pytest.mark.parametrize("how", ["soon", "now", "file", "deadline"])
def test_it_goes_on_from_the_state_that_another_host_has_kept(tmp_path: Path, how: str) -> None:
    """However it was ended; steps, seconds and logs are those of both."""
    stop, spec = Stop(), a_training(tmp_path)

    def interrupt(step: int, _: Path) -> None:
        if step == 3 and how == "file":
            (spec.folder / STOP_FILE).write_text("now")
            time.sleep(1.1)  # it is looked at every second
        elif step == 3 and how == "deadline":
            time.sleep(0.3)
        elif step == 3:
            getattr(stop, how).set()
            stop.soon.set()

    late = {"deadline": time.monotonic() + shard_saves() + 0.3} if how == "deadline" else {}
    report = run(spec, tmp_path / "scratch-1", Host(interrupt), stop, **late)
    assert report.state == "stopped"
    (interrupted,) = read_ends(spec.folder, "p")
    assert (interrupted.end.state, dict(interrupted.files)) == (TrainingState.INTERRUPTED, {})
    (spec.folder / STOP_FILE).unlink(missing_ok=True)
    (step,) = _kept(spec)
    assert step >= 1
    second = a_training(tmp_path, 1)
    assert run(second, tmp_path / "scratch-2", Host()).state == "done"
    _, done = read_ends(spec.folder, "p")
    assert (spec.folder / CHECKPOINTS / "1" / "checkpoint" / "weights").read_text() == f"from {step}"
    assert done.trained_s == pytest.approx(interrupted.trained_s + done.end.seconds, abs=0.1)
    points = list(PointReader(spec.folder).new())
    assert [point.step for point in points][-1] == STEPS
    assert [point.seconds for point in points] == sorted(point.seconds for point in points)


def shard_saves() -> float:
    """Return the seconds before its deadline at which a training is asked to save its state."""
    from harness.runs.shard import _LAST_S
    from harness.runs.training.attempt import SAVE_S

    return _LAST_S + SAVE_S


def test_a_killed_worker_leaves_its_last_state(tmp_path: Path) -> None:
    """What is kept while a container trains is enough: the attempt has no end."""
    spec = a_training(tmp_path)

    def lose(step: int, _: Path) -> None:
        if step == 4:
            time.sleep(0.3)  # the state is kept meanwhile
            raise KeyboardInterrupt  # in the place of SIGKILL: nothing after it counts

    assert run(spec, tmp_path / "scratch", Host(lose)).state == "failed"
    assert read_ends(spec.folder, "p") == []
    assert _kept(spec) == [4]
    assert run(a_training(tmp_path, 1), tmp_path / "scratch", Host()).state == "done"
    assert (spec.folder / CHECKPOINTS / "1" / "checkpoint" / "weights").read_text() == "from 4"


@pytest.mark.parametrize(
    ("end", "state", "report"),
    [
        (Exit(1), None, "failed"),  # a model's failure counts only where containers still work
        (Exit(None, error="the daemon is gone"), TrainingState.INFRA_ERROR, "failed"),
    ],
)
def test_what_is_not_the_models_fault(tmp_path: Path, end: Exit, state: TrainingState | None, report: str) -> None:
    """Its engine or its host: the report says so, and the training may go on elsewhere."""
    spec = a_training(tmp_path)
    said = run(spec, tmp_path / "scratch", Host(end=end))
    assert said.state == report
    assert [one.end.state for one in read_ends(spec.folder, "p")] == ([state] if state else [])
    assert "any more" in str(said.error()) or "the daemon is gone" in str(said.error())


def test_a_checkpoint_that_is_refused(tmp_path: Path) -> None:
    """It is an end of the training, told with the reason."""
    spec = a_training(tmp_path)

    def link(_: int, out: Path) -> None:
        (out / "checkpoint").mkdir(exist_ok=True)
        if not (out / "checkpoint" / "passwd").is_symlink():
            (out / "checkpoint" / "passwd").symlink_to("/etc/passwd")

    assert run(spec, tmp_path / "scratch", Host(link)).state == "done"
    (end,) = read_ends(spec.folder, "p")
    assert end.end.state is TrainingState.INVALID_CHECKPOINT
    assert "'passwd', which is not a regular file" in end.end.reason


def test_a_state_that_cannot_be_carried_is_warned_of(tmp_path: Path) -> None:
    """A link in it is not followed; the training itself goes on."""
    spec = a_training(tmp_path)

    def link(_: int, out: Path) -> None:
        if not (out / "state" / "passwd").is_symlink():
            (out / "state" / "passwd").symlink_to("/etc/passwd")

    run(spec, tmp_path / "scratch", Host(link))
    (end,) = read_ends(spec.folder, "p")
    assert end.end.state is TrainingState.DONE
    (warning,) = end.end.warnings
    assert "out/state contains 'passwd', which is not a regular file" in warning


def test_a_state_that_changes_while_it_is_copied_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of different moments are no state: the one before stays."""
    spec, copy = a_training(tmp_path), shard.copy_folder

    def late(out: Path, name: str, *arguments: Any, **options: Any) -> Any:
        copied = copy(out, name, *arguments, **options)
        if (out / "state" / "step").read_text() != "2":
            (out / "state" / "other").write_text(os.urandom(8).hex())
        return copied

    monkeypatch.setattr(shard, "copy_folder", late)
    run(spec, tmp_path / "scratch", Host(lambda step, _: time.sleep(0.2 if step == 2 else 0)))
    assert _kept(spec) in ([], [2])
    assert list((spec.folder / STATES).glob(".*")) == []


def test_points_are_read_once_and_only_whole(tmp_path: Path) -> None:
    """A line that is still being written comes later, one that a dying host has torn is none; attempts are in order."""
    spec, reader = a_training(tmp_path), PointReader(a_training(tmp_path).folder)
    (spec.folder / POINTS).mkdir()
    line = '{"step": %d, "steps": 9, "losses": {}, "epoch": null, "val_dice": null, "seconds": 1.0}'
    (spec.folder / POINTS / "10.jsonl").write_text(line % 7 + "\n")
    (spec.folder / POINTS / "2.jsonl").write_text(line % 5 + "\n" + '{"step": 6\n' + line % 6)
    assert [point.step for point in reader.new()] == [5, 7]
    with (spec.folder / POINTS / "2.jsonl").open("a") as file:
        file.write("\n")
    assert [point.step for point in reader.new()] == [6]
    assert list(reader.new()) == []
