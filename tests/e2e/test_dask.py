"""``bench run --cluster`` over a Dask scheduler and two workers with TLS: the rows of this host, whatever dies."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.hpc import STEADY
from tests.e2e.lab import Lab, content, differing, logged, trained

if TYPE_CHECKING:
    from tests.conftest import Bench

pytestmark = pytest.mark.docker
pytest.importorskip("distributed", reason="Dask is in the extra `cluster`, which the development lock installs")

CASES = 10

#: Kills of the seeded test; what they hit is drawn.
TRIALS = 20


@pytest.fixture(scope="module")
def lab(base_image: str, new_bench: Callable[[Path], Bench], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Start a lab, as the documentation says: the first check makes the certificates."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "shared").mkdir()
    lab = Lab(new_bench(folder / "home"), folder / "shared")
    lab.describe(lab.bench.home)
    lab.bench("cluster", "check", "lab", code=3)
    lab.start_scheduler()
    lab.start_workers(2)
    try:
        yield lab
    finally:
        lab.stop()


def _slow(dataset: Path) -> list[object]:
    return ["run", "--plugin", "steady", "--plugin-dir", STEADY, "--dataset", dataset]


def _here(bench: Bench, home: Path, *command: object) -> dict[str, Any]:
    """Run a command on this host, in a home of its own, and return its content."""
    before, bench.home = bench.home, home
    try:
        return content(bench, bench.json(*command, "--engine", "docker"))
    finally:
        bench.home = before


def test_check_is_green(lab: Lab) -> None:
    """Both workers answer every question, and the container reads what the driver has put into the shared folder."""
    checks = lab.bench.json("cluster", "check", "lab")["checks"]
    assert {check["verdict"] for check in checks} == {"ok"}
    hosts = {check["host"] for check in checks} - {"driver"}
    subjects = {"versions", "shared folder", "scratch", "engine", "GPU", "image", "container", "clock"}
    assert [{check["subject"] for check in checks if check["host"] == host} for host in hosts] == [subjects] * 2


def test_known_answers_and_rules_equal_those_of_this_host(lab: Lab, tmp_path: Path) -> None:
    """Rows, metrics and masks are the same, byte for byte, and each worker had a part of the cases."""
    for plugin in ("rules", "oracle", "shifted"):
        command = ["run", "--plugin", plugin]
        there = lab.bench.json(*command, "--cluster", "lab")
        assert content(lab.bench, there) == _here(lab.bench, tmp_path / "home", *command), plugin
        folder = lab.bench.home / "runs" / there["run"]
        assert folder.resolve() == lab.shared / "runs" / there["run"]
        assert len(list((folder / "figures").glob("*.json"))) == 2


def test_real_cases_equal_those_of_this_host(lab: Lab, real_data: Path, tmp_path: Path) -> None:
    """On real CTs, too."""
    command = ["run", "--plugin", "rules", "--dataset", real_data / "realct"]
    there = lab.bench.json(*command, "--cluster", "lab")
    assert content(lab.bench, there) == _here(lab.bench, tmp_path / "home", *command)


def test_whatever_dies_nothing_is_lost_and_nothing_is_doubled(
    lab: Lab, make_dataset: Callable[..., Path], tmp_path: Path
) -> None:
    """A worker, the driver and the scheduler are killed in turn; the same command comes to the undisturbed rows."""
    command = _slow(make_dataset(CASES))
    expected = _here(lab.bench, tmp_path / "home", *command)
    process = lab.bench.popen(*command, "--cluster", "lab", "--json")
    _wait_for_outcomes(lab, 1)
    _kill(lab.workers.pop())  # its shard is dealt again to the other one
    lab.start_workers(1)
    _wait_for_outcomes(lab, 2)
    _kill(process)
    process.communicate()
    process = lab.bench.popen(*command, "--cluster", "lab", "--json")
    assert process.stderr is not None
    said = ""
    while "kept from before" not in said:
        said += (line := process.stderr.readline())
        assert line, f"the run did not begin: {said}"
    assert lab.scheduler is not None
    _kill(lab.scheduler)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "the same command goes on" in said
    for worker in lab.workers:  # they leave after their shard
        assert worker.wait(timeout=90) == 3
    lab.workers.clear()
    lab.start_scheduler()
    lab.start_workers(2)
    ended = lab.bench.json(*command, "--cluster", "lab")
    assert content(lab.bench, ended) == expected
    _nothing_is_left(lab, ended["run"])


@pytest.fixture(scope="module")
def undisturbed(
    lab: Lab, dataset_writer: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[object], dict[str, Any]]:
    """Return a command, and the rows that it has on this host."""
    folder = tmp_path_factory.mktemp("undisturbed")
    command = _slow(dataset_writer(folder / "toy", CASES))
    return command, _here(lab.bench, folder / "home", *command)


@pytest.mark.slow
@pytest.mark.parametrize("trial", range(TRIALS))
def test_seeded_kills(trial: int, lab: Lab, undisturbed: tuple[list[object], dict[str, Any]]) -> None:
    """At a drawn moment a worker, a container, the driver or the scheduler dies: the rows are the undisturbed ones."""
    command, expected = undisturbed
    draw = random.Random(trial)
    victim, after = draw.choice(["worker", "worker", "container", "driver", "scheduler"]), draw.randint(-1, CASES - 3)
    shutil.rmtree(lab.bench.home / "runs", ignore_errors=True)
    shutil.rmtree(lab.shared / "runs", ignore_errors=True)
    for path in lab.bench.home.glob("results.db*"):
        path.unlink()
    process = lab.bench.popen(*command, "--cluster", "lab")
    if after >= 0:  # by how far the run is, not by the clock alone
        _wait_for_outcomes(lab, after)
    time.sleep(draw.uniform(0, 5 if after < 0 else 0.5))
    _disturb(lab, process, victim)
    _, said = process.communicate(timeout=240)
    _mend(lab)
    ended = lab.bench.json(*command, "--cluster", "lab")
    assert differing(lab.bench, ended, expected) == [], f"{victim} after {after}; before, it said: {said}"
    _nothing_is_left(lab, ended["run"])


def _disturb(lab: Lab, process: Any, victim: str) -> None:
    """Kill what was drawn."""
    if victim == "driver":
        _kill(process)
    elif victim == "scheduler":
        assert lab.scheduler is not None
        _kill(lab.scheduler)
        lab.scheduler = None
    elif victim == "worker":
        _kill(lab.workers.pop(0))
    else:
        import docker

        client = docker.from_env(timeout=30)
        for worker in lab.workers[:1]:
            for container in client.containers.list(filters={"label": f"org.groundbench.pid={worker.pid}"}):
                container.kill()
        client.close()


def _mend(lab: Lab) -> None:
    """Start again what has ended."""
    if lab.scheduler is None:
        for worker in lab.workers:
            worker.wait(timeout=90)
        lab.workers.clear()
        lab.start_scheduler()
    lab.start_workers(2 - len(lab.workers))


def _kill(process: Any) -> None:
    process.kill()
    if process.stdout is None:
        process.wait(timeout=30)


def _wait_for_outcomes(lab: Lab, number: int) -> None:
    deadline = time.monotonic() + 120
    while len(list(lab.shared.glob("runs/steady-*/outcomes/*.json"))) < number:
        assert time.monotonic() < deadline, lab.said("worker-0")
        time.sleep(0.1)


def _nothing_is_left(lab: Lab, run: str) -> None:
    """Every case has one outcome, none that differs from a second one, and no container or folder stayed behind."""
    folder = lab.shared / "runs" / run
    assert len(list((folder / "outcomes").glob("*.json"))) == CASES
    assert list((folder / "outcomes" / "second").glob("*")) == []
    assert list((folder / "masks").glob(".incoming-*")) == []
    import docker

    client = docker.from_env(timeout=30)
    deadline = time.monotonic() + 60
    while client.containers.list(all=True, filters={"label": f"org.groundbench.run={run}"}):
        assert time.monotonic() < deadline, "a container of the run is left"
        time.sleep(0.5)
    client.close()


def test_a_worker_that_is_told_to_leave_ends_after_its_case(lab: Lab, make_dataset: Callable[..., Path]) -> None:
    """SIGTERM, as before a preemption: exit code 0, and the other worker does the rest; no case is tried twice."""
    command = [*_slow(make_dataset(CASES, name="other")), "--cluster", "lab"]
    process = lab.bench.popen(*command, "--json")
    _wait_for_outcomes(lab, 1)
    leaving = lab.workers.pop()
    leaving.send_signal(signal.SIGTERM)
    assert leaving.wait(timeout=60) == 0
    out, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    run = json.loads(out)
    assert run["coverage"] == {"ok": 2 * CASES}
    cases = lab.bench.json("results", "show", run["run"])["cases"]
    assert {case["attempts"] for case in cases} == {1}
    lab.start_workers(1)


def test_a_host_whose_clock_is_wrong(lab: Lab, make_dataset: Callable[..., Path], tmp_path: Path) -> None:
    """By a day: the check warns, and rows and durations are those of a host whose clock is right."""
    wrong = "import time; right = time.time; time.time = lambda: right() + 86400; from harness.cli import main; main()"
    _kill(lab.workers.pop())
    lab.start_workers(1, program=("-c", wrong))
    clocks = [check for check in lab.bench.json("cluster", "check", "lab")["checks"] if check["subject"] == "clock"]
    assert sorted(check["verdict"] for check in clocks) == ["ok", "warning"]
    assert any("ahead of the driver's" in check["found"] for check in clocks)
    command = _slow(make_dataset(4))
    there = lab.bench.json(*command, "--cluster", "lab")
    _kill(lab.workers.pop())
    lab.start_workers(1)
    assert differing(lab.bench, there, _here(lab.bench, tmp_path / "home", *command)) == []
    assert len(list((lab.shared / "runs" / there["run"] / "figures").glob("*.json"))) == 2
    assert 0 < there["timing"]["cases_per_hour"] < 3600 / 0.5


# -- a training: one container on one of the workers -------------------------------------------------------------------


def test_a_training_is_that_of_this_host_whatever_dies(
    lab: Lab, splits_writer: Callable[..., Path], new_bench: Callable[[Path], Bench], tmp_path: Path
) -> None:
    """Its worker and then the driver are killed: it goes on from its last state to the same checkpoint."""
    command = ["run", "--plugin", "learner", "--variant", "slow", "--plugin-dir", STEADY.with_name("learner"),
               "--param", "pause_s=2.5", "--dataset", splits_writer(tmp_path / "data")]  # fmt: skip
    here, there = new_bench(tmp_path / "here"), new_bench(tmp_path / "there")
    expected = trained(here, here.json(*command, "--engine", "docker"))
    lab.describe(there.home)
    process = there.popen(*command, "--cluster", "lab")
    lab.wait_for_state(attempt=0)
    (worker,) = [worker for worker in lab.workers if _containers_of(worker)]
    lab.workers.remove(worker)
    _kill(worker)
    lab.wait_for_state(attempt=1)
    _kill(process)
    process.communicate()
    ended = there(*command, "--cluster", "lab", "--json")
    assert "was handed in before and is followed" in ended.stderr
    assert trained(there, json.loads(ended.stdout)) == expected
    begun = [json.loads(line[5:]) for line in logged(there) if line.startswith("FROM ")]
    assert begun[0] == 0
    assert len(begun) == 2
    assert begun[1] > 0
    assert list(lab.shared.glob("runs/learner-*training*")) == []
    lab.start_workers(1)


def _containers_of(worker: Any) -> list[Any]:
    """Return the containers that a worker has started."""
    import docker

    with contextlib.closing(docker.from_env(timeout=30)) as client:
        return list(client.containers.list(filters={"label": f"org.groundbench.pid={worker.pid}"}))


# -- refusals: before anything is recorded ----------------------------------------------------------------------------


def _rows(lab: Lab) -> list[Any]:
    """Return the rows of the results database, if there is one."""
    if not (lab.bench.home / "results.db").exists():
        return []
    with contextlib.closing(sqlite3.connect(lab.bench.home / "results.db")) as database:
        return database.execute("select * from runs").fetchall()


def _refused(lab: Lab, *arguments: object, code: int = 3) -> str:
    """Run `rules` on the cluster, which must be refused, and return the message; nothing may have been recorded."""
    before = sorted(path.name for path in lab.shared.glob("runs/*"))
    rows = _rows(lab)
    said = lab.bench("run", "--plugin", "rules", "--seed", 7, "--cluster", "lab", *arguments, code=code).stderr
    assert sorted(path.name for path in lab.shared.glob("runs/*")) == before
    assert _rows(lab) == rows
    assert "fix:" in said
    return said


def test_more_gpus_than_any_worker_has(lab: Lab) -> None:
    """Nobody waits for a resource that nobody has."""
    assert "needs 1 GPU, and no worker of cluster 'lab' has as many" in _refused(lab, "--gpus", 1)


def test_an_engine_that_is_not_the_clusters(lab: Lab) -> None:
    """A cluster's workers run containers."""
    assert "--engine local does not go with --cluster lab" in _refused(lab, "--engine", "local", code=2)


def test_a_worker_with_another_shared_folder(lab: Lab, tmp_path: Path) -> None:
    """A share that is mounted elsewhere, or another one: the file that the driver has put there is missing."""
    shutil.copytree(lab.shared / "tls", tmp_path / "tls")
    lab.start_workers(1, shared=tmp_path)
    said = _refused(lab)
    _kill(lab.workers.pop())
    assert "is not the driver's shared folder" in said
    assert "--shared PATH" in said


def test_a_worker_of_another_version(lab: Lab) -> None:
    """The message has both versions."""
    other = (
        "import harness.runs.spec as s; v = s.versions(); s.versions = lambda: {**v, 'scorer': '0'}; "
        "from harness.cli import main; main()"
    )
    lab.start_workers(1, program=("-c", other))
    said = _refused(lab)
    _kill(lab.workers.pop())
    assert "scorer 0 here, " in said


def test_a_full_scratch(lab: Lab, small_disk: Path) -> None:
    """A scratch without room for masks is told by the worker."""
    with contextlib.suppress(OSError), (small_disk / "filler").open("wb") as file:
        while True:
            file.write(bytes(2**20))
    lab.describe(lab.bench.home, scratch=str(small_disk))
    said = _refused(lab)
    lab.describe(lab.bench.home)
    assert "the disk is full" in said


def test_a_scheduler_with_other_certificates(lab: Lab, tmp_path: Path) -> None:
    """Neither side talks to the other."""
    (tmp_path / "other").mkdir()
    lab.describe(lab.bench.home, shared=str(tmp_path / "other"))
    said = _refused(lab)
    lab.describe(lab.bench.home)
    assert not (tmp_path / "other" / "runs").exists()
    assert "is refused: its certificate is not from" in said


def test_a_scheduler_that_does_not_answer(lab: Lab) -> None:
    """The message tells how it is started."""
    port, lab.port = lab.port, 1
    lab.describe(lab.bench.home)
    said = _refused(lab)
    lab.port = port
    lab.describe(lab.bench.home)
    assert "no scheduler answers at tls://127.0.0.1:1" in said
    assert "dask scheduler --protocol tls" in said


def test_an_image_that_a_worker_lacks_and_cannot_import(lab: Lab, tmp_path: Path) -> None:
    """The archive in the shared folder is damaged, and its engine does not have the image: nothing is built there."""
    plugin = tmp_path / "steady"  # with a text of its own, so that no other test has its image
    shutil.copytree(STEADY, plugin)
    (plugin / "adapter.py").write_text((plugin / "adapter.py").read_text() + "\n# Only of this test.\n")
    steady = ["--plugin", "steady", "--plugin-dir", plugin]
    (image,) = lab.bench.json("build", *steady)["images"]
    lab.bench("images", "export", *steady, lab.shared / "images")
    import docker

    with contextlib.closing(docker.from_env(timeout=30)) as client:
        client.images.remove(image["tag"], force=True)
    (newest,) = sorted((lab.shared / "images").glob("steady*.tar*"), key=lambda path: path.stat().st_mtime)[-1:]
    os.truncate(newest, newest.stat().st_size // 2)
    assert "image: " in _refused(lab, *steady)


def test_an_unknown_cluster(lab: Lab) -> None:
    """Did you mean."""
    said = lab.bench("run", "--plugin", "rules", "--cluster", "lap", code=2).stderr
    assert "did you mean lab?" in said
