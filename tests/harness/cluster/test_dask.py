"""The pool beside a scheduler that is played: what is handed in when, and what becomes of it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from harness.cluster import dask
from harness.cluster.config import DaskCluster
from harness.cluster.dask import DaskPool
from harness.engines.base import Mount
from harness.errors import Interrupted, PrerequisiteError
from harness.images.build import Image
from harness.registry.declaration import Model, Variant
from harness.registry.discovery import Plugin
from harness.registry.resources import Resources
from harness.runs.pools import ShardId
from harness.runs.report import ShardReport
from harness.runs.spec import ShardSpec
from harness.sandbox.contract import Job


class Scheduler:
    """A scheduler: workers with what they offer, and futures that the test ends."""

    address = "tls://gpu1:8786"
    busy_before: ClassVar[dict[str, Any]] = {}

    def __init__(self, _: DaskCluster) -> None:
        self.offered: dict[str, dict[str, float]] = {"a": {"SLOT": 1, "GPU": 1}, "b": {"SLOT": 1, "GPU": 2}}
        self.busy: dict[str, Any] = dict(self.busy_before)
        self.futures: dict[str, asyncio.Future[str]] = {}
        self.asked: dict[str, dict[str, Any]] = {}
        self.lost = self.closed = False
        self.client = self
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def call(self, work: Callable[[], Any], seconds: float = 5) -> Any:
        async def awaited() -> Any:
            return await work()

        return asyncio.run_coroutine_threadsafe(awaited(), self.loop).result(seconds)

    def workers(self) -> dict[str, Any]:
        return {name: {"name": name, "resources": offers} for name, offers in self.offered.items()}

    def ask(self, question: Any, *_: str, workers: list[str], seconds: float) -> dict[str, str]:
        return {name: json.dumps(self.busy.get(name)) for name in workers}

    def gone(self, why: str) -> Interrupted:
        return Interrupted(why)

    def submit(self, function: Any, text: str, *, key: str, **options: Any) -> asyncio.Future[str]:
        future: asyncio.Future[str] = self.loop.create_future()
        self.futures[key.rpartition("-")[0]] = future
        self.asked[key.rpartition("-")[0]] = {"text": text, **options}
        return future

    async def cancel(self, futures: list[asyncio.Future[str]]) -> None:
        for future in futures:
            future.cancel()

    def end(self, key: str, said: str | BaseException) -> None:
        """End a future on the scheduler's thread."""
        future = self.futures[key]

        async def end() -> None:
            if isinstance(said, str):
                future.set_result(said)
            else:
                future.set_exception(said)

        self.call(end)

    def close(self) -> None:
        self.closed = True
        self.call(lambda: self.cancel(list(self.futures.values())))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
        self.loop.close()


@pytest.fixture
def schedulers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Scheduler]]:
    """Return the schedulers that pools have connected to."""
    made: list[Scheduler] = []

    def connect(cluster: DaskCluster) -> Scheduler:
        made.append(Scheduler(cluster))
        return made[-1]

    monkeypatch.setattr(dask, "Session", connect)
    yield made
    for scheduler in made:
        if not scheduler.closed:
            scheduler.close()


CLUSTER = DaskCluster(name="lab", kind="dask", address="tls://gpu1:8786", shared=Path("/proj"), shard_minutes=1)


def _shard(number: int, gpus: int = 0, *, case_minutes: float = 0.1) -> ShardSpec:
    resources = Resources(start_minutes=0.1, case_minutes=case_minutes)
    model = Model("m", "M", "A model.", "1", Path("/"), variants=(Variant("v"),), resources=resources)
    job = Job(model="m", variant="v", seed=0, devices=["cpu"], threads=1)
    image, mounts = Image("sha256:1"), (Mount(Path("/proj/w"), "weights/w"),)
    return ShardSpec("r", number, "p", Path("/proj/runs/r"), Plugin(model, "x"), image, job, "docker", gpus, (), mounts)


def _wait(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not come about")


def _pool(schedulers: list[Scheduler], gpus: int = 0) -> tuple[DaskPool, Scheduler, list[str]]:
    said: list[str] = []
    pool = DaskPool(CLUSTER, gpus=gpus, log=said.append)
    return pool, schedulers[-1], said


@pytest.mark.parametrize(
    ("cases", "each", "limit", "parts"),
    [(20, 0, 0, 2), (1, 0, 0, 1), (20, 1, 1, 1), (20, 1, 2, 2), (20, 2, 4, 1), (400, 1, 1, 8), (20, 1, 9, 2)],
)
def test_parts(schedulers: list[Scheduler], cases: int, each: int, limit: int, parts: int) -> None:
    """One a worker that can run them, no more at once than GPUs were asked for, and none of more than 50 cases."""
    pool, _, _ = _pool(schedulers, limit)
    assert pool.parts(cases, each) == parts


def test_a_shard_is_text_with_what_it_needs(schedulers: list[Scheduler]) -> None:
    """GPUs of a worker, or its slot; never tried again by Dask; and a time limit that a case fits into."""
    pool, scheduler, _ = _pool(schedulers)
    pool.start([_shard(1, 2), _shard(2), _shard(3, case_minutes=10)], lambda *_: None)
    asked = scheduler.asked
    assert asked["r-1"]["resources"] == {"GPU": 2}
    assert asked["r-2"]["resources"] == {"SLOT": 1}
    assert {(each["retries"], each["pure"]) for each in asked.values()} == {(0, False)}
    shards = [json.loads(json.loads(asked[f"r-{number}"]["text"])["shard"]) for number in (2, 3)]
    assert [shard["deadline_s"] for shard in shards] == [60, 6 + 2 * 600]
    assert shards[0]["mounts"] == [["w", "weights/w"]]  # below the shared folder, wherever that is mounted
    pool.close()
    assert scheduler.closed


def test_no_more_gpus_at_once_than_were_asked_for(schedulers: list[Scheduler]) -> None:
    """What waits is handed in when what runs has ended; the report is brought once."""
    pool, scheduler, _ = _pool(schedulers, 1)
    woken: list[str] = []
    pool.start([_shard(1, 1), _shard(2, 1)], lambda run, _: woken.append(run))
    assert list(scheduler.futures) == ["r-1"]
    assert pool.poll().open == {ShardId("r", 1), ShardId("r", 2)}
    scheduler.end("r-1", ShardReport("r", 1, "done", "gpu1").to_json())
    _wait(lambda: woken == ["r"])
    seen = pool.poll()
    assert (seen.open, seen.reports) == ({ShardId("r", 2)}, (ShardReport("r", 1, "done", "gpu1"),))
    assert list(scheduler.futures) == ["r-1", "r-2"]
    assert pool.poll().reports == ()


@pytest.mark.parametrize("said", [RuntimeError("killed worker"), "not a report", ShardReport("x", 9, "done").to_json()])
def test_what_is_not_its_report_is_a_lost_shard(schedulers: list[Scheduler], said: Any) -> None:
    """Dask's own errors, other text, and the report of another shard."""
    pool, scheduler, _ = _pool(schedulers)
    pool.start([_shard(1)], lambda *_: None)
    scheduler.end("r-1", said)
    reports: list[ShardReport] = []
    _wait(lambda: bool(reports.extend(pool.poll().reports) or reports))
    assert [(report.run, report.shard, report.state) for report in reports] == [("r", 1, "lost")]


def test_stopping_withdraws_what_has_not_begun(schedulers: list[Scheduler]) -> None:
    """What runs on a worker looks at the run's stop file, and its report is waited for."""
    pool, scheduler, _ = _pool(schedulers)
    pool.start([_shard(1), _shard(2)], lambda *_: None)
    scheduler.busy = {"a": ["r", 1]}
    pool.stop(now=False)
    _wait(lambda: pool.poll().open == {ShardId("r", 1)})
    assert not scheduler.futures["r-1"].cancelled()


def test_shards_of_an_earlier_command_are_followed(
    schedulers: list[Scheduler], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the worker has ended them."""
    monkeypatch.setattr(dask, "_LOOK_AT_WORKERS_S", 0)
    monkeypatch.setattr(Scheduler, "busy_before", {"b": ["old", 4]})
    pool, scheduler, _ = _pool(schedulers)
    assert pool.poll().open == {ShardId("old", 4)}
    scheduler.busy = {"b": None}
    _wait(lambda: pool.poll().open == frozenset())


def test_a_scheduler_that_is_gone_interrupts(schedulers: list[Scheduler]) -> None:
    """Exit code 130: the same command goes on."""
    pool, scheduler, _ = _pool(schedulers)
    scheduler.lost = True
    with pytest.raises(Interrupted):
        pool.poll()


def test_without_workers_it_waits_and_says_so(schedulers: list[Scheduler], monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, with the time; then it is an error, and a worker that comes in time is told too."""
    monkeypatch.setattr(dask, "_LOOK_AT_WORKERS_S", 0)
    pool, scheduler, said = _pool(schedulers)
    pool.start([_shard(1, 1)], lambda *_: None)
    before, scheduler.offered = scheduler.offered, {"c": {"SLOT": 1}}
    pool.poll()
    pool.poll()
    assert len(said) == 1
    assert "waiting up to 10 minutes" in said[0]
    scheduler.offered = before
    pool.poll()
    assert said[1:] == ["there is a worker again"]
    scheduler.offered = {}
    monkeypatch.setattr(dask, "_WORKERLESS_S", -1)
    with pytest.raises(PrerequisiteError, match="has had no worker"):
        pool.poll()


@pytest.mark.parametrize(
    ("offered", "gpus", "said"),
    [
        ({}, 0, "has no workers"),
        ({"a": {}}, 0, "none of the 1 workers of cluster 'lab' was started by bench"),
        ({"a": {"GPU": 8}}, 1, "was started by bench"),
        ({"a": {"SLOT": 1}}, 1, "needs 1 GPU, and no worker"),
        ({"a": {"SLOT": 1, "GPU": 1}}, 2, "as many: a 1"),
    ],
)
def test_no_worker_with_the_resource(
    schedulers: list[Scheduler], offered: dict[str, dict[str, float]], gpus: int, said: str
) -> None:
    """The message has what there is, and how a worker is started."""
    pool, scheduler, _ = _pool(schedulers)
    scheduler.offered = offered
    with pytest.raises(PrerequisiteError, match=said) as raised:
        pool.require_workers(gpus)
    assert "bench worker --address tls://gpu1:8786 --shared /proj" in raised.value.fix
