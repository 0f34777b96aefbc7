"""A shard at a place writes files and returns a record, whatever happens; it ends early when it is told to."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from harness.engines.base import ContainerSpec, Engine, Exit
from harness.errors import PrerequisiteError
from harness.runs.outcome import CaseOutcome, Found, put, read, read_figures
from harness.runs.place import Place
from harness.runs.shard import STOP_FILE, run_shard
from harness.runs.spec import ShardSpec
from harness.runs.tries import lost_with
from harness.sandbox.stop import Stop
from harness.status import Status
from tests.harness.runs.test_spec import a_spec

CLEAN = Exit(0, state="exited")


class Played:
    """A container that does a case at every tick, and then what the test wants."""

    def __init__(self, spec: ContainerSpec, after: Callable[[str], None]) -> None:
        self.spec, self.after = spec, after
        lines = (spec.root / "cases.jsonl").read_text(encoding="utf-8").splitlines()
        self.left = [json.loads(line)["id"] for line in lines]

    def says(self, **record: object) -> None:
        with (self.spec.root / "out" / "events.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def wait(self, seconds: float) -> Exit | None:
        time.sleep(seconds / 10)
        if not self.left:
            return CLEAN
        case = self.left.pop(0)
        self.says(event="progress", stage="case", case=case)
        (self.spec.root / "out" / case).mkdir()
        (self.spec.root / "out" / case / "0.nii.gz").write_bytes(case.encode())
        self.says(event="case_done", case=case, seconds=0.0)
        self.after(case)
        return None

    def held_bytes(self, device: int) -> int:
        return 0

    def ask(self) -> None:
        raise AssertionError("a container that predicts is not asked")

    def stop(self) -> Exit:
        return CLEAN

    def remove(self) -> None:
        """Nothing is left of it."""


@dataclass
class Host:
    """An engine on a host, and what happened there."""

    after: Callable[[str], None] = lambda _: None
    name: str = "docker"
    isolates: bool = False
    given: list[ContainerSpec] = field(default_factory=list)
    fails: BaseException | None = None

    def start(self, spec: ContainerSpec) -> Played:
        if self.fails is not None:
            raise self.fails
        self.given.append(spec)
        return Played(spec, self.after)

    def describe(self) -> dict[str, Any]:
        return {"engine": self.name, "version": "1", "packages": {"numpy": "2"}}

    def lacks(self, gpu_ids: Sequence[str]) -> list[str]:
        return ["does not limit memory", *gpu_ids]


def _place(host: Host, tmp_path: Path, **more: Any) -> Place:
    return Place(cast("Engine", host), tmp_path / "scratch", node="host-1", cores=1, **more)


@pytest.fixture
def spec(tmp_path: Path) -> ShardSpec:
    """Write a run's folder, and return a shard of three cases on the CPU."""
    made = replace(a_spec(tmp_path, "a", "b", "c"), gpus=0, deadline_s=None)
    made.folder.mkdir(parents=True)
    (tmp_path / "scratch").mkdir()
    return made


def test_its_results_are_files(spec: ShardSpec, tmp_path: Path) -> None:
    """An outcome a case, masks, and the figures of where it ran; told as they come. Nothing is left on the scratch."""
    host, told = Host(), list[str]()
    report = run_shard(spec, _place(host, tmp_path), Stop(), told.append)
    assert (report.state, report.node, report.reason) == ("done", "host-1", "")
    assert told == ["a", "b", "c"]
    for case in told:
        found = read(spec.folder, case)
        assert found is not None
        assert (found.plan, found.limits) == ("key", spec.plugin.model.resources.limits())
        assert (found.outcome.status, found.outcome.figures, found.outcome.log) == (Status.OK, "4", "logs/4-1.log")
        assert (spec.folder / "masks" / case / "0.nii.gz").read_bytes() == case.encode()
    (figures,) = read_figures(spec.folder).values()
    assert (figures.node, figures.engine) == (
        "host-1",
        {"engine": "docker", "version": "1", "lacks": ["does not limit memory"]},
    )
    assert [container.wall_s is not None for container in figures.containers] == [True]
    assert list((tmp_path / "scratch").iterdir()) == []
    assert lost_with(spec.folder) == {}


def test_a_container_gets_what_the_host_has(spec: ShardSpec, tmp_path: Path) -> None:
    """No more cores than that; its job says as many threads."""
    jobs: list[dict[str, Any]] = []
    host = Host()
    host.after = lambda _: jobs.append(json.loads((host.given[0].root / "job.json").read_text()))
    run_shard(spec, _place(host, tmp_path), Stop())
    assert host.given[0].resources.cpus == 1
    assert host.given[0].resources.memory_mb == 2048
    assert jobs[0]["threads"] == 1
    assert host.given[0].root.is_relative_to(tmp_path / "scratch")


def test_handed_in_twice_it_does_what_is_missing(spec: ShardSpec, tmp_path: Path) -> None:
    """What has an outcome is left out, unless it says nothing of the model; done, it starts no container."""
    put(spec.folder, Found("key", {}, CaseOutcome("a", Status.OOM)))
    put(spec.folder, Found("key", {}, CaseOutcome("b", Status.INFRA_ERROR)))
    told: list[str] = []
    assert run_shard(spec, _place(Host(), tmp_path), Stop(), told.append).state == "done"
    assert told == ["b", "c"]
    again = Host()
    assert run_shard(spec, _place(again, tmp_path), Stop(), told.append).state == "done"
    assert (again.given, told) == ([], ["b", "c"])


@pytest.mark.parametrize("error", [PrerequisiteError("no GPU", fix="buy one"), OSError(28, "full"), ValueError("ours")])
def test_what_it_raises_is_a_record(error: Exception, spec: ShardSpec, tmp_path: Path) -> None:
    """Of every kind; no case is blamed, and none is marked as one that ends hosts."""
    report = run_shard(spec, _place(Host(fails=error), tmp_path), Stop())
    assert (report.state, report.node) == ("failed", "host-1")
    assert type(report.error()).__name__ in (type(error).__name__, "ShardFault")
    assert read(spec.folder, "a") is None
    assert lost_with(spec.folder) == {}
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_host_of_another_version_is_refused(spec: ShardSpec, tmp_path: Path) -> None:
    """Both versions are named."""
    other = replace(spec, versions={**spec.versions, "scorer": "0"})
    report = run_shard(other, _place(Host(), tmp_path), Stop())
    assert report.state == "failed"
    assert "host-1 has another version" in report.reason
    assert "not 0" in report.reason


def test_a_stop_file_ends_it_between_two_cases(
    spec: ShardSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever wrote it, wherever it runs."""
    monkeypatch.setattr("harness.runs.shard._LOOK_S", 0.0)
    host = Host(after=lambda _: (spec.folder / STOP_FILE).write_text("soon"))  # type: ignore[arg-type, return-value]
    report = run_shard(spec, _place(host, tmp_path), Stop())
    assert (report.state, report.reason) == ("stopped", "it was requested to stop; 2 cases are left")
    assert read(spec.folder, "a") is not None
    assert read(spec.folder, "b") is None
    assert run_shard(spec, _place(Host(), tmp_path), Stop()).state == "stopped", "it does not even begin"


def test_no_case_is_begun_that_cannot_end_in_time(spec: ShardSpec, tmp_path: Path) -> None:
    """By the limit of a case at first, and by the cases so far after that."""
    short = time.monotonic() + spec.plugin.model.resources.case_timeout_s
    report = run_shard(spec, _place(Host(), tmp_path, deadline=short), Stop())
    assert (report.state, report.reason) == ("stopped", "its time is nearly up; 3 cases are left")
    enough = short + 30
    report = run_shard(spec, _place(Host(), tmp_path, deadline=enough), Stop())
    assert report.state == "done"


def test_when_its_time_is_up_it_ends(spec: ShardSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in the middle of a case, which then has no outcome: nobody is to blame."""
    monkeypatch.setattr("harness.runs.shard._LAST_S", 0.0)
    host = Host(after=lambda case: time.sleep(1.2 if case == "b" else 0))
    resources = replace(spec.plugin.model.resources, case_minutes=0.01)
    plugin = replace(spec.plugin, model=replace(spec.plugin.model, resources=resources))
    place = _place(host, tmp_path, deadline=time.monotonic() + 1.0)
    report = run_shard(replace(spec, plugin=plugin), place, Stop())
    assert report.state == "stopped"
    assert "its time is" in report.reason
    assert read(spec.folder, "a") is not None
    assert read(spec.folder, "c") is None
