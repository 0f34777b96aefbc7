"""Hosts that are threads, whose containers play, and a pool that loses, doubles and delays what it may."""

from __future__ import annotations

import dataclasses
import json
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import nibabel as nib
import numpy as np

from harness.dataset import open_dataset
from harness.dataset.fingerprint import fingerprint_of
from harness.engines.base import ContainerSpec, Engine, Exit
from harness.images.build import Image
from harness.registry.declaration import Model, Variant
from harness.registry.discovery import Plugin
from harness.registry.resources import Resources
from harness.rows import RunRow
from harness.runs.place import Place
from harness.runs.plan import Plan, RunRequest, select_cases
from harness.runs.pools import Seen, ShardId, Wake
from harness.runs.prepare import Ready
from harness.runs.report import ShardReport
from harness.runs.run import carry_out
from harness.runs.shard import run_shard
from harness.runs.spec import ShardSpec
from harness.runs.tries import TRIES
from harness.sandbox.stop import Stop
from harness.store.database import Store

CASES = 8
CLEAN = Exit(0, state="exited")

#: What a case does in its container: delivers, fails, or ends it.
PARTS = {"toy_2_a_1": "fails", "toy_5_a_1": "dies"}


class KilledError(BaseException):
    """The worker is dead: nothing that it would have done after this happens."""


class Played:
    """A container that does one case at a tick; `before` and `after` are called around each."""

    def __init__(self, spec: ContainerSpec, before: Callable[[str], None], after: Callable[[str], None]) -> None:
        self.spec, self.before, self.after = spec, before, after
        lines = (spec.root / "cases.jsonl").read_text(encoding="utf-8").splitlines()
        self.left = [json.loads(line) for line in lines]
        self.end: Exit | None = None

    def says(self, **record: object) -> None:
        with (self.spec.root / "out" / "events.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def wait(self, seconds: float) -> Exit | None:
        time.sleep(0.001)
        if self.end is None and not self.left:
            self.end = CLEAN
        if self.end is not None:
            return self.end
        case = self.left.pop(0)
        self.says(event="progress", stage="case", case=case["id"])
        self.before(case["id"])
        if PARTS.get(case["id"]) == "dies":
            self.end = Exit(139, state="exited")
            return self.end
        if PARTS.get(case["id"]) == "fails":
            self.says(event="case_failed", case=case["id"], reason="it is too hard")
        else:
            self._deliver(case)
            self.says(event="case_done", case=case["id"])
        self.after(case["id"])
        return None

    def _deliver(self, case: dict[str, Any]) -> None:
        folder = self.spec.root / "out" / case["id"]
        folder.mkdir()
        for finding in case["findings"]:
            mask = np.zeros(case["shape"], np.uint8)
            mask[2:5, 3:6, : 1 + len(case["id"]) % 4 + int(finding["id"])] = 1
            nib.save(nib.Nifti1Image(mask, np.diag([-2.0, -2.0, 3.0, 1.0])), folder / f"{finding['id']}.nii.gz")  # type: ignore[no-untyped-call]

    def ask(self) -> None:
        raise AssertionError("a container that predicts is not asked")

    def held_bytes(self, device: int) -> int:
        return 0

    def stop(self) -> Exit:
        return self.end or CLEAN

    def remove(self) -> None:
        """Nothing is left of it."""


@dataclass
class Host:
    """An engine whose containers play."""

    before: Callable[[str], None]
    after: Callable[[str], None]
    name: str = "played"
    isolates: bool = False

    def start(self, spec: ContainerSpec) -> Played:
        spec.log.touch()
        return Played(spec, self.before, self.after)

    def describe(self) -> dict[str, Any]:
        return {"engine": self.name}

    def lacks(self, gpu_ids: Sequence[str] = ()) -> list[str]:
        return []


@dataclass
class Hostile:
    """A pool of two hosts that keeps its promises, and no more than those.

    A worker is killed before, after or between cases: from then on it does nothing, or it goes on as a zombie that the
    pool denies. Reports are dropped, doubled, delayed and reordered. A shard is handed to two hosts at once.
    """

    shared: Path
    draw: random.Random
    kills: float = 0.0
    drops: float = 0.0
    doubles: float = 0.0
    delays: float = 0.0
    twice: float = 0.0
    poison: str = ""
    loses_all: bool = False
    waits: tuple[threading.Event, int] | None = None  #: what a shard waits for, and after how many cases
    at_case: tuple[str, Callable[[], object]] = ("", lambda: None)
    slow_s: float = 0.0
    shard_s: float | None = None  #: after which a shard begins no further case
    name: str = "hostile"
    engine: str = "played"
    look_s: float = 0.02
    redeals: int = 30
    hosts: int = 2
    running: dict[ShardId, int] = field(default_factory=dict)
    reports: list[tuple[int, ShardReport]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    threads: list[threading.Thread] = field(default_factory=list)
    ends: threading.Event = field(default_factory=threading.Event)
    told: list[str] = field(default_factory=list)
    dealt: list[list[str]] = field(default_factory=list)
    polls: int = 0
    killed: int = 0
    struck: set[str] = field(default_factory=set)  #: in flight when a worker was killed: no other one dies of it
    begun: int = 0

    def parts(self, cases: int, gpus: int) -> int:
        return min(cases, self.hosts)

    def start(self, specs: Sequence[ShardSpec], wake: Wake) -> None:
        for spec in specs:
            text = spec.to_json(self.shared)
            self.dealt.append([case.prompt.id for case in spec.cases])
            if self.loses_all:
                continue
            for _ in range(1 + (self.draw.random() < self.twice)):
                with self.lock:
                    key = ShardId(spec.run, spec.number)
                    self.running[key] = self.running.get(key, 0) + 1
                    self.begun += 1
                thread = threading.Thread(target=self._work, args=(text, random.Random(self.draw.random())))
                self.threads.append(thread)
                thread.start()

    def _work(self, text: str, draw: random.Random) -> None:
        spec = ShardSpec.from_json(text, self.shared)
        dying = {"before": draw.random() < self.kills, "after": draw.random() < self.kills}
        at, seen, lost = draw.randrange(len(spec.cases)), 0, ""

        def strike(when: str, case: str) -> None:
            nonlocal seen, lost
            if when == "before":
                time.sleep(self.slow_s)
                if case == self.at_case[0]:
                    self.at_case[1]()
                if self.waits is not None and seen >= self.waits[1]:
                    self.waits[0].wait(20)
            if case != self.poison and not (dying[when] and seen >= at and case not in self.struck):
                seen += when == "after"
                return
            self.killed += 1
            self.struck.add(case)
            if case == self.poison or draw.random() < 0.5:
                lost = case
                raise KilledError
            # It goes on as a zombie, though nobody counts on it any more.
            dying["before"] = dying["after"] = False
            self._gone(spec)
            time.sleep(draw.uniform(0, 0.3))

        host = Host(lambda case: strike("before", case), lambda case: strike("after", case))
        until = None if self.shard_s is None else time.monotonic() + self.shard_s
        node = f"host-{draw.randrange(99)}"
        place = Place(cast("Engine", host), self.shared / "scratch", node=node, cores=1, deadline=until)
        stop = Stop()
        stop.now = self.ends
        report = run_shard(spec, place, stop)
        if lost:  # a dead process could not have removed its mark
            (spec.folder / TRIES / f"{spec.number}-{self.killed}.{lost}").touch()
        with self.lock:
            for _ in range(0 if lost else 1 + (draw.random() < self.doubles)):
                if draw.random() >= self.drops:
                    late = draw.randrange(8) if draw.random() < self.delays else 0
                    self.reports.append((self.polls + late, report))
        self._gone(spec)

    def _gone(self, spec: ShardSpec) -> None:
        with self.lock:
            key = ShardId(spec.run, spec.number)
            left = self.running.get(key, 0) - 1
            if left > 0:
                self.running[key] = left
            else:
                self.running.pop(key, None)

    def poll(self) -> Seen:
        with self.lock:
            self.polls += 1
            due = [report for when, report in self.reports if when <= self.polls]
            self.reports = [(when, report) for when, report in self.reports if when > self.polls]
            self.draw.shuffle(due)
            return Seen(frozenset(self.running), tuple(due))

    def stop(self, *, now: bool) -> None:
        self.told.append("now" if now else "soon")

    def close(self) -> None:
        self.told.append("closed")


class Quiet:
    """Shows nothing, and remembers what it was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.shown: list[str] = []

    def log(self, line: str) -> None:
        self.lines.append(line)

    def begin(self, run: RunRow, done: int, kept: int) -> None:
        self.lines.append(f"{run.id} {done} {kept}")

    def case(self, run: str, case: Any, done: int) -> None:
        self.shown.append(case.case)

    def training(self, name: str, points: object) -> None:
        raise AssertionError("nothing is trained")


@dataclass
class Lab:
    """A data set, a plugin, and homes of their own."""

    folder: Path
    data: Path
    watcher: Quiet = field(default_factory=Quiet)

    def request(self, **more: Any) -> RunRequest:
        (self.folder / "plugin").mkdir(exist_ok=True)
        resources = Resources(memory_gb=0.1, cpus=1, case_minutes=0.5)
        variant = Variant("v")
        model = Model("m", "M", "S.", "1", self.folder / "plugin", variants=(variant,), resources=resources)
        return RunRequest(Plugin(model, "here"), variant, open_dataset(self.data), "test", "mlhc2025", **more)

    def run(self, pool: Hostile, home: str, stop: Stop | None = None) -> RunRow:
        (self.folder / home).mkdir(exist_ok=True)
        pool.shared.mkdir(exist_ok=True)
        self.watcher = Quiet()
        request = self.request()
        image, data = Image("image-of-m"), fingerprint_of(request.dataset, "test")
        plan = Plan(request, select_cases(request.dataset, "test", None), image, data, "played", isolates=True)
        with Store(self.folder / home / "results.db") as store:
            return carry_out(
                Ready(plan, 0, (), {"engine": "played"}),
                pool,
                home=self.folder / home,
                store=store,
                watcher=cast("Any", self.watcher),
                stop=stop or Stop(),
            )

    def rows(self, home: str) -> dict[str, Any]:
        with Store(self.folder / home / "results.db") as store:
            (run,) = store.runs()
            cases = [
                (case.case, case.ordinal, case.status, case.reason.partition(";")[0], case.scored)
                for case in store.cases(run.id)
            ]
            findings = sorted(json.dumps(dataclasses.asdict(row), sort_keys=True) for row in store.findings(run.id))
            metrics = {profile: str(store.metrics(run.id, profile)) for profile in ("mlhc2025", "miccai2026")}
            return {"state": run.state, "cases": sorted(cases), "findings": findings, "metrics": metrics}
