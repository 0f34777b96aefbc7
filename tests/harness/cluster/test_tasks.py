"""What a Dask worker does for a driver: text in, text out, whatever happens."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from harness.cluster import tasks
from harness.cluster.tasks import Here, answer, begin, carry_out, running, task
from harness.engines.base import Mount
from harness.images.build import Image
from harness.registry.declaration import Model, Variant
from harness.registry.discovery import Plugin
from harness.runs.report import ShardReport
from harness.runs.spec import ShardSpec
from harness.sandbox.contract import CasePrompt, Job
from harness.sandbox.job import JobCase


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    """Make this process a worker."""
    monkeypatch.setattr(tasks, "_here", None)
    here = Here(tmp_path)
    begin(here)
    return here


def _shard(shared: Path, engine: str = "docker") -> ShardSpec:
    plugin = Plugin(Model("m", "M", "A model.", "1", Path("/"), variants=(Variant("v"),)), "here")
    job = Job(model="m", variant="v", seed=0, devices=["cpu"], threads=1)
    prompt = CasePrompt.model_validate(
        {"id": "a", "ct": "ct/a.nii.gz", "shape": (1, 1, 1), "spacing": (1, 1, 1), "findings": []}
    )
    cases = (JobCase(prompt, (Mount(shared / "a.nii.gz", "ct/a.nii.gz"),)),)
    folder = shared / "runs" / "r"
    folder.mkdir(parents=True, exist_ok=True)
    return ShardSpec("r", 3, "p", folder, plugin, Image("sha256:1"), job, engine, 0, cases)


def _reported(text: str) -> ShardReport:
    return ShardReport.from_json(carry_out(text))


@pytest.mark.parametrize("text", ["", "null", "{}", '{"run": "r", "number": 3, "scratch": "/tmp", "shard": "{}"}'])
def test_what_is_no_shard_is_reported(here: Here, text: str) -> None:
    """Nothing is raised: a driver would wait for ever for what cannot be unpickled."""
    assert _reported(text).state == "failed"


def test_a_worker_that_dask_started_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no shared folder and no request to end: it refuses, by the name of the run."""
    monkeypatch.setattr(tasks, "_here", None)
    report = _reported(task(_shard(tmp_path), tmp_path, "$TMPDIR"))
    assert (report.run, report.shard, report.state) == ("r", 3, "failed")
    assert "was not started by bench" in report.reason
    assert asyncio.run(answer("{}")) == ""
    assert asyncio.run(running()) == "null"


def test_a_worker_that_leaves_takes_nothing(here: Here) -> None:
    """Its shards are dealt again; that is not a failure."""
    here.stop.soon.set()
    assert _reported(task(_shard(here.shared), here.shared, "$TMPDIR")).state == "stopped"


def test_a_worker_leaves_between_two_shards(here: Here) -> None:
    """Not while one runs; and what it had received when it left is not begun by a process that is about to end."""
    assert here.take("r", 1)
    assert not here.leave()
    here.running = None
    assert here.leave()
    assert not here.take("r", 2)
    report = _reported(task(_shard(here.shared), here.shared, "$TMPDIR"))
    assert (report.state, report.reason, here.running) == ("stopped", "its worker is leaving", None)


def test_a_shard_whose_worker_is_gone_is_given_back(here: Here) -> None:
    """Dask gives it to the next worker; the driver knows which case was in flight, and deals anew."""
    spec = _shard(here.shared)
    (spec.folder / "figures").mkdir()
    (spec.folder / "figures" / "3.json").touch()
    report = _reported(task(spec, here.shared, "$TMPDIR"))
    assert (report.state, report.reason) == ("lost", "the worker that had begun it is gone")


def test_a_run_that_this_host_does_not_see(here: Here, tmp_path: Path) -> None:
    """The shared folder of the worker is another one."""
    spec = _shard(tmp_path / "other")
    text = task(spec, tmp_path / "other", "$TMPDIR")
    assert "does not exist on" in _reported(text).reason


def test_a_place_that_cannot_be_had_is_reported(here: Here) -> None:
    """A scratch that does not exist, for one; the worker is free again."""
    report = _reported(task(_shard(here.shared), here.shared, "/nowhere/at/all"))
    assert (report.state, "scratch" in report.reason) == ("failed", True)
    assert here.running is None
    assert asyncio.run(running()) == "null"


def test_what_runs_is_told(here: Here) -> None:
    """A driver that comes later follows it."""
    here.running = ("r", 3)
    assert json.loads(asyncio.run(running())) == ["r", 3]
