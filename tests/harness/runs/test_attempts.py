"""Attempts at a shard go on until every case has an outcome; the containers here play a part and run nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from harness.engines.base import ContainerSpec, Engine, Exit, Tried
from harness.engines.nvidia import Gpu
from harness.errors import PrerequisiteError
from harness.images.build import Image
from harness.registry.declaration import Model, Variant
from harness.registry.discovery import Plugin
from harness.runs.attempts import run_cases
from harness.runs.outcome import CaseOutcome, ContainerFigures
from harness.runs.place import Place
from harness.runs.spec import ShardSpec
from harness.runs.tries import Mark, lost_with
from harness.sandbox.contract import CasePrompt, FindingPrompt, Job
from harness.sandbox.job import JobCase
from harness.sandbox.masks import accept
from harness.sandbox.stop import Stop
from harness.status import Status

CLEAN, KILLED = Exit(0, state="exited"), Exit(137, peak_bytes=7, state="exited")

#: What a container does with the names of its cases; returns how it ended, or None to go on running.
Part = Callable[["Played"], Exit | None]


class Played:
    """A container that plays a part at its first tick."""

    def __init__(self, spec: ContainerSpec, part: Part, killed: Exit = KILLED) -> None:
        self.spec, self.part, self.killed = spec, part, killed
        lines = (spec.root / "cases.jsonl").read_text(encoding="utf-8").splitlines()
        self.cases = [json.loads(line)["id"] for line in lines]
        self.end: Exit | None = None
        self.played = False

    def says(self, **record: object) -> None:
        with (self.spec.root / "out" / "events.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def delivers(self, case: str) -> None:
        (self.spec.root / "out" / case).mkdir()
        (self.spec.root / "out" / case / "0.nii.gz").write_bytes(b"mask")

    def wait(self, seconds: float) -> Exit | None:
        if not self.played:
            self.played, self.end = True, self.part(self)
        elif self.end is None:
            threading.Event().wait(seconds)
        return self.end

    def ask(self) -> None:
        raise AssertionError("a container that predicts is not asked")

    def held_bytes(self, device: int) -> int:
        return 0

    def stop(self) -> Exit:
        return self.end or self.killed

    def remove(self) -> None:
        """Nothing is left of it."""


class Stage:
    """An engine whose containers play one part after another."""

    isolates = False
    limits_memory = True

    def __init__(self, *parts: Part) -> None:
        self.parts = list(parts)
        self.given: list[list[str]] = []
        self.killed = KILLED
        self.tried = Tried(0)
        self.commands: list[Sequence[str]] = []

    def try_out(self, spec: ContainerSpec, command: Sequence[str]) -> Tried:
        self.commands.append(command)
        return self.tried

    def start(self, spec: ContainerSpec) -> Played:
        container = Played(spec, self.parts.pop(0), self.killed)
        self.given.append(container.cases)
        spec.log.write_text("it is the model's fault\n")
        return container


def _does_all(container: Played) -> Exit:
    for case in container.cases:
        container.delivers(case)
        container.says(event="case_done", case=case)
    return CLEAN


def _dies_on(bad: str) -> Part:
    def part(container: Played) -> Exit:
        for case in container.cases:
            container.says(event="progress", stage="case", case=case)
            if case == bad:
                return KILLED
            container.delivers(case)
            container.says(event="case_done", case=case)
        return CLEAN

    return part


def _dies_on_any(bad: str) -> Part:
    def part(container: Played) -> Exit:
        for case in container.cases:
            if case in bad:
                return _dies_on(case)(container)
        return _does_all(container)

    return part


def _run(
    folder: Path, stage: Stage, names: str, stop: Stop | None = None, gpus: tuple[Gpu, ...] = (), per_gpu: int = 1
) -> tuple[dict[str, CaseOutcome], list[Any]]:
    plugin = Plugin(Model("m", "M", "A model.", "1", Path("/"), variants=(Variant("v"),)), "here")
    cases = tuple(
        JobCase(
            CasePrompt(
                id=name, ct="ct", shape=(1, 1, 1), spacing=(1, 1, 1), findings=[FindingPrompt(id="0", text="A nodule.")]
            ),
            (),
        )
        for name in names
    )
    job = Job(model="m", variant="v", seed=0, devices=["cpu"], threads=1)
    outcomes: list[CaseOutcome] = []
    containers: dict[int, ContainerFigures] = {}

    def emit(report: CaseOutcome | ContainerFigures) -> None:
        if isinstance(report, CaseOutcome):
            outcomes.append(report)
            assert not report.collected or accept(folder / "masks", report.case, report.collected)
        else:
            containers[report.container] = report

    spec = ShardSpec("run", 0, "plan", folder, plugin, Image("i"), job, "stage", 0, cases)
    place = Place(cast("Engine", stage), folder / "scratch", gpus, per_gpu)
    mark, root = Mark(folder, "0"), folder / "shards"
    root.mkdir(exist_ok=True, parents=True)
    run_cases(spec, place, "0", root=root, emit=emit, mark=mark, stop=stop or Stop())
    assert len({outcome.case for outcome in outcomes}) == len(outcomes), "a case ended twice"
    assert list(root.iterdir()) == []
    assert lost_with(folder) == {}, "a case is marked that is not in flight"
    return {each.case: each for each in outcomes}, list(containers.values())


def test_every_case_of_a_good_container_is_ok(tmp_path: Path) -> None:
    """One container, one outcome a case, and its masks are in the run's folder."""
    outcomes, figures = _run(tmp_path, Stage(_does_all), "abc")
    assert {case: (each.status, each.attempts) for case, each in outcomes.items()} == dict.fromkeys(
        "abc", (Status.OK, 1)
    )
    assert len(figures) == 1
    assert (tmp_path / "masks" / "b" / "0.nii.gz").read_bytes() == b"mask"


def test_the_case_that_kills_is_tried_once_more_alone(tmp_path: Path) -> None:
    """The others go on without it; then it has its own container, and the evidence of its death is kept."""
    stage = Stage(_dies_on("b"), _does_all, _dies_on("b"))
    outcomes, figures = _run(tmp_path, stage, "abc")
    assert stage.given == [["a", "b", "c"], ["c"], ["b"]]
    assert {case: each.status for case, each in outcomes.items()} == {
        "a": Status.OK, "c": Status.OK, "b": Status.PLUGIN_ERROR,
    }  # fmt: skip
    bad = outcomes["b"]
    assert bad.attempts == 2
    assert bad.reason == ("the container was ended by SIGKILL (exit code 137); its last line: it is the model's fault")
    assert bad.evidence is not None
    seen = bad.evidence.document()
    assert (seen["state"], seen["ended_by_us"], seen["exit_code"], seen["peak_bytes"]) == ("exited", False, 137, 7)
    assert seen["last_event"] == {"event": "progress", "stage": "case", "case": "b"}
    assert len(figures) == 3


def test_a_clean_end_settles_what_is_open(tmp_path: Path) -> None:
    """A program without events delivers by its folders; a case without one is missing."""

    def silent(container: Played) -> Exit:
        if "a" in container.cases:
            container.delivers("a")
        return CLEAN

    stage = Stage(silent, silent)
    outcomes, _ = _run(tmp_path, stage, "ab")
    assert stage.given == [["a", "b"], ["b"]]
    assert outcomes["a"].status is Status.OK
    assert (outcomes["b"].status, outcomes["b"].reason) == (
        Status.MISSING_OUTPUT, "the container ended well without writing out/b/",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("end", "status", "reason"),
    [
        (Exit(137, oom=True), Status.OOM, "the kernel ended it for its memory (limit: memory_gb = "),
        (Exit(0, oom=True), Status.OOM, "the kernel ended it for its memory (limit: memory_gb = "),
        (Exit(None, error="the engine lost it"), Status.INFRA_ERROR, "the engine lost it"),
        (Exit(3), Status.PLUGIN_ERROR, "the container ended with exit code 3"),
    ],
)
def test_a_death_has_a_status(end: Exit, status: Status, reason: str, tmp_path: Path) -> None:
    """Decided from the engine's evidence; where it reports nothing, each case gets a container of its own."""
    stage = Stage(*[lambda _: end] * 4)
    outcomes, _ = _run(tmp_path, stage, "ab")
    assert stage.given == [["a", "b"], ["a", "b"], ["a"], ["b"]]
    assert [each.status for each in outcomes.values()] == [status] * 2
    assert all(each.reason.startswith(reason) for each in outcomes.values())


def test_a_model_that_cannot_be_loaded_is_given_up(tmp_path: Path) -> None:
    """Twice in a row: loading does not know the cases, so no other container would do better."""

    def dies_while_loading(container: Played) -> Exit:
        container.says(event="started")
        return KILLED

    outcomes, figures = _run(tmp_path, Stage(dies_while_loading, dies_while_loading), "abcdef")
    assert len(figures) == 2
    assert {each.reason.partition(";")[0] for each in outcomes.values()} == {
        "given up after 2 containers in a row that did not load the model"
    }


def test_after_five_deaths_each_case_has_a_container_of_its_own(tmp_path: Path) -> None:
    """Five in a row that finish nothing say nothing about the cases that follow."""
    stage = Stage(*[_dies_on_any("abcde")] * 5, *[_dies_on_any("abcde")] * 8)
    outcomes, _ = _run(tmp_path, stage, "abcdefgh")
    assert [len(given) for given in stage.given] == [8, 7, 6, 5, 4, *[1] * 8]
    assert {case for case, each in outcomes.items() if each.status is Status.OK} == set("fgh")


def test_a_failure_after_others_is_tried_alone(tmp_path: Path) -> None:
    """What they left behind may be its cause; the first case of a container has nobody to blame."""

    def fails(container: Played) -> Exit:
        for case in container.cases:
            container.says(event="progress", stage="case", case=case)
            if case == "a" or len(container.cases) > 1:
                container.says(event="case_failed", case=case, reason="no space left on device")
            else:
                container.delivers(case)
                container.says(event="case_done", case=case)
        return CLEAN

    stage = Stage(fails, fails, fails)
    outcomes, _ = _run(tmp_path, stage, "abc")
    assert stage.given == [["a", "b", "c"], ["b"], ["c"]]
    assert {case: (each.status, each.attempts) for case, each in outcomes.items()} == {
        "a": (Status.PLUGIN_ERROR, 1), "b": (Status.OK, 2), "c": (Status.OK, 2),
    }  # fmt: skip


def test_stop_soon_ends_between_two_cases(tmp_path: Path) -> None:
    """The case in flight is kept, the next one is not begun, and a case without an outcome is done another time."""
    stop = Stop()

    def does_one(container: Played) -> None:
        container.says(event="progress", stage="case", case="a")
        container.delivers("a")
        container.says(event="case_done", case="a")
        container.says(event="progress", stage="case", case="b")
        stop.soon.set()

    outcomes, _ = _run(tmp_path, Stage(does_one), "abc", stop)
    assert {case: each.status for case, each in outcomes.items()} == {"a": Status.OK}


def test_what_an_event_claims_is_checked(tmp_path: Path) -> None:
    """Cases that are not its own, cases that are done, times and memory beyond reason change nothing."""

    def boasts(container: Played) -> Exit:
        container.delivers("a")
        container.says(event="case_done", case="../../etc")
        container.says(event="case_done", case="a", seconds=9e9, host_bytes=2**60, device_bytes=1)
        container.says(event="case_failed", case="a", reason="never mind")
        container.says(event="warning", case="elsewhere", text="no")
        return CLEAN

    outcomes, _ = _run(tmp_path, Stage(boasts), "a")
    done = outcomes["a"]
    assert done.status is Status.OK
    assert done.seconds is not None
    assert done.seconds < 60
    assert (done.host_bytes, done.device_bytes, done.seen()) == (None, None, {})


def test_memory_of_a_gpu_is_told_of_loading_and_of_each_case(tmp_path: Path) -> None:
    """Where a container has a GPU; without one a claim to have used it says nothing."""

    def tells(container: Played) -> Exit:
        container.says(event="progress", stage="loaded", device_bytes=5)
        container.delivers("a")
        container.says(event="case_done", case="a", device_bytes=7)
        return CLEAN

    found: list[tuple[int | None, int | None]] = []
    one = (Gpu("GPU-0", "H200", 141_000),)
    for name, gpus in (("none", ()), ("one", one)):
        outcomes, costs = _run(tmp_path / name, Stage(tells), "a", gpus=gpus)
        found.append((costs[-1].load_device_bytes, outcomes["a"].device_bytes))
    assert found == [(None, None), (5, 7)]


def test_what_a_container_takes_of_a_shared_gpu_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver counts all of its containers together."""
    used = iter(range(1000))
    monkeypatch.setattr("harness.engines.device_memory.used_bytes", lambda _: next(used))
    gpu, peaks = (Gpu("GPU-0", "H200", 141_000),), []
    for per_gpu in (1, 2):
        _, costs = _run(tmp_path / str(per_gpu), Stage(_does_all), "a", gpus=gpu, per_gpu=per_gpu)
        peaks.append(costs[-1].device_bytes)
    assert peaks[0] is not None
    assert peaks[1] is None


def test_warnings_are_kept_with_their_case(tmp_path: Path) -> None:
    """In order, none twice, no more than twenty."""

    def warns(container: Played) -> Exit:
        for number in (1, 1, *range(2, 40)):
            container.says(event="warning", case="a", text=f"cut {number}")
        return _does_all(container)

    outcomes, _ = _run(tmp_path, Stage(warns), "a")
    assert outcomes["a"].seen() == {"warnings": [f"cut {number}" for number in range(1, 21)]}


def test_on_a_full_disk_nobody_is_to_blame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was delivered may not be whole, and what failed had no room: both are tried again another time."""
    monkeypatch.setattr("harness.runs.attempts.lack_of_disk", lambda _: "the disk is full")

    def one_each(container: Played) -> Exit:
        container.delivers("a")
        container.says(event="case_done", case="a")
        container.says(event="case_failed", case="b", reason="no space left on device")
        return CLEAN

    def fails(container: Played) -> Exit:
        container.says(event="case_failed", case="b", reason="no space left on device")
        return CLEAN

    outcomes, _ = _run(tmp_path, Stage(one_each, fails), "ab")
    assert {case: (each.status, each.reason) for case, each in outcomes.items()} == {
        "a": (Status.INFRA_ERROR, "the disk is full"),
        "b": (Status.INFRA_ERROR, "the disk is full; no space left on device"),
    }


@pytest.mark.parametrize(
    ("tried", "refused"),
    [(Tried(42, "cannot create: Read-only file system"), "read-only"), (Tried(None, "it hangs"), "refused")],
)
def test_a_death_on_a_broken_machine_is_not_the_models(tmp_path: Path, tried: Tried, refused: str) -> None:
    """Before a death is recorded the machine is tried again; where it fails, the case has no outcome at all."""
    stage = Stage(_dies_on("b"))
    stage.isolates, stage.tried = True, tried
    with pytest.raises(PrerequisiteError, match=refused):
        _run(tmp_path, stage, "abc")
    assert stage.given == [["a", "b", "c"]]
    assert stage.commands


def test_a_container_whose_end_is_not_known_was_not_too_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the engine does not say how a container ended that broke a bound, nobody knows whose fault it was."""
    monkeypatch.setattr("harness.runs.attempts.CaseClock.late", lambda *_: "no event came within 1 s")
    stage = Stage(lambda _: None, lambda _: None)
    stage.killed = Exit(None, error="the container could not be stopped")
    outcomes, _ = _run(tmp_path, stage, "a")
    assert outcomes["a"].status is Status.INFRA_ERROR
    assert "could not be stopped; before that: no event came" in outcomes["a"].reason
