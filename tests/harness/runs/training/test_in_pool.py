"""A training is followed in a pool by its files, and dealt again, whatever becomes of its attempts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from harness.engines.base import Exit
from harness.errors import DataError, Interrupted, PrerequisiteError
from harness.images.build import Image
from harness.registry.declaration import Model, Variant
from harness.registry.discovery import Plugin
from harness.registry.resources import Resources
from harness.runs.place import Place
from harness.runs.plan import RunRequest
from harness.runs.pools import Elsewhere, Seen, ShardId, Wake
from harness.runs.report import ShardReport
from harness.runs.run_weights import Loaded
from harness.runs.shard import STOP_FILE, run_shard
from harness.runs.spec import ShardSpec
from harness.runs.training import in_pool, shard
from harness.runs.training.attempt import TrainingSpec
from harness.runs.training.finetune import TrainingPlan, training_job
from harness.runs.training.in_pool import LeftInPool, TrainerInPool
from harness.runs.training.shard import CHECKPOINTS, POINTS
from harness.sandbox.stop import Stop
from harness.status import TrainingState
from tests.harness.runs.training.test_shard import STEPS, Host

pytestmark = pytest.mark.costly

if TYPE_CHECKING:
    from harness.dataset import Dataset
    from harness.engines.base import Engine
    from harness.store.trainings import TrainingPoint


class Pool:
    """A pool that carries an attempt out when it is asked how it stands; each by the next of its hosts.

    A host that raises loses the attempt; None: it is not begun.
    """

    name, engine, look_s, redeals = "cluster x", "docker", 0.01, 2

    def __init__(self, folder: Path, *hosts: Host | None) -> None:
        self.shared, self.detach = folder / "shared", False
        self.shared.mkdir()
        self._scratch, self._hosts = folder / "scratch", list(hosts)
        self.taken: list[ShardSpec] = []
        self.proved: list[ShardSpec] = []
        self.stopped: list[bool] = []
        self._open: list[ShardSpec] = []

    def start(self, specs: Sequence[ShardSpec], wake: Wake) -> None:
        self.taken += specs
        self._open += specs

    def poll(self) -> Seen:
        reports = []
        for spec in list(self._open):
            host = self._hosts.pop(0) if self._hosts else None
            if host is None:
                continue
            self._open.remove(spec)
            there = ShardSpec.from_json(spec.to_json(self.shared), self.shared)
            place = Place(cast("Engine", host), self._scratch, cores=2, node="gpu1")
            report = run_shard(there, place, Stop())
            if report.reason != "SystemExit: lost":
                reports.append(report)
        return Seen(frozenset(ShardId(spec.run, spec.number) for spec in self._open), tuple(reports))

    def stop(self, *, now: bool) -> None:
        self.stopped.append(now)
        self._open.clear()

    def prove(self, shard: ShardSpec, *, gpu_memory_mb: int) -> tuple[str, ...]:
        self.proved.append(shard)
        if shard.gpus > 1:
            raise PrerequisiteError("no worker has as many", fix="start one", lacking="gpu")
        return ("does not limit memory",)


def _lose(at: int) -> Host:
    """Return a host that is lost at a step, with what it has written until then."""

    def lose(step: int, _: Path) -> None:
        if step == at:
            raise SystemExit("lost")

    return Host(lose)


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard, "KEEP_EVERY_S", 0.01)


def _plan(gpus: int = 0) -> TrainingPlan:
    model = Model(
        "m", "M", "A model.", "1", Path("/"), variants=(Variant("v", fine_tuned=True),), resources=Resources(out_gb=1)
    )
    request = RunRequest(Plugin(model, "here"), model.variants[0], cast("Dataset", None), "test", "mlhc2025", gpus=gpus)
    return TrainingPlan(request, Image("sha256:1", "m:1", 5, "cpu"), Loaded(), (), {"train": "a"})


class Training:
    """One command's work on a training."""

    def __init__(self, pool: Pool, folder: Path, gpus: int = 0) -> None:
        self.lines: list[str] = []
        self.points: list[TrainingPoint] = []
        plan = _plan(gpus)
        self.trainer = TrainerInPool(plan, cast("Elsewhere", pool), gpu_memory_mb=0, log=self.lines.append)
        self.spec = TrainingSpec(
            name=plan.name, folder=folder, plugin=plan.request.plugin, image=plan.image, job=training_job(plan, gpus),
            resources=plan.resources(gpus), cases=(), mounts=(),
        )  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)

    def run(self, stop: Stop | None = None, emit: Callable[[Any], None] | None = None) -> Any:
        return self.trainer.train(self.spec, emit or self.points.extend, stop or Stop(), before_s=0.0)


def test_a_training_comes_back_with_its_checkpoint(tmp_path: Path) -> None:
    """Its reports, its figures, its log and its checkpoint; the shared folder is left clean."""
    pool = Pool(tmp_path, Host())
    training = Training(pool, tmp_path / "home")
    end = training.run()
    assert (end.state, end.about["node"]) == (TrainingState.DONE, "gpu1")
    assert [point.step for point in training.points] == list(range(1, STEPS + 1))
    assert list(training.trainer.take(training.spec)) == ["weights"]
    assert (tmp_path / "home" / "checkpoint" / "weights").read_text() == "from 0"
    assert (tmp_path / "home" / end.log).read_text() == "learning\n"
    (spec,) = pool.taken
    assert (spec.trains, spec.gpus, spec.deadline_s, spec.plan) == (True, 0, None, _plan().key)
    training.trainer.clear(training.spec)
    assert list((pool.shared / "runs").iterdir()) == []


def test_a_lost_attempt_is_dealt_again_and_goes_on(tmp_path: Path) -> None:
    """As long as it comes any further: the state is that of the host that was lost."""
    pool = Pool(tmp_path, _lose(2), _lose(4), _lose(5), Host())
    training = Training(pool, tmp_path / "home")
    end = training.run()
    assert end.state is TrainingState.DONE
    assert [spec.number for spec in pool.taken] == [0, 1, 2, 3]
    assert sum("it goes on from its last state" in line for line in training.lines) == 3
    training.trainer.take(training.spec)
    assert (tmp_path / "home" / "checkpoint" / "weights").read_text() == "from 5"


@pytest.mark.parametrize("why", ["its worker or its host is gone", "the daemon is gone"])
def test_what_never_comes_further_is_given_up(tmp_path: Path, why: str) -> None:
    """After as many fruitless attempts as the pool allows, with the reason; the model is not blamed."""
    lost = [Host(lambda *_: (_ for _ in ()).throw(SystemExit("lost"))) for _ in range(9)]
    pool = Pool(tmp_path, *([Host(end=Exit(None, error=why))] * 9 if "daemon" in why else lost))
    with pytest.raises(PrerequisiteError, match=why):
        Training(pool, tmp_path / "home").run()
    assert len(pool.taken) == pool.redeals + 1 + ("daemon" in why)  # the first one of these came far


def test_the_models_own_failure_is_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not tried again elsewhere: the command tells it, and the same command goes on from the state."""
    monkeypatch.setattr("harness.runs.training.attempt.prove_again", lambda *_: None)
    pool = Pool(tmp_path, Host(end=Exit(1)), Host())
    end = Training(pool, tmp_path / "home").run()
    assert (end.state, len(pool.taken)) == (TrainingState.PLUGIN_ERROR, 1)
    assert end.evidence is not None
    assert Training(pool, tmp_path / "home").run().state is TrainingState.DONE


def test_one_that_ended_while_nobody_followed_is_taken(tmp_path: Path) -> None:
    """By the next command, which hands in nothing; what was reported meanwhile is heard."""
    pool = Pool(tmp_path, Host())
    Training(pool, tmp_path / "one").run()
    training = Training(pool, tmp_path / "two")
    assert [point.step for point in training.trainer.unheard(training.spec, after=4, seconds=1.0)] == [5, 6]
    assert training.run().state is TrainingState.DONE
    assert len(pool.taken) == 1
    assert list(training.trainer.take(training.spec)) == ["weights"]


def test_one_that_runs_is_followed(tmp_path: Path) -> None:
    """An attempt of a command that died is not handed in again."""
    pool = Pool(tmp_path, None, None)
    pool.detach = True
    with pytest.raises(LeftInPool, match="-training-"):
        Training(pool, tmp_path / "one").run()
    with pytest.raises(LeftInPool):
        Training(pool, tmp_path / "one").run()
    assert len(pool.taken) == 1
    pool.detach, pool._hosts = False, [None, Host()]
    training = Training(pool, tmp_path / "one")
    assert training.run().state is TrainingState.DONE
    assert len(pool.taken) == 1
    assert "was handed in before and is followed" in training.lines[0]


@pytest.mark.parametrize("how", ["soon", "now"])
def test_a_stopped_command_stops_the_attempt(tmp_path: Path, how: str) -> None:
    """What waits is withdrawn; the same command hands it in again."""
    pool, stop = Pool(tmp_path, None), Stop()
    getattr(stop, how).set()
    end = Training(pool, tmp_path / "home").run(stop)
    assert (end.state, end.reason) == (TrainingState.INTERRUPTED, "stopped; its state is kept")
    assert pool.stopped == [how == "now"]
    pool._hosts = [Host()]
    assert Training(pool, tmp_path / "home").run().state is TrainingState.DONE


def test_an_attempt_that_does_not_end_in_time_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that cannot be reached does not keep the command."""
    monkeypatch.setattr(in_pool, "_NOW_S", 0.05)
    pool, stop = Pool(tmp_path, *[None] * 1000), Stop()
    monkeypatch.setattr(pool, "stop", lambda **_: None)
    stop.now.set()
    assert Training(pool, tmp_path / "home").run(stop).state is TrainingState.INTERRUPTED
    assert (pool.taken[0].folder / STOP_FILE).read_text() == "now"  # it still ends, should it come back


def test_two_commands_of_one_shared_folder(tmp_path: Path) -> None:
    """The second one is refused, whatever its home is."""
    pool = Pool(tmp_path, Host())
    first, second = Training(pool, tmp_path / "one"), Training(pool, tmp_path / "two")

    def meanwhile(points: Any) -> None:
        with pytest.raises(PrerequisiteError, match="another process is running"):
            second.run()

    assert first.run(emit=meanwhile).state is TrainingState.DONE


def test_a_checkpoint_that_is_not_the_one_that_was_written(tmp_path: Path) -> None:
    """A disk that lies is not believed."""
    pool = Pool(tmp_path, Host())
    training = Training(pool, tmp_path / "home")
    training.run()
    (there,) = pool.shared.glob(f"runs/*/{CHECKPOINTS}/0/checkpoint/weights")
    there.write_text("from 9")
    with pytest.raises(DataError, match="is not the one that its host has written"):
        training.trainer.take(training.spec)


def test_hosts_are_tried_out_with_what_the_training_needs(tmp_path: Path) -> None:
    """Its limits and its GPUs; where no host has as many, a smaller number is named."""
    pool = Pool(tmp_path)
    training = Training(pool, tmp_path / "home")
    training.trainer.prove(training.lines.append)
    (spec,) = pool.proved
    assert (spec.trains, spec.run, spec.cases, spec.folder) == (True, "trial", (), pool.shared)
    assert training.lines[-1] == "warning: the docker engine of cluster x does not limit memory"
    with pytest.raises(PrerequisiteError) as raised:
        Training(pool, tmp_path / "home", gpus=4).trainer.prove(print)
    assert "--gpus 1: the checkpoint is the same for any number" in raised.value.fix
    assert not (pool.shared / "runs").exists()


def test_a_pool_that_is_gone_ends_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it raises is raised; the attempt is left where it is."""
    pool = Pool(tmp_path, None)
    training = Training(pool, tmp_path / "home")
    polls = iter([Seen(frozenset())])

    def poll() -> Seen:
        for seen in polls:
            return seen
        raise Interrupted("the scheduler is gone", fix="start it")

    monkeypatch.setattr(pool, "poll", poll)
    with pytest.raises(Interrupted, match="the scheduler is gone"):
        training.run()
    assert len(pool.taken) == 1


def test_a_late_file_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report may come before what its host has written is seen here; that has a bound."""
    monkeypatch.setattr(in_pool, "_UNSEEN_S", 0.05)
    pool = Pool(tmp_path)
    monkeypatch.setattr(
        pool,
        "poll",
        lambda: Seen(frozenset(), tuple(ShardReport(s.run, s.number, "done", "gpu1") for s in pool.taken)),
    )
    with pytest.raises(PrerequisiteError, match="what it wrote is not seen here"):
        Training(pool, tmp_path / "home").run()
    assert len(pool.taken) == pool.redeals + 1
    assert not (pool.taken[0].folder / POINTS).exists()
    assert replace(pool.taken[0], number=1, deadline_s=None) == replace(pool.taken[1], deadline_s=None)
