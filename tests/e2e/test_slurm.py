"""``bench run --cluster`` over a Slurm of one node: the rows of this host, whatever becomes of the jobs."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.hpc import CASES, here
from tests.e2e.lab import content, differing, logged, trained, wait_for_state

if TYPE_CHECKING:
    from tests.conftest import Bench
    from tests.e2e.hpc import Cluster

pytestmark = [pytest.mark.slurm, pytest.mark.docker, pytest.mark.usefixtures("base_image")]

ROOT = Path(__file__).resolve().parents[2]
LEARNER = Path(__file__).parent / "plugins" / "learner"

#: Kills of the seeded test; what they hit is drawn.
TRIALS = 20


def test_known_answers_and_rules_equal_those_of_this_host(hpc: Cluster, tmp_path: Path) -> None:
    """Rows, metrics and masks are the same, byte for byte, and two elements of an array had a part of the cases."""
    for plugin in ("rules", "oracle", "shifted"):
        there = hpc.bench.json(*hpc.run("--plugin", plugin))
        assert content(hpc.bench, there) == here(hpc.bench, tmp_path / "here", "--plugin", plugin), plugin
        folder = hpc.shared / "runs" / there["run"]
        assert len(list((folder / "figures").glob("*.json"))) == 2
        assert {path.name[-6:] for path in (folder / "slurm").glob("*.log")} == {"_0.log", "_1.log"}


def test_real_cases_equal_those_of_this_host(hpc: Cluster, real_data: Path, tmp_path: Path) -> None:
    """On real CTs, too."""
    command = ["--plugin", "rules", "--dataset", real_data / "realct"]
    there = hpc.bench.json(*hpc.run(*command))
    assert content(hpc.bench, there) == here(hpc.bench, tmp_path / "here", *command)


def test_whatever_becomes_of_the_jobs_nothing_is_lost_and_nothing_is_doubled(
    hpc: Cluster, slow: tuple[list[object], dict[str, Any]]
) -> None:
    """An element is cancelled, a shard killed, another requeued, the driver killed: the undisturbed rows in the end."""
    command, expected = slow
    process = hpc.bench.popen(*hpc.run(*command), "--json")
    element, _ = hpc.wait_for_shard()
    hpc.slurm("scancel", element)
    hpc.wait_for_outcomes(1)
    _, shard = hpc.wait_for_shard()
    os.kill(shard, signal.SIGKILL)
    hpc.wait_for_outcomes(3)
    element, _ = hpc.wait_for_shard()
    hpc.slurm("scontrol", "requeue", element)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    ended = hpc.bench(*hpc.run(*command), "--json")
    assert content(hpc.bench, json.loads(ended.stdout)) == expected
    assert "was handed in before and is followed" in ended.stderr
    hpc.nothing_is_left()


def test_handing_in_and_collecting_later(hpc: Cluster, slow: tuple[list[object], dict[str, Any]]) -> None:
    """``--detach`` leaves at once; the jobs run without anybody; the same command later hands in nothing and scores."""
    command, expected = slow
    left = hpc.bench.json(*hpc.run(*command), "--detach")
    assert left["state"] == "handed in"
    (folder,) = hpc.shared.glob("runs/*")
    assert left["run"] == folder.name
    again = hpc.bench.json(*hpc.run(*command), "--detach")
    assert again["run"] == left["run"]
    jobs = json.loads((folder / "jobs.json").read_text())
    assert len(jobs) == 1, "a second command hands in nothing"
    hpc.slurm.wait_for(lambda: not hpc.slurm.jobs(), "the jobs do not end", 120)
    assert hpc.outcomes() == CASES
    ended = hpc.bench(*hpc.run(*command), "--json")
    assert content(hpc.bench, json.loads(ended.stdout)) == expected
    assert "handed in as job" not in ended.stderr
    hpc.nothing_is_left()


def test_the_second_of_two_drivers_is_refused(hpc: Cluster, slow: tuple[list[object], dict[str, Any]]) -> None:
    """It hands in nothing, and the first one's rows are the undisturbed ones."""
    command, expected = slow
    first = hpc.bench.popen(*hpc.run(*command), "--json")
    hpc.wait_for_shard()
    second = hpc.bench(*hpc.run(*command), code=3)
    assert "is running" in second.stderr
    out, _ = first.communicate(timeout=240)
    assert content(hpc.bench, json.loads(out)) == expected
    hpc.nothing_is_left()


def test_ctrl_c_ends_the_jobs_after_their_case(hpc: Cluster, slow: tuple[list[object], dict[str, Any]]) -> None:
    """What waits is withdrawn, what runs ends after its case, and the same command goes on."""
    command, expected = slow
    hpc.describe(max_jobs=1)
    process = hpc.bench.popen(*hpc.run(*command))
    hpc.wait_for_outcomes(1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert hpc.slurm.jobs() == {}
    assert 0 < hpc.outcomes() < CASES
    ended = hpc.bench.json(*hpc.run(*command))
    assert content(hpc.bench, ended) == expected
    hpc.nothing_is_left()


def test_no_case_is_begun_that_the_wall_time_would_end(hpc: Cluster, slow: tuple[list[object], dict[str, Any]]) -> None:
    """A job with a minute, which is less than the limit of a case, begins none; the run says so and blames nobody."""
    command, _ = slow
    hpc.describe(sbatch=["--time=1"])
    said = hpc.bench(*hpc.run(*command), code=3).stderr
    assert "its time is nearly up" in said
    assert hpc.outcomes() == 0


def test_a_silent_controller_is_borne(hpc: Cluster, slow: tuple[list[object], dict[str, Any]]) -> None:
    """It is killed and started again while jobs run: what they finish is taken, and nothing is handed in twice."""
    command, expected = slow
    process = hpc.bench.popen(*hpc.run(*command), "--json")
    hpc.wait_for_shard()
    hpc.slurm.end("slurmctld")
    hpc.wait_for_outcomes(CASES)
    hpc.slurm.controller()
    out, said = process.communicate(timeout=240)
    assert process.returncode == 0, said
    assert content(hpc.bench, json.loads(out)) == expected
    assert said.count("handed in as job") == 1
    hpc.nothing_is_left()


def test_check_is_green(hpc: Cluster) -> None:
    """A node answers every question, and the container reads what the driver has put into the shared folder."""
    checks = hpc.bench.json("cluster", "check", "hpc")["checks"]
    assert {check["verdict"] for check in checks} == {"ok"}
    subjects = {check["subject"] for check in checks}
    assert {"Slurm", "versions", "shared folder", "scratch", "engine", "GPU", "image", "container", "clock"} <= subjects


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"sbatch": ["--partition=nope"]}, "invalid partition"),
        ({"sbatch": ["--array=1-4"]}, "cannot be given"),
        ({"sbatch": ["--gres=gpu:9"]}, "Slurm refused"),
        ({"shared": "/nowhere/shared"}, "the shared folder"),
        ({"setup": "exit 7"}, "ended without an answer"),
    ],
)
def test_what_cannot_run_is_refused_before_anything_is_recorded(
    keys: dict[str, Any], says: str, hpc: Cluster, make_dataset: Callable[..., Path]
) -> None:
    """With what is wrong in clusters.toml, or what Slurm says."""
    hpc.describe(**keys)
    ended = hpc.bench(
        *hpc.run("--plugin", "oracle", "--dataset", make_dataset(2)), code=2 if "array" in str(keys) else 3
    )
    assert says in ended.stderr
    assert hpc.folder() is None
    assert hpc.bench.json("results", "list")["runs"] == []


def test_a_scheduler_that_is_down_is_refused(hpc: Cluster, make_dataset: Callable[..., Path]) -> None:
    """Nothing is handed in, and nothing is recorded."""
    hpc.slurm.kill("slurmctld")
    ended = hpc.bench(*hpc.run("--plugin", "oracle", "--dataset", make_dataset(2)), code=3)
    assert "Slurm does not answer" in ended.stderr
    assert hpc.folder() is None


def test_detach_is_for_slurm(hpc: Cluster, make_dataset: Callable[..., Path]) -> None:
    """A Dask scheduler forgets what its driver has left, and without a cluster nobody would run it."""
    (hpc.bench.home / "clusters.toml").write_text(
        f'[lab]\nkind = "dask"\naddress = "tls://127.0.0.1:1"\nshared = "{hpc.shared}"\n'
    )
    command = ["run", "--plugin", "oracle", "--dataset", make_dataset(2), "--detach"]
    assert "--detach" in hpc.bench(*command, "--cluster", "lab", code=2).stderr
    assert "--detach" in hpc.bench(*command, code=2).stderr


def test_a_training_is_that_of_this_host_and_goes_on_when_its_job_is_cancelled(
    hpc: Cluster, splits_writer: Callable[..., Path], new_bench: Callable[[Path], Bench], tmp_path: Path
) -> None:
    """One job trains; handed in, left, cancelled and handed in again it comes to the same checkpoint, byte for byte."""
    command = ["--plugin", "learner", "--variant", "slow", "--plugin-dir", LEARNER, "--param", "pause_s=2.5",
               "--dataset", splits_writer(tmp_path / "data")]  # fmt: skip
    here = new_bench(tmp_path / "here")
    expected = trained(here, here.json("run", *command, "--engine", "docker"))
    left = hpc.bench.json(*hpc.run(*command), "--detach")
    assert (left["state"], "-training-" in left["run"]) == ("handed in", True)
    assert hpc.bench.json("results", "list")["runs"] == []
    wait_for_state(hpc.shared, attempt=0)
    element, _ = hpc.wait_for_shard()
    driver = hpc.bench.popen(*hpc.run(*command), "--json")
    hpc.slurm("scancel", "--signal=KILL", "--full", element)
    out, said = driver.communicate(timeout=200)
    assert driver.returncode == 0, said
    assert trained(hpc.bench, json.loads(out)) == expected
    begun = [json.loads(line[5:]) for line in logged(hpc.bench) if line.startswith("FROM ")]
    assert (begun[0], len(begun)) == (0, 2)
    assert begun[1] > 0
    assert list(hpc.shared.glob("runs/*training*")) == []
    assert hpc.slurm.jobs() == {}


STAND_IN = """#!/bin/sh
case "$*" in *query*) ;; *) exit 0 ;; esac
echo '0, GPU-slurm-0, Stand-in, 8192'
echo '1, GPU-slurm-1, Stand-in, 8192'
"""

HOLDER = """
import time
from pathlib import Path
from harness.runs.place import take_place
with take_place("local", Path("{scratch}"), gpus=1) as place:
    print(*place.gpu_ids, flush=True)
    time.sleep(2)
"""


def test_a_job_leases_the_gpu_that_slurm_gave_it(hpc: Cluster, tmp_path: Path) -> None:
    """Two jobs at once, each with one of two GPUs, whatever the engine: a place is taken before there is one."""
    from harness.cluster import sbatch

    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text(STAND_IN)
    tool.chmod(0o755)
    (tmp_path / "holder.py").write_text(HOLDER.format(scratch=tmp_path / "scratch"))
    script = (
        f"#!/bin/sh\nexport PATH={tool.parent}:$PATH PYTHONPATH={ROOT}\n"
        f"echo $SLURM_JOB_GPUS\nexec {os.sys.executable} {tmp_path}/holder.py\n"
    )
    sbatch.hand_in(
        script, name="groundbench-gpus", count=2, at_once=2, folder=tmp_path, logs=tmp_path, options=["--gres=gpu:1"]
    )
    hpc.slurm.wait_for(lambda: not hpc.slurm.jobs(), "the jobs do not end", 60)
    said = sorted(path.read_text().split() for path in tmp_path.glob("*_*.log"))
    assert said == [["0", "GPU-slurm-0"], ["1", "GPU-slurm-1"]]


def _disturb(hpc: Cluster, driver: subprocess.Popen[str], victim: str) -> None:
    """Hit what was drawn, as far as it is there."""
    element, shard = next(iter(hpc.shards().items()), ("", 0))
    if victim == "driver":
        driver.kill()
    elif victim == "controller":
        hpc.slurm.kill("slurmctld")
        hpc.slurm.controller()
    elif victim == "node":  # its daemon and all that it runs
        hpc.slurm.kill("slurmd")
        for pid in hpc.shards().values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        hpc.slurm.node()
    elif shard:
        with contextlib.suppress(ProcessLookupError, AssertionError):  # it has just ended
            if victim == "shard":
                os.kill(shard, signal.SIGKILL)
            else:
                hpc.slurm(*{"cancel": ["scancel"], "requeue": ["scontrol", "requeue"]}[victim], element)


@pytest.mark.slow
@pytest.mark.parametrize("trial", range(TRIALS))
def test_seeded_kills(trial: int, hpc: Cluster, slow: tuple[list[object], dict[str, Any]]) -> None:
    """At two drawn moments something dies; the same command comes to the undisturbed rows."""
    command, expected = slow
    draw = random.Random(trial)
    victims = draw.choices(["shard", "cancel", "requeue", "driver", "controller", "node"], k=2)
    moments = sorted(draw.randint(-1, CASES - 2) for _ in victims)
    driver = hpc.bench.popen(*hpc.run(*command))
    for victim, after in zip(victims, moments, strict=True):
        # By how far the run is, not by the clock alone; where something has died, it may be no further for a while.
        deadline = time.monotonic() + 20
        while hpc.outcomes() < after and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(draw.uniform(0, 5 if after < 0 else 1))
        _disturb(hpc, driver, victim)
    _, said = driver.communicate(timeout=400)
    ended = hpc.bench.json(*hpc.run(*command))
    assert differing(hpc.bench, ended, expected) == [], f"{victims} after {moments}; before, it said: {said}"
    assert ended["timing"]["cases_per_hour"] < 2 * 3600 / 0.5, "faster than it can be"
    hpc.nothing_is_left(restarted="controller" in victims)
