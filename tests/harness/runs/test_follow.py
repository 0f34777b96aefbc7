"""Whatever a pool does with its shards and its reports, the rows are those of an undisturbed run.

The hosts here are threads, their containers play; what they write, and everything that reads it, is the product's own.
"""

from __future__ import annotations

import dataclasses
import json
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import nibabel as nib
import numpy as np
import pytest

from harness.dataset import RunnableCase, open_dataset
from harness.dataset.fingerprint import fingerprint_of
from harness.engines.base import ContainerSpec, Engine, Exit
from harness.errors import Interrupted, PrerequisiteError
from harness.images.build import Image
from harness.registry.declaration import Model, Variant
from harness.registry.discovery import Plugin
from harness.registry.resources import Resources
from harness.rows import RunRow
from harness.runs import deal
from harness.runs import shard as shards
from harness.runs import work as works
from harness.runs.outcome import read_figures
from harness.runs.place import Place
from harness.runs.plan import Plan, RunRequest, select_cases
from harness.runs.pools import Seen, ShardId, Wake
from harness.runs.prepare import Ready
from harness.runs.report import ShardReport
from harness.runs.run import carry_out
from harness.runs.shard import run_shard
from harness.runs.spec import ShardSpec
from harness.runs.tries import TRIES
from harness.sandbox.watch import Stop
from harness.scoring.case import CaseTask
from harness.status import Status
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


@pytest.fixture
def lab(tmp_path: Path, dataset_writer: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Lab:
    """Make a lab whose containers see the cases' own names: what one does, and draws, goes by them."""
    monkeypatch.setattr(deal, "draw_salt", str)
    return Lab(tmp_path, dataset_writer(tmp_path / "toy", CASES))


def _pool(lab: Lab, name: str, seed: int = 0, **how: Any) -> Hostile:
    return Hostile(lab.folder / name, random.Random(seed), **how)


HOSTILITY: dict[str, dict[str, float]] = {
    "drops": {"drops": 1.0},
    "doubles": {"doubles": 1.0},
    "delays-and-reorders": {"delays": 1.0, "doubles": 0.5},
    "hands-in-twice": {"twice": 1.0},
    "kills": {"kills": 0.9},
    "everything": {"kills": 0.8, "drops": 0.3, "doubles": 0.5, "delays": 0.5, "twice": 0.4},
}
TRIALS = [(how, 0) for how in HOSTILITY]
SLOW = [(how, seed) for how in ("kills", "everything") for seed in range(1, 26)]


@pytest.mark.costly
@pytest.mark.parametrize(("how", "seed"), [*TRIALS, *(pytest.param(*trial, marks=pytest.mark.slow) for trial in SLOW)])
def test_rows_do_not_depend_on_the_pool(how: str, seed: int, lab: Lab) -> None:
    """No case is lost, none is done twice, none is blamed; findings and metrics are equal to the last byte."""
    calm = _pool(lab, "calm")
    lab.run(calm, "calm-home")
    hostile = _pool(lab, "shared", seed, **HOSTILITY[how])
    row, shown = lab.run(hostile, "home"), list(lab.watcher.shown)
    for thread in hostile.threads:
        thread.join()
    assert row.state == "done"
    # Lost twice, once with a worker that the pool took for dead: nobody is blamed, and the same command tries again.
    lost = [case[0] for case in lab.rows("home")["cases"] if case[2] == Status.INFRA_ERROR]
    if lost:
        row = lab.run(_pool(lab, "shared"), "home")
        assert sorted(lab.watcher.shown) == lost
        shown = [case for case in shown if case not in lost] + lab.watcher.shown
    assert lab.rows("home") == lab.rows("calm-home")
    assert len(shown) == len(set(shown)) == CASES, "each case is shown once"
    assert hostile.told[-1] == "closed"
    assert not any("not deterministic" in line for line in lab.watcher.lines)
    assert not list((lab.folder / "shared" / "scratch").iterdir())
    assert hostile.killed or not HOSTILITY[how].get("kills"), "no worker was killed: the seed is badly chosen"
    again = lab.run(_pool(lab, "shared", seed, **HOSTILITY[how]), "home")
    assert again == row, "the same command again does nothing"


def test_what_the_time_of_a_shard_does_not_suffice_for_is_dealt_to_all(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many cases were dealt, a shard takes its time; the rest is halved again, and the rows stay the same."""
    monkeypatch.setattr("harness.runs.shard._LAST_S", 0.0)
    monkeypatch.setattr("harness.runs.shard._Writer.expected_s", lambda _: 0.0)
    lab.run(_pool(lab, "calm"), "calm-home")
    bounded = _pool(lab, "bounded", slow_s=0.1, shard_s=0.25)
    lab.run(bounded, "bounded-home")
    assert lab.rows("bounded-home") == lab.rows("calm-home")
    sizes = [len(cases) for cases in bounded.dealt]
    assert sum(sizes[:2]) == CASES
    assert 0 < max(sizes[2:]) < CASES // 2


def test_a_case_that_ends_its_hosts_is_the_last_and_alone(lab: Lab) -> None:
    """After two of them it is nobody's fault, all others are done, and the same command tries it once more."""
    lab.run(_pool(lab, "calm"), "calm-home")
    hostile = _pool(lab, "shared", poison="toy_3_a_1")
    row = lab.run(hostile, "home")
    assert row.state == "done"
    assert hostile.killed == 2
    assert hostile.dealt[-1] == ["toy_3_a_1"]
    rows, calm = lab.rows("home"), lab.rows("calm-home")
    (case,) = [case for case in rows["cases"] if case not in calm["cases"]]
    assert case[0] == "toy_3_a_1"
    assert case[2] == Status.INFRA_ERROR
    assert case[3] == "2 times the worker or its host was lost while this case was in flight"
    assert not row.rankable, "its zero is not the model's"
    again = _pool(lab, "shared", poison="toy_3_a_1")
    lab.run(again, "home")
    assert (again.dealt, again.killed) == ([["toy_3_a_1"]], 1)
    healed = _pool(lab, "shared")
    assert lab.run(healed, "home").rankable
    assert healed.dealt == [["toy_3_a_1"]]
    assert lab.rows("home") == calm


class DeadError(BaseException):
    """The driver is killed: what it would have done after this is not done."""


def test_the_same_command_takes_over_from_a_driver_that_died(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts go on without it: what they have done since is taken over, what they still do is followed, not redone."""
    lab.run(_pool(lab, "calm"), "calm-home")
    gate = threading.Event()
    first = _pool(lab, "shared", waits=(gate, 3))
    with monkeypatch.context() as patch:

        def dies(*_: object) -> None:
            raise DeadError

        patch.setattr(Quiet, "case", dies)
        with pytest.raises(DeadError):
            lab.run(first, "home")
    assert "now" not in first.told, "a driver that is killed tells nobody"
    second = dataclasses.replace(first, told=[], dealt=[], begun=0)
    threading.Timer(0.5, gate.set).start()
    row = lab.run(second, "home")
    assert (row.state, second.begun, second.dealt) == ("done", 0, [])
    assert any("was handed in before and is followed" in line for line in lab.watcher.lines)
    assert lab.rows("home") == lab.rows("calm-home")
    kept = row.timing["cases_per_hour"]
    assert kept is not None
    walls = sum(container.wall_s or 0 for one in read_figures(lab.folder / "shared" / "runs" / row.id).values()
                for container in one.containers)  # fmt: skip
    assert kept == pytest.approx(3600 * (CASES - 2) / walls), "all the containers' time counts, also without a driver"


def test_a_full_shared_folder_is_nobodys_fault(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is recorded of the cases that could not be written; the same command does them."""
    lab.run(_pool(lab, "calm"), "calm-home")
    true_put, count = shards.put, [0]

    def put(folder: Path, found: Any) -> str:
        count[0] += 1
        if count[0] > 3:
            raise OSError(28, "No space left on device", str(folder))
        return true_put(folder, found)

    with monkeypatch.context() as patch:
        patch.setattr(shards, "put", put)
        with pytest.raises(OSError, match="No space left"):
            lab.run(_pool(lab, "shared", redeals=2), "home")
    rows = lab.rows("home")
    assert rows["state"] == "interrupted"
    assert all(case in lab.rows("calm-home")["cases"] for case in rows["cases"])
    lab.run(_pool(lab, "shared"), "home")
    assert lab.rows("home") == lab.rows("calm-home")


def test_a_shared_folder_that_is_gone_is_nobodys_fault(lab: Lab) -> None:
    """The command says so; when it is back, the same command goes on."""
    lab.run(_pool(lab, "calm"), "calm-home")
    shared, away = lab.folder / "shared", lab.folder / "away"
    pool = _pool(lab, "shared", redeals=1, at_case=("toy_4_a_1", lambda: shared.rename(away)))
    with pytest.raises(PrerequisiteError, match="is gone"):
        lab.run(pool, "home")
    for thread in pool.threads:
        thread.join()
    if shared.exists():  # made anew by what had a file open in it
        shutil.rmtree(shared)
    away.rename(shared)
    lab.run(_pool(lab, "shared"), "home")
    assert lab.rows("home") == lab.rows("calm-home")


@pytest.mark.parametrize("lost", ["", "0.nii.gz"], ids=["the folder", "one mask"])
def test_a_mask_that_is_gone_when_it_is_scored_is_not_the_models_fault(
    lost: str, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between outcome and scorer the share was away: nothing counts as missing, and the same command goes on."""
    lab.run(_pool(lab, "calm"), "calm-home")
    true_task, kept = works.case_task, lab.folder / "kept"
    places: list[Path] = []

    def task(case: RunnableCase, masks: Path, flip: tuple[int, ...], *, delivered: bool) -> CaseTask:
        if case.id == "toy_1_a_1":
            places.append(masks / case.id / lost)
            places[-1].rename(kept)
        return true_task(case, masks, flip, delivered=delivered)

    with monkeypatch.context() as patch:
        patch.setattr(works, "case_task", task)
        with pytest.raises(PrerequisiteError, match="lacks masks that were written there"):
            lab.run(_pool(lab, "shared"), "home")
    assert not [case for case in lab.rows("home")["cases"] if case[2] == Status.MISSING_OUTPUT]
    kept.rename(places[0])
    lab.run(_pool(lab, "shared"), "home")
    assert lab.rows("home") == lab.rows("calm-home")


def test_shards_that_never_come_further_end_the_command(lab: Lab) -> None:
    """Each wait has an end: the reason is told, and nothing is recorded of the cases."""
    pool = _pool(lab, "shared", redeals=2, loses_all=True)
    with pytest.raises(PrerequisiteError, match=r"was lost .* and none of its . cases came any further"):
        lab.run(pool, "home")
    assert lab.rows("home")["cases"] == []
    assert len(pool.dealt) >= 3


def test_a_request_to_stop_reaches_the_hosts(lab: Lab) -> None:
    """Through the stop file, wherever they run; the same command goes on."""
    stop = Stop()
    pool = _pool(lab, "shared", at_case=("toy_3_a_1", stop.soon.set), slow_s=0.3)
    with pytest.raises(Interrupted):
        lab.run(pool, "home", stop)
    assert pool.told == ["soon", "closed"]
    done = len(lab.rows("home")["cases"])
    assert 0 < done < CASES
    lab.run(_pool(lab, "shared"), "home")
    lab.run(_pool(lab, "calm"), "calm-home")
    assert len(lab.watcher.shown) == CASES
    assert lab.rows("home") == lab.rows("calm-home")


@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for good"])
def test_what_ends_all_scorers_never_hangs_the_command(
    for_good: bool, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal to the whole group: scored by new processes, or told and nothing lost."""
    true_submit = ProcessPoolExecutor.submit
    asked: list[object] = []

    def submit(pool: ProcessPoolExecutor, *what: Any) -> Any:
        asked.append(what)
        if len(asked) == 3 or (for_good and len(asked) > 3):
            raise EOFError("unexpected EOF")  # as Python has it when the process that forks workers is gone
        return true_submit(pool, *what)

    with monkeypatch.context() as patch:
        patch.setattr(ProcessPoolExecutor, "submit", submit)
        if for_good:
            with pytest.raises(PrerequisiteError, match="something ends them"):
                lab.run(_pool(lab, "shared"), "home")
        else:
            lab.run(_pool(lab, "shared"), "home")
    lab.run(_pool(lab, "shared"), "home")
    lab.run(_pool(lab, "calm"), "calm-home")
    assert lab.rows("home") == lab.rows("calm-home")


@pytest.mark.costly
def test_what_a_killed_command_left_is_swept_where_nothing_is_left_to_run(lab: Lab) -> None:
    """It may have been killed after its last case: the next command only shows the row, and tidies up all the same."""
    row = lab.run(_pool(lab, "shared"), "home")
    scratch = lab.folder / "shared" / "runs" / row.id / "shards"
    program = (
        "import os, sys; from pathlib import Path; from harness.runs.place import own_folder\n"
        "with own_folder(Path(sys.argv[1]), 'run-0') as folder: os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", program, scratch], check=False)
    assert len(list(scratch.iterdir())) == 1
    assert lab.run(_pool(lab, "shared"), "home") == row
    assert list(scratch.iterdir()) == []
