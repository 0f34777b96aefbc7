"""Two harnesses on one daemon that cannot see each other; and somebody who removes a container."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.conftest import Bench
    from tests.faults.conftest import OwnEngine

pytestmark = pytest.mark.docker

#: Seconds for which the two work side by side; twenty minutes were tried.
WORK_S = float(os.environ.get("GROUNDBENCH_NEIGHBOURS_S", "60"))

#: Seconds after which a lease is over, here.
STALE_S = 60

PLUGIN = """
from harness import Model, Resources, Variant, hookimpl

@hookimpl
def bench_models():
    return [Model(name="sleeper", title="Sleeper", summary="Sleeps, then delivers.", version="1",
                  variants=(Variant("default", params={"seconds": 1.0}),), adapter="adapter:Sleeper",
                  resources=Resources(memory_gb=0.25, cpus=1, pids=64, start_minutes=3, case_minutes=3))]
"""

ADAPTER = """
import time
import numpy as np
from groundbench_sdk import Adapter

class Sleeper(Adapter):
    def load(self, job):
        self.seconds = job.params["seconds"]

    def predict(self, case):
        time.sleep(self.seconds)
        for finding in case.findings:
            mask = np.zeros(case.shape, bool)
            mask[0, 0, 0] = True
            yield finding.id, mask
"""

DOCKERFILE = """ARG BASE_IMAGE=python:3.11-slim-bookworm
FROM ${BASE_IMAGE}
COPY sdk/ /opt/sdk/
COPY adapter.py /opt/plugin/
ENV PYTHONPATH=/opt/sdk:/opt/plugin
ENTRYPOINT ["python", "-m", "groundbench_sdk", "adapter:Sleeper"]
"""


@pytest.fixture
def sleeper(tmp_path: Path) -> Path:
    """Write a plugin that sleeps for `--param seconds` on every case."""
    folder = tmp_path / "sleeper"
    folder.mkdir()
    for name, text in (("__init__.py", PLUGIN), ("adapter.py", ADAPTER), ("Dockerfile", DOCKERFILE)):
        (folder / name).write_text(text)
    return folder


def _containers(host: str) -> list[str]:
    listed = subprocess.run(
        ["docker", "-H", host, "ps", "-a", "--filter", "label=org.groundbench.pid", "--format", "{{.Names}}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return listed.stdout.split()


@pytest.mark.slow
@pytest.mark.timeout(WORK_S + 900)
def test_two_harnesses_leave_each_other_alone(
    own_engine: OwnEngine,
    sleeper: Path,
    bench: Bench,
    make_dataset: Callable[..., Path],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """In two PID namespaces with two boot ids both run, kill their own, and clean: nothing else goes, nothing stays."""
    record_property("fault", f"two harnesses clean for {WORK_S:.0f} s")
    bench.environment["DOCKER_HOST"] = own_engine.host
    command = [
        "run", "--plugin", "sleeper", "--plugin-dir", str(sleeper), "--dataset", str(make_dataset(2)),
        "--engine", "docker", "--param", f"seconds={max(3.0, WORK_S / 60)}",
    ]  # fmt: skip
    bench("build", "--plugin", "sleeper", "--plugin-dir", sleeper)
    other_boot = tmp_path / "boot_id"
    other_boot.write_text(f"{uuid.uuid4()}\n")
    apart = [
        "unshare", "-p", "-f", "--kill-child", "--mount-proc", "bash", "-c",
        f"mount --bind {other_boot} /proc/sys/kernel/random/boot_id && exec \"$@\"", "bash",
    ]  # fmt: skip
    both = {}
    for name, before, seed in (("here", [], 1), ("apart", apart, 2)):
        report = tmp_path / f"{name}.json"
        driver = [sys.executable, str(Path(__file__).with_name("neighbour.py")), str(report), str(WORK_S), str(STALE_S)]
        both[report] = subprocess.Popen(
            [*before, *driver, str(tmp_path / name), *command, "--seed", str(seed)],
            env=bench.environment, cwd=Path(__file__).resolve().parents[2],
        )  # fmt: skip
    for process in both.values():
        assert process.wait(timeout=WORK_S + 300) == 0
    here, there = (json.loads(report.read_text()) for report in both)
    assert here["namespace"] != there["namespace"]
    assert here["boot"] != there["boot"]
    for one in (here, there):
        assert len(one["ended"]) >= 2
        for run in one["ended"]:
            assert run["killed"] or run["coverage"] == {"ok": 4}, run
        assert set(one["removed"]) <= {*here["left"], *there["left"]}, "a living run's container was removed"
        assert set(one["left"]) <= {*here["removed"], *there["removed"]}, "a dead run's container was not seen"
    assert _containers(own_engine.host) == []
    record_property(
        "outcome",
        f"{len(here['ended'])} and {len(there['ended'])} runs, {here['cleaned'] + there['cleaned']} cleans, "
        f"{len(here['left']) + len(there['left'])} killed and removed",
    )


@pytest.mark.slow
def test_a_namespace_that_is_gone_leaves_its_container_to_the_lease(
    own_engine: OwnEngine,
    sleeper: Path,
    bench: Bench,
    make_dataset: Callable[..., Path],
    record_property: Callable[[str, object], None],
) -> None:
    """Nobody can see any more whether its owner lives: it stays, and that is said, until its lease is over."""
    record_property("fault", "a PID namespace ends with its harness")
    bench.environment["DOCKER_HOST"] = own_engine.host
    run = [
        "--home", str(bench.home), "run", "--plugin", "sleeper", "--plugin-dir", str(sleeper), "--engine", "docker",
        "--dataset", str(make_dataset(1)), "--param", "seconds=600",
    ]  # fmt: skip
    with subprocess.Popen(
        ["unshare", "-p", "-f", "--kill-child", "--mount-proc", sys.executable, "-m", "harness", *run],
        env=bench.environment, cwd=Path(__file__).resolve().parents[2], stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        _await(lambda: _containers(own_engine.host))
        time.sleep(1)
        process.kill()
    (name,) = _containers(own_engine.host)
    found = bench.json("clean", "--yes")
    assert found["containers"] == []
    assert any(name in line and "PID namespace" in line for line in found["not_looked_at"])
    bench.program = (
        "-c",
        f"import harness.engines.strays as s; s.STALE_S = {STALE_S}; import harness.cli as c; c.main()",
    )
    _await(lambda: name in bench.json("clean", "--yes")["containers"], seconds=STALE_S + 60, every=5)
    assert _containers(own_engine.host) == []
    record_property("outcome", "left alone, then removed")


def test_a_container_that_somebody_removed_is_not_the_models_fault(
    base_image: str,
    sleeper: Path,
    bench: Bench,
    make_dataset: Callable[..., Path],
    record_property: Callable[[str, object], None],
) -> None:
    """`docker rm -f` on every container of a run: its case is `infra_error`, and the same command tries it again."""
    record_property("fault", "containers removed by somebody else")
    command = [
        "run", "--plugin", "sleeper", "--plugin-dir", sleeper, "--engine", "docker", "--dataset", make_dataset(1),
        "--param", "seconds=20", "--json",
    ]  # fmt: skip
    with bench.popen(*command) as process:
        mine = f"label=org.groundbench.pid={process.pid}"
        while process.poll() is None:
            ids = subprocess.run(
                ["docker", "ps", "-q", "--filter", mine, "--filter", "label=org.groundbench.run"],
                capture_output=True, text=True, check=True,
            ).stdout.split()  # fmt: skip
            if ids:
                time.sleep(2)  # it has begun its case
                subprocess.run(["docker", "rm", "-f", *ids], capture_output=True, check=False)
        out, err = process.communicate()
    assert json.loads(out)["coverage"] == {"infra_error": 2, "ok": 0}, err
    assert "somebody else" in err
    record_property("outcome", "infra_error")


def _await(found: Callable[[], Any], *, seconds: float = 60, every: float = 0.2) -> None:
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline
        time.sleep(every)
