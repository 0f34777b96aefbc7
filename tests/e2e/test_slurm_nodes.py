"""Jobs that Slurm takes their place, their node or their time: none of it is the model's, and the rows are the same."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.hpc import CASES
from tests.e2e.lab import content, differing

if TYPE_CHECKING:
    import subprocess

    from tests.e2e.hpc import Cluster

pytestmark = [pytest.mark.slurm, pytest.mark.docker, pytest.mark.usefixtures("base_image")]


def _ends_with(hpc: Cluster, driver: subprocess.Popen[str], expected: dict[str, Any]) -> str:
    """Wait for the end of a run, which must have the undisturbed rows, every case at its first attempt."""
    out, said = driver.communicate(timeout=400)
    assert driver.returncode == 0, said
    ended = json.loads(out)
    assert content(hpc.bench, ended) == expected, said
    assert {case["attempts"] for case in hpc.bench.json("results", "show", ended["run"])["cases"]} == {1}
    hpc.nothing_is_left()
    return said


@pytest.mark.parametrize("partition", ["main", pytest.param("spare", marks=pytest.mark.slow)])
def test_an_urgent_job_takes_the_place_of_all(
    partition: str, hpc: Cluster, slow: tuple[list[object], dict[str, Any]]
) -> None:
    """Requeued, or ended: what was finished stays, and the rest follows when there is room again."""
    command, expected = slow
    hpc.describe(sbatch=["--time=30", f"--partition={partition}"])
    driver = hpc.bench.popen(*hpc.run(*command), "--json")
    hpc.wait_for_outcomes(1)
    urgent = hpc.slurm(
        "sbatch", "--parsable", "--partition=urgent", "--cpus-per-task=2", "--output=/dev/null", "--wrap", "sleep 3"
    ).strip()
    hpc.slurm.wait_for(lambda: hpc.slurm.jobs().get(urgent) == "RUNNING", "the urgent job does not begin", 60)
    assert hpc.shards() == {}
    assert 0 < hpc.outcomes() < CASES, "the moment is badly chosen"
    said = _ends_with(hpc, driver, expected)
    assert (said.count("handed in as job") == 1) == (partition == "main"), said


def test_a_node_that_is_set_down(hpc: Cluster, slow: tuple[list[object], dict[str, Any]]) -> None:
    """Its jobs count as lost although they may go on there: of two that do the same case the first one wins."""
    command, expected = slow
    hpc.describe(sbatch=["--time=30", "--no-requeue"])
    driver = hpc.bench.popen(*hpc.run(*command), "--json")
    hpc.wait_for_outcomes(1)
    hpc.slurm.node_down()
    said = _ends_with(hpc, driver, expected)
    assert "NODE_FAIL" in said or ": stopped (" in said, said  # which, the job that hears of it decides


@pytest.mark.slow
def test_a_node_that_dies(hpc: Cluster, slow: tuple[list[object], dict[str, Any]]) -> None:
    """Its daemon and all that it runs are killed; when it is back, Slurm requeues what was lost."""
    command, expected = slow
    driver = hpc.bench.popen(*hpc.run(*command), "--json")
    hpc.wait_for_outcomes(1)
    hpc.slurm.die()
    assert hpc.outcomes() < CASES, "the moment is badly chosen"
    hpc.slurm.node_down()  # the controller would see it after a while
    hpc.slurm.node()
    _ends_with(hpc, driver, expected)


@pytest.mark.slow
def test_a_job_that_goes_on_when_it_counts_as_lost(hpc: Cluster, slow: tuple[list[object], dict[str, Any]]) -> None:
    """What watched it is killed, so Slurm begins it again beside itself: of two outcomes the first one stays."""
    command, expected = slow
    hpc.describe(max_jobs=1)
    driver = hpc.bench.popen(*hpc.run(*command), "--json")
    hpc.wait_for_outcomes(1)
    _, zombie = hpc.wait_for_shard()
    hpc.slurm.kill("slurmd")
    hpc.slurm.kill_watchers()
    os.kill(zombie, signal.SIGSTOP)
    hpc.slurm.node_down()  # the controller would see it after a while
    hpc.slurm.node()
    hpc.slurm.wait_for(lambda: hpc.processes().keys() - {zombie}, "it is not begun again", 120)
    os.kill(zombie, signal.SIGCONT)
    assert hpc.outcomes() < CASES, "the moment is badly chosen"
    _ends_with(hpc, driver, expected)


@contextlib.contextmanager
def _full(disk: Path) -> Iterator[None]:
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(2**16))
    yield
    filler.unlink()


@contextlib.contextmanager
def _gone(disk: Path) -> Iterator[None]:
    (disk / "shared").rename(disk / "away")
    yield
    assert not (disk / "shared").exists(), "it was made anew, as on the disk below a share that is gone"
    (disk / "away").rename(disk / "shared")


@pytest.mark.slow
@pytest.mark.parametrize("lost", [_full, _gone])
def test_a_shared_folder_that_is_lost_for_a_while(
    lost: Callable[[Path], contextlib.AbstractContextManager[None]],
    hpc: Cluster,
    slow: tuple[list[object], dict[str, Any]],
    small_disk: Path,
) -> None:
    """The command says so, and blames no model; when it is there again, the same command goes on."""
    command, expected = slow
    hpc.shared = small_disk / "shared"
    hpc.shared.mkdir()
    hpc.describe()
    driver = hpc.bench.popen(*hpc.run(*command))
    hpc.wait_for_outcomes(1)
    with lost(small_disk):
        _, said = driver.communicate(timeout=300)
        assert driver.returncode in (0, 3), said  # 0 where every outcome could be written, and says who failed
        assert "Traceback" not in said
        for run in hpc.bench.json("results", "list")["runs"]:
            cases = hpc.bench.json("results", "show", run["id"])["cases"]
            assert {case["status"] for case in cases} <= {"ok", "infra_error"}
            whole = len(cases) == CASES and all(case["status"] == "ok" for case in cases)
            assert whole or run["state"] != "done" or not run["rankable"]
        hpc.slurm.wait_for(lambda: hpc.slurm.jobs() == {}, "a job lives", 120)
    assert differing(hpc.bench, hpc.bench.json(*hpc.run(*command)), expected) == [], said
    hpc.nothing_is_left()


@pytest.mark.slow
def test_a_job_that_hangs_until_its_time_is_up(hpc: Cluster, slow: tuple[list[object], dict[str, Any]]) -> None:
    """Slurm ends it; its cases are handed in again."""
    command, expected = slow
    hpc.describe(sbatch=["--time=2"], max_jobs=1)
    driver = hpc.bench.popen(*hpc.run(*command), "--json")
    hpc.wait_for_outcomes(1)
    _, shard = hpc.wait_for_shard()
    os.kill(shard, signal.SIGSTOP)
    assert hpc.outcomes() < CASES, "the moment is badly chosen"
    said = _ends_with(hpc, driver, expected)
    assert "TIMEOUT" in said or "its time is up" in said, said  # Slurm wakes it before it is asked to end


@pytest.mark.slow
def test_a_run_that_is_longer_than_a_job(hpc: Cluster, slow: tuple[list[object], dict[str, Any]]) -> None:
    """No job is ended by its wall time: each begins what it can end, and the rest is handed in again."""
    command, _ = slow
    hpc.describe(sbatch=["--time=2"], max_jobs=1)
    driver = hpc.bench.popen(*hpc.run(*command, "--param", "seconds=12"), "--json")
    out, said = driver.communicate(timeout=500)
    assert driver.returncode == 0, said
    ended = json.loads(out)
    assert ended["coverage"] == {"ok": 2 * CASES}
    assert "its time is nearly up" in said
    assert "TIMEOUT" not in said
    assert {case["attempts"] for case in hpc.bench.json("results", "show", ended["run"])["cases"]} == {1}
    hpc.nothing_is_left()
