"""Fixtures of the tests that drive the command line and real containers."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import processes
from tests.e2e.hpc import CASES, STEADY, Cluster, here
from tests.faults.conftest import own_engine

if TYPE_CHECKING:
    from tests.conftest import Bench
    from tests.slurm_node import SlurmNode

__all__ = ["own_engine"]  # a fixture of the neighbours, for Slurm's GPUs


@pytest.fixture(
    params=["local", pytest.param("docker", marks=pytest.mark.docker)],
)
def engine(request: pytest.FixtureRequest) -> str:
    """Run a test on both engines."""
    if request.param == "docker":
        request.getfixturevalue("base_image")
    return str(request.param)


@pytest.fixture
def hpc(slurm: SlurmNode, new_bench: Callable[[Path], Bench], tmp_path: Path) -> Iterator[Cluster]:
    """Return a command line with a Slurm cluster of its own name and shared folder."""
    bench = new_bench(tmp_path / "home")
    bench.environment.update(slurm.environment)
    cluster = Cluster(slurm, bench, tmp_path / "shared")
    cluster.shared.mkdir()
    cluster.describe()
    yield cluster
    for process in processes():  # a driver that a failed test left
        if str(bench.home) in process.command and process.pid != os.getpid():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)


@pytest.fixture(scope="session")
def slow(
    base_image: str, new_bench: Callable[[Path], Bench], dataset_writer: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[list[object], dict[str, Any]]:  # fmt: skip
    """Return a model that takes a while, its cases, and the undisturbed rows of this host."""
    folder = tmp_path_factory.mktemp("slow")
    dataset = dataset_writer(folder / "toy", CASES)
    command: list[object] = ["--plugin", "steady", "--plugin-dir", STEADY]
    command += ["--dataset", dataset]
    return command, here(new_bench(folder / "home"), folder / "home", *command)
