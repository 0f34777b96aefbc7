"""What a job does with a shard's file: whatever becomes of it is told by a file, and nothing is raised."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.cluster import job
from harness.cluster.job import Proof, read_proof, report_file, run_file, write_proof
from harness.errors import PrerequisiteError
from harness.runs.report import ShardReport
from harness.runs.spec import ShardSpec
from harness.sandbox.stop import Stop
from tests.harness.runs.test_spec import a_spec

Run = Callable[[ShardSpec, Path, str, Stop, Any], ShardReport]


@pytest.fixture
def spec(tmp_path: Path) -> ShardSpec:
    """Return a shard in its file."""
    spec = a_spec(tmp_path, "a")
    spec.folder.mkdir(parents=True)
    spec.write(tmp_path)
    return spec


@pytest.fixture
def becomes(monkeypatch: pytest.MonkeyPatch) -> Callable[[Run], None]:
    """Return a function that decides what becomes of a shard."""
    return lambda run: monkeypatch.setattr(job, "_run", run)


def _run(spec: ShardSpec, shared: Path) -> ShardReport:
    return run_file(spec.file, shared=shared, scratch="$TMPDIR", log=lambda _: None)


def test_a_report_is_written_and_the_one_before_removed(
    spec: ShardSpec, tmp_path: Path, becomes: Callable[[Run], None]
) -> None:
    """While a shard is run again there is none: a job that is killed then leaves no report of an earlier time."""
    path = report_file(spec.folder, spec.number)
    seen: list[bool] = []

    def done(asked: ShardSpec, *_: object) -> ShardReport:
        seen.append(path.exists())
        return ShardReport(asked.run, asked.number, "done", "n1")

    becomes(done)
    for _ in range(2):
        _run(spec, tmp_path)
        assert ShardReport.from_json(path.read_text()) == ShardReport(spec.run, spec.number, "done", "n1")
    assert seen == [False, False]


def test_a_failure_is_a_report(spec: ShardSpec, tmp_path: Path, becomes: Callable[[Run], None]) -> None:
    """A host without an engine fails the shard, not the job, and its error comes back with its fix."""

    def fail(*_: object) -> ShardReport:
        raise PrerequisiteError("no engine answers", fix="start it", lacking="engine")

    becomes(fail)
    report = _run(spec, tmp_path)
    error = report.error()
    assert report.state == "failed"
    assert isinstance(error, PrerequisiteError)
    assert (error.fix, error.lacking) == ("start it", "engine")


def test_a_file_that_is_no_shard_is_a_report(spec: ShardSpec, tmp_path: Path) -> None:
    """One of another version, or damaged: the run and the number are those of its path."""
    spec.file.write_text("{}")
    report = _run(spec, tmp_path)
    assert (report.run, report.shard, report.state) == (spec.folder.name, spec.number, "failed")
    assert "version" in report.reason


def test_scratch_that_a_host_does_not_have_is_a_report(spec: ShardSpec, tmp_path: Path) -> None:
    """With the variable that is not set there."""
    plain = replace(spec, gpus=0)
    plain.write(tmp_path)
    report = run_file(plain.file, shared=tmp_path, scratch="$NO_SUCH_SCRATCH", log=lambda _: None)
    assert "NO_SUCH_SCRATCH is not set" in report.reason


def test_sigterm_ends_after_the_case_and_then_now(
    spec: ShardSpec, tmp_path: Path, becomes: Callable[[Run], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Slurm sends it before it kills; afterwards the signals mean what they meant before."""
    monkeypatch.setattr(job, "GRACE_S", 0.05)
    before = signal.getsignal(signal.SIGTERM)
    seen: list[bool] = []

    def interrupted(asked: ShardSpec, _shared: Path, _scratch: str, stop: Stop, _log: object) -> ShardReport:
        seen.extend([stop.soon.is_set(), stop.now.is_set()])
        os.kill(os.getpid(), signal.SIGTERM)
        seen.extend([stop.soon.is_set(), stop.now.is_set(), stop.now.wait(10)])
        return ShardReport(asked.run, asked.number, "stopped", "n1")

    becomes(interrupted)
    assert _run(spec, tmp_path).state == "stopped"
    assert seen == [False, False, True, False, True]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_proof_is_of_one_plan(tmp_path: Path) -> None:
    """None where no host was tried out, also where an earlier version left another file."""
    assert read_proof(tmp_path, "one") is None
    proof = Proof(host="n1", at=1.5, lacks=("cannot count memory",))
    write_proof(tmp_path, "one", proof)
    assert read_proof(tmp_path, "one") == proof
    assert read_proof(tmp_path, "other") is None
    job.proof_file(tmp_path, "one").write_text('["cannot count memory"]', encoding="utf-8")
    assert read_proof(tmp_path, "one") is None


@pytest.mark.parametrize(
    ("host", "ago", "believed"),
    [("here", 2, True), ("here", 299, True), ("here", 301, False), ("here", -60, False), ("elsewhere", 2, False)],
)
def test_a_host_that_was_just_tried_out_is_believed(
    spec: ShardSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, ago: float, believed: bool
) -> None:
    """Only that host, and not for long; a clock that was set back proves nothing."""
    tried: list[str] = []
    monkeypatch.setattr(job, "node", lambda: "here")
    monkeypatch.setattr(job, "check_containers", lambda *_, **__: tried.append("here"))
    place = SimpleNamespace(scratch=tmp_path, engine=SimpleNamespace(lacks=lambda _: ()), gpus=(), gpu_ids=())
    write_proof(tmp_path, spec.plan, Proof(host=host, at=time.time() - ago))
    job._try_out(spec, place, tmp_path, lambda _: None)
    assert tried == ([] if believed else ["here"])
