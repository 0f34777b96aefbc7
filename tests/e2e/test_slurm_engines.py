"""Slurm without Docker on the nodes, and a command without engine or GPU where it is given: the rows of this host."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.hpc import here
from tests.e2e.lab import content

if TYPE_CHECKING:
    from tests.e2e.hpc import Cluster
    from tests.faults.conftest import OwnEngine

pytestmark = [pytest.mark.slurm, pytest.mark.docker, pytest.mark.usefixtures("base_image")]

TELLS_GPUS = Path(__file__).parent / "plugins" / "tells_gpus"

#: No engine answers where the command is given.
NOWHERE = "unix:///nowhere.sock"

DRIVER = """#!/bin/sh
case "$*" in *query*) ;; *) exit 0 ;; esac
echo '0, GPU-slurm-0, Stand-in, 8192'
echo '1, GPU-slurm-1, Stand-in, 8192'
"""


@pytest.fixture
def gpu_host(tmp_path: Path) -> str:
    """Return the PATH of a host whose driver lists two GPUs."""
    tool = tmp_path / "gpu-host" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text(DRIVER)
    tool.chmod(0o755)
    return f"{tool.parent}:{os.environ['PATH']}"


def test_two_gpus_asked_for_where_there_is_none(
    hpc: Cluster, own_engine: OwnEngine, gpu_host: str, make_dataset: Callable[..., Path], tmp_path: Path
) -> None:
    """Planned without engine and GPU: each of two jobs gets one GPU of Slurm, and its container this one only."""
    command = ["--plugin", "tells-gpus", "--plugin-dir", TELLS_GPUS, "--dataset", make_dataset(4), "--gpus", 2]
    before = dict(hpc.bench.environment)
    hpc.bench.environment.update(PATH=gpu_host, DOCKER_HOST=own_engine.host)
    expected = here(hpc.bench, tmp_path / "here", *command)
    hpc.bench("images", "export", *command[:4], "--engine", "docker", hpc.shared / "images")
    hpc.bench.environment = before | {"DOCKER_HOST": NOWHERE}
    hpc.describe(setup=f"export PATH={gpu_host} DOCKER_HOST={own_engine.host}")
    ended = hpc.bench.json(*hpc.run(*command))
    assert content(hpc.bench, ended) == expected
    logs = (hpc.shared / "runs" / ended["run"] / "logs").iterdir()
    lines = [line for log in logs for line in log.read_text().splitlines() if line.startswith("SEEN ")]
    seen = [json.loads(line.removeprefix("SEEN "))["NVIDIA_VISIBLE_DEVICES"] for line in lines]
    assert sorted(seen) == ["GPU-slurm-0", "GPU-slurm-1"]
    hpc.nothing_is_left()


def test_nodes_with_apptainer(hpc: Cluster, apptainer: Path, make_dataset: Callable[..., Path], tmp_path: Path) -> None:
    """Every check is green, and masks and digits are those of Docker."""
    command = ["--plugin", "shifted", "--dataset", make_dataset(4)]
    expected = here(hpc.bench, tmp_path / "here", *command)
    hpc.bench("images", "export", "--plugin", "shifted", "--engine", "docker", hpc.shared / "images")
    hpc.bench.environment["DOCKER_HOST"] = NOWHERE
    hpc.describe(engine="apptainer", setup=f"export PATH={apptainer}:$PATH")
    checks = hpc.bench.json("cluster", "check", "hpc", "--plugin", "shifted")["checks"]
    assert {check["verdict"] for check in checks} == {"ok"}, checks
    ended = hpc.bench.json(*hpc.run(*command))
    found = content(hpc.bench, ended)
    assert (found["findings"], found["masks"]) == (expected["findings"], expected["masks"])
    shown = hpc.bench.json("results", "show", ended["run"])
    assert (shown["engine"], shown["record"]["engine"]["engine"]) == ("apptainer", "apptainer")
    hpc.nothing_is_left()
