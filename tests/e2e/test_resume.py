"""A run that is killed, interrupted or asked for again: nothing lost, nothing done twice, the same digits."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import processes
from tests.e2e.hpc import STEADY

if TYPE_CHECKING:
    from tests.conftest import Bench

CASES = 6


def _command(dataset: Path, engine: str, seconds: float = 0.25) -> list[object]:
    return [
        "run", "--plugin", "steady", "--param", f"seconds={seconds}", "--plugin-dir", STEADY,
        "--dataset", dataset, "--engine", engine,
    ]  # fmt: skip


def _scores(document: dict[str, Any]) -> dict[str, Any]:
    """Return everything of a run's document that must not depend on how it came about."""
    return {key: value for key, value in document.items() if key not in ("timing", "run")}


def _containers(run: str) -> list[str]:
    """Name the containers of a run that the engine still knows."""
    import docker

    client = docker.from_env(timeout=20)
    try:
        return [str(c.name) for c in client.containers.list(all=True, filters={"label": f"org.groundbench.run={run}"})]
    finally:
        client.close()


@pytest.mark.docker
def test_killed_five_times(base_image: str, bench: Bench, make_dataset: Callable[..., Path]) -> None:
    """`kill -9` at five random moments, or more; then the same command: the undisturbed table, no stray container."""
    dataset = make_dataset(10)
    command = _command(dataset, "docker")
    began = time.monotonic()
    undisturbed = bench.json(*command)
    whole = time.monotonic() - began
    table = bench(*command).stdout.split("cost, without scoring")[0]
    draw = random.Random(20260101)
    kept: list[int] = []
    for trial in range(20):
        if kept and trial >= 5:
            break
        bench.home = bench.home.with_name(f"home-{trial}")
        process = bench.popen(*command, start_new_session=True)
        time.sleep((trial % 5 + draw.random()) / 5 * whole)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)
        again = bench(*command)
        kept += [
            int(line.split(", ")[2].split()[0]) for line in again.stderr.splitlines() if "kept from before" in line
        ]
        assert again.stdout.split("cost, without scoring")[0] == table, f"trial {trial}"
        assert _scores(bench.json(*command)) == _scores(undisturbed), f"trial {trial}"
        assert _containers(undisturbed["run"]) == []
    assert kept, "no trial was killed between its first and its last case: the moments are badly chosen"


def test_killed_local_leaves_no_process(bench: Bench, make_dataset: Callable[..., Path]) -> None:
    """A killed harness takes the local adapter and its scoring workers with it; the next run finishes."""
    dataset = make_dataset(CASES)
    process = bench.popen(*_command(dataset, "local"), start_new_session=True)
    time.sleep(2.5)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    deadline = time.monotonic() + 10
    marks = (str(bench.home), f"groundbench-{process.pid}")
    while (
        left := [line for line in _processes() if any(mark in line for mark in marks)]
    ) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left == []
    document = bench.json(*_command(dataset, "local"))
    assert document["coverage"] == {"ok": 2 * CASES}


def _processes() -> list[str]:
    commands = [f"{each.pid} {each.command}" for each in processes()]
    return [each for each in commands if "groundbench_sdk" in each or "multiprocessing" in each]


def test_interrupt_keeps_what_is_finished(engine: str, bench: Bench, make_dataset: Callable[..., Path]) -> None:
    """Ctrl-C ends after the case in flight with exit code 130; the same command goes on from there."""
    dataset = make_dataset(CASES)
    process = bench.popen(*_command(dataset, engine, 1.5))
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if f"1/{CASES}" in line:
            process.send_signal(signal.SIGINT)
            break
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 130, "".join(seen) + rest
    assert "the same command resumes the run" in rest
    first = bench.json("results", "show", "steady")["cases"]
    assert all(case["scored"] for case in first)
    assert 1 <= len(first) < CASES
    again = bench(*_command(dataset, engine, 1.5))
    assert f"{len(first)} kept from before" in again.stderr
    show = bench.json("results", "show", "steady")
    assert show["state"] == "done"
    assert [case for case in show["cases"] if case["case_id"] in {c["case_id"] for c in first}] == first


def test_two_interrupts_end_at_once(bench: Bench, make_dataset: Callable[..., Path]) -> None:
    """A second Ctrl-C does not wait for the case in flight."""
    hangs = ["--plugin", "misbehaving", "--variant", "hangs", "--plugin-dir", STEADY.parent / "misbehaving"]
    process = bench.popen("run", *hangs, "--dataset", make_dataset(3), "--engine", "local")
    assert process.stderr is not None
    for line in process.stderr:
        if "1/3" in line:
            break
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=15)
    assert process.returncode == 130, said


def test_same_plan_is_reused_and_fresh_runs_again(bench: Bench, make_dataset: Callable[..., Path]) -> None:
    """The same command shows the finished run; --fresh adds another, and a changed plan is another run."""
    command = _command(make_dataset(2), "local", 0)
    first = bench.json(*command)
    assert bench.json(*command)["run"] == first["run"]
    fresh = bench.json(*command, "--fresh")
    assert fresh["run"] == f"{first['run']}-r2"
    assert _scores(fresh) == _scores(first)
    assert bench.json(*command, "--seed", 1)["run"] not in (first["run"], fresh["run"])
    assert len(bench.json("results", "list")["runs"]) == 3


def test_two_at_once_on_one_home(bench: Bench, make_dataset: Callable[..., Path]) -> None:
    """The second of two identical runs at once is refused until the first ends; a different one works beside it."""
    cases = 12
    dataset = make_dataset(cases)
    process = bench.popen(*_command(dataset, "local", 1.5))
    assert process.stderr is not None
    for line in process.stderr:
        if f"1/{cases}" in line:
            break
    refused = bench(*_command(dataset, "local", 1.5), code=3)
    assert "another process is running" in refused.stderr
    beside = bench.json(*_command(dataset, "local", 0))
    assert beside["coverage"] == {"ok": 2 * cases}
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
