"""A container is watched by a clock that the tests turn: events, time, disk, and a request to stop, each by itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from harness.engines.base import Exit
from harness.sandbox import watch as watching
from harness.sandbox.contract import CaseDone, Event, Started
from harness.sandbox.stop import Stop
from harness.sandbox.watch import Bounds, Broken, Ended, watch
from harness.status import Status

CLEAN = Exit(0, state="exited")
KILLED = Exit(137, state="exited")


class Clock:
    """Time that passes while somebody waits for the container, and at no other time."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class StandIn:
    """A container that does what a test says: `script` has what it does at each tick, then it ends or goes on."""

    def __init__(
        self,
        clock: Clock,
        out: Path,
        script: Sequence[Callable[[], None]] = (),
        *,
        ends: bool = True,
        obeys: bool = False,
    ) -> None:
        self.clock, self.out, self.script, self.ends, self.obeys = clock, out, list(script), ends, obeys
        self.done: list[str] = []
        self.ticks = 0
        self.held = 0

    def wait(self, seconds: float) -> Exit | None:
        self.clock.now += seconds
        self.ticks += 1
        assert self.ticks < 100_000, "watched for ever"
        if self.obeys and "ask" in self.done:
            return CLEAN
        if self.script:
            self.script.pop(0)()
            return None
        return CLEAN if self.ends else None

    def held_bytes(self, device: int) -> int:
        assert device == self.out.stat().st_dev
        return self.held

    def ask(self) -> None:
        self.done.append("ask")

    def stop(self) -> Exit:
        self.done.append("stop")
        return CLEAN if self.ends and not self.script else KILLED

    def remove(self) -> None:
        self.done.append("remove")


class Policy:
    """Keeps what it is given; late from a moment on; work is lost while `busy`."""

    def __init__(self, late_at: float = float("inf")) -> None:
        self.late_at = late_at
        self.busy = True
        self.settled = 0
        self.taken: list[Event] = []
        self.batches: list[tuple[int, bool]] = []

    def take(self, events: Sequence[Event], *, stopping: bool) -> bool:
        self.taken += events
        self.batches.append((len(events), stopping))
        return not self.busy

    def late(self, now: float) -> str:
        return "no case was begun within 5 s" if now > self.late_at else ""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Stop the time."""
    clock = Clock()
    monkeypatch.setattr(watching, "monotonic", clock)
    return clock


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Make an output folder."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def _watch(container: StandIn, policy: Policy, stop: Stop | None = None, *, grace_s: float | None = None) -> Ended:
    bounds = Bounds(container.out, 1, container.out.parent, tick_s=0.5, weigh_every_s=2.0, grace_s=grace_s)
    ended = watch(container, bounds, policy, stop or Stop())
    assert container.done[-2:] == ["stop", "remove"]
    return ended


def _says(out: Path, *records: object) -> Callable[[], None]:
    def write() -> None:
        with (out / "events.jsonl").open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(record) + "\n" for record in records)

    return write


def _nothing() -> None:
    """Let a tick pass."""


def test_events_reach_the_policy_in_order(clock: Clock, out: Path) -> None:
    """Those of every tick, and those that a container wrote just before its end."""
    container = StandIn(clock, out, [_nothing, _says(out, {"event": "started"})])
    _says(out, {"event": "case_done", "case": "before"})()
    policy = Policy()
    assert _watch(container, policy) == Ended(CLEAN, by_itself=True, asked=False, broken=None)
    assert policy.taken == [CaseDone(event="case_done", case="before"), Started(event="started")]


def test_last_events_are_read_although_it_ended(clock: Clock, out: Path) -> None:
    """A container that ends within its first tick is heard, in one piece, however much it said."""
    _says(out, *({"event": "case_done", "case": f"{number:0200}"} for number in range(3000)))()
    policy = Policy()
    _watch(StandIn(clock, out), policy)
    assert policy.batches == [(3000, False)]


def test_a_flood_is_read_a_chunk_a_tick(clock: Clock, out: Path) -> None:
    """A container that floods its events cannot keep the clock from being looked at."""
    _says(out, *({"event": "case_done", "case": f"{number:0200}"} for number in range(3000)))()
    policy = Policy(late_at=clock.now + 0.6)
    ended = _watch(StandIn(clock, out, ends=False), policy)
    assert ended.broken == Broken(Status.TIMEOUT, "no case was begun within 5 s")
    assert len(policy.batches) == 2
    assert 0 < len(policy.taken) < 3000


def test_a_late_container_is_ended(clock: Clock, out: Path) -> None:
    """At the first tick beyond the limit, with the policy's reason."""
    container = StandIn(clock, out, ends=False)
    began = clock.now
    ended = _watch(container, Policy(late_at=began + 5))
    assert ended == Ended(
        KILLED, by_itself=False, asked=False, broken=Broken(Status.TIMEOUT, "no case was begun within 5 s")
    )
    assert clock.now - began == 5.5


def test_too_much_output_is_the_models_fault(clock: Clock, out: Path) -> None:
    """The output folder is weighed every two seconds."""
    container = StandIn(clock, out, [lambda: (out / "huge").write_bytes(bytes(2**21)) and None], ends=False)
    began = clock.now
    ended = _watch(container, Policy())
    assert ended.broken is not None
    assert ended.broken.status == Status.PLUGIN_ERROR
    assert ended.broken.reason == "wrote more than out_gb = 0.000976562 into out/ (the declared limit)"
    assert clock.now - began == 2.0


def test_files_that_were_removed_while_they_are_open_count(clock: Clock, out: Path) -> None:
    """Nobody fills a disk with what no folder shows."""
    container = StandIn(clock, out, ends=False)
    container.held = 2**20 + 1
    broken = _watch(container, Policy()).broken
    assert broken is not None
    assert broken.status is Status.PLUGIN_ERROR
    assert broken.reason.startswith("holds more than out_gb = 0.000976562 (the declared limit) in files that it has")


def test_a_full_disk_is_not_the_models_fault(clock: Clock, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk of the home is looked at together with the output folder."""
    monkeypatch.setattr(watching, "lack_of_disk", lambda folder: "the disk is full" if folder == out.parent else "")
    assert _watch(StandIn(clock, out, ends=False), Policy()).broken == Broken(
        Status.INFRA_ERROR, "the disk is full; this run has 0 kB in out/, other runs 0 kB"
    )


def test_output_is_looked_at_before_the_disk(clock: Clock, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that fills the disk beyond its own limit is named."""
    (out / "huge").write_bytes(bytes(2**21))
    monkeypatch.setattr(watching, "lack_of_disk", lambda _: "the disk is full")
    broken = _watch(StandIn(clock, out, ends=False), Policy()).broken
    assert broken is not None
    assert broken.status is Status.PLUGIN_ERROR


def test_stop_now_ends_it_at_once(clock: Clock, out: Path) -> None:
    """Whatever it is doing, asked or not."""
    for grace_s in (None, 60.0):
        stop = Stop()
        container = StandIn(clock, out, [_nothing, stop.now.set], ends=False)
        ended = _watch(container, Policy(), stop, grace_s=grace_s)
        assert ended == Ended(KILLED, by_itself=False, asked=False, broken=None)
        assert container.ticks == 2


def test_stop_soon_waits_for_the_work_in_flight(clock: Clock, out: Path) -> None:
    """Without a grace a container is not asked: it is ended as soon as its policy says that nothing is lost."""
    stop, policy = Stop(), Policy()

    def free() -> None:
        policy.busy = False

    container = StandIn(clock, out, [stop.soon.set, _nothing, _nothing, free], ends=False)
    ended = _watch(container, policy, stop)
    assert ended == Ended(KILLED, by_itself=False, asked=False, broken=None)
    assert container.done == ["stop", "remove"]
    assert container.ticks == 4
    assert [stopping for _, stopping in policy.batches] == [True] * 4


def test_stop_soon_bounds_the_work_in_flight(clock: Clock, out: Path) -> None:
    """A case that does not end is late, stopped or not."""
    stop = Stop()
    stop.soon.set()
    broken = _watch(StandIn(clock, out, ends=False), Policy(late_at=clock.now + 5), stop).broken
    assert broken is not None
    assert broken.status is Status.TIMEOUT


def test_with_a_grace_it_is_asked_once(clock: Clock, out: Path) -> None:
    """A training saves its state and ends by itself."""
    stop = Stop()
    container = StandIn(clock, out, [stop.soon.set], obeys=True)
    ended = _watch(container, Policy(), stop, grace_s=60.0)
    assert ended == Ended(CLEAN, by_itself=True, asked=True, broken=None)
    assert container.done == ["ask", "stop", "remove"]


def test_a_grace_ends(clock: Clock, out: Path) -> None:
    """One that was asked and goes on is ended after its grace, and asked no second time."""
    stop = Stop()
    container = StandIn(clock, out, [stop.soon.set], ends=False)
    began = clock.now
    ended = _watch(container, Policy(), stop, grace_s=60.0)
    assert ended == Ended(KILLED, by_itself=False, asked=True, broken=None)
    assert container.done == ["ask", "stop", "remove"]
    assert clock.now - began == 61.0


def test_the_container_is_removed_whatever_happens(clock: Clock, out: Path) -> None:
    """An error of the policy, such as a database that cannot be written, leaves no container behind."""

    class Breaks(Policy):
        def take(self, events: Sequence[Event], *, stopping: bool) -> bool:
            raise RuntimeError("disk I/O error")

    container = StandIn(clock, out, ends=False)
    with pytest.raises(RuntimeError, match="disk I/O error"):
        _watch(container, Breaks())
    assert container.done == ["stop", "remove"]


def test_nothing_in_flight_ends_with_its_context() -> None:
    """Even where what is done within fails."""
    stop = Stop()
    with pytest.raises(ValueError, match="x"), stop.nothing_in_flight():
        assert stop.preparing
        raise ValueError("x")
    assert not stop.preparing
