"""Whatever a pool does with its shards and its reports, the rows are those of an undisturbed run."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness.engines.nvidia import Gpu
from harness.runs import shard
from harness.runs.place import Place
from harness.runs.pools import LocalPool, Seen, ShardId
from harness.runs.report import ShardReport
from harness.runs.spec import ShardSpec
from harness.sandbox.stop import Stop
from tests.harness.runs.test_spec import a_spec

GPUS = [Gpu(id=f"GPU-{n}", name="H200", memory_mb=1) for n in range(4)]


class Shards:
    """In the place of running shards: each holds its GPUs until it is let go."""

    def __init__(self) -> None:
        self.held: dict[int, Sequence[str]] = {}
        self.gates: dict[int, threading.Event] = {}
        self.sharing: set[int] = set()
        self.begun = threading.Condition()

    def __call__(self, spec: ShardSpec, place: Place, stop: Stop, tell: object) -> ShardReport:
        gate = self.gates.setdefault(spec.number, threading.Event())
        with self.begun:
            self.held[spec.number] = place.gpu_ids
            self.sharing.add(place.per_gpu)
            self.begun.notify_all()
        gate.wait(10)
        with self.begun:
            del self.held[spec.number]
        return ShardReport(spec.run, spec.number, "done", place.node)

    def let_go(self, number: int) -> None:
        self.gates.setdefault(number, threading.Event()).set()

    def await_held(self, *numbers: int) -> None:
        with self.begun:
            assert self.begun.wait_for(lambda: set(self.held) == set(numbers), 10), self.held


@pytest.fixture
def shards(monkeypatch: pytest.MonkeyPatch) -> Shards:
    """Put stand-ins in the place of shards."""
    made = Shards()
    monkeypatch.setattr(shard, "run_shard", made)
    return made


def _specs(folder: Path, *gpus: int) -> list[ShardSpec]:
    spec = replace(a_spec(folder, "a"), engine="local")
    return [replace(spec, number=number, gpus=each) for number, each in enumerate(gpus)]


def test_shards_wait_for_their_gpus(tmp_path: Path, shards: Shards) -> None:
    """No GPU is given to two, none waits for a later one, and each report comes once."""
    woken: list[str] = []
    pool = LocalPool(tmp_path, {"local": None}, GPUS, Stop())  # type: ignore[dict-item]
    pool.start(_specs(tmp_path, 1, 2, 2, 1), lambda run, _: woken.append(run))
    shards.await_held(0, 1)
    assert not set(shards.held[0]) & set(shards.held[1])
    assert {number for _, number in pool.poll().open} == {0, 1, 2, 3}
    shards.let_go(0)
    shards.await_held(1, 2)
    shards.let_go(1)
    shards.await_held(2, 3)
    for number in (2, 3):
        shards.let_go(number)
    pool.close()
    assert sorted(report.shard for report in pool.poll().reports) == [0, 1, 2, 3]
    assert pool.poll() == Seen(frozenset(), ())
    assert woken == ["m-v-0"] * 4


def test_on_the_cpu_one_follows_the_other(tmp_path: Path, shards: Shards) -> None:
    """Two at once would share the cores, and take longer than their limits say."""
    pool = LocalPool(tmp_path, {"local": None}, (), Stop())  # type: ignore[dict-item]
    pool.start(_specs(tmp_path, 0, 0), lambda *_: None)
    shards.await_held(0)
    shards.let_go(0)
    shards.await_held(1)
    shards.let_go(1)
    pool.close()


@pytest.mark.parametrize(
    ("gpus", "each", "cases", "parts"), [(0, 0, 9, 1), (4, 1, 9, 4), (4, 2, 9, 2), (3, 2, 9, 1), (4, 1, 2, 2)]
)
def test_there_is_a_part_for_every_set_of_gpus(gpus: int, each: int, cases: int, parts: int, tmp_path: Path) -> None:
    """What is left of them for less than a container is not used."""
    assert LocalPool(tmp_path, {}, GPUS[:gpus], Stop()).parts(cases, each) == parts


def test_several_shards_share_each_gpu_where_that_is_asked_for(tmp_path: Path, shards: Shards) -> None:
    """Spread over all of them first; no more than so many at once on one, and each place knows of the others."""
    pool = LocalPool(tmp_path, {"local": None}, GPUS[:2], Stop(), 2)  # type: ignore[dict-item]
    assert [pool.parts(cases, 1) for cases in (9, 3)] == [4, 3]
    pool.start(_specs(tmp_path, 1, 1, 1, 1, 1), lambda *_: None)
    shards.await_held(0, 1, 2, 3)
    assert [shards.held[number] for number in range(4)] == [("GPU-0",), ("GPU-1",)] * 2
    assert shards.sharing == {2}
    shards.let_go(2)
    shards.await_held(0, 1, 3, 4)
    assert shards.held[4] == ("GPU-0",)
    for number in range(5):
        shards.let_go(number)
    pool.close()


def test_what_has_not_begun_is_withdrawn(tmp_path: Path, shards: Shards) -> None:
    """A request to stop reaches what runs by itself."""
    stop = Stop()
    pool = LocalPool(tmp_path, {"local": None}, (), stop)  # type: ignore[dict-item]
    pool.start(_specs(tmp_path, 0, 0), lambda *_: None)
    shards.await_held(0)
    pool.stop(now=False)
    assert pool.poll().open == {ShardId("m-v-0", 0)}
    assert stop.soon.is_set()
    assert not stop.now.is_set()
    shards.let_go(0)
    pool.close()
