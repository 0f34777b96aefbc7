"""GPUs as the driver's tool lists them, and leases that nobody shares."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.engines import gpus
from harness.engines.gpus import Gpu, discover_gpus, lease, require_gpus
from harness.errors import PrerequisiteError, UsageError


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that puts a driver's tool with that answer in the place of any other."""
    monkeypatch.setattr(gpus, "_LEASES", tmp_path / "leases")

    def install(script: str) -> None:
        tool = tmp_path / "bin" / "nvidia-smi"
        tool.parent.mkdir(exist_ok=True)
        tool.write_text(f"#!/bin/sh\n{script}\n")
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tool.parent}:/usr/bin:/bin")

    return install


TWO = "echo 'GPU-a, H100, 81559'; echo 'GPU-b, RTX 4090, 24564'"


def test_the_list_is_the_drivers(driver: Callable[[str], None]) -> None:
    """Id, name and memory in MiB, in the order of the driver."""
    driver(TWO)
    assert discover_gpus() == [Gpu("GPU-a", "H100", 81559), Gpu("GPU-b", "RTX 4090", 24564)]


@pytest.mark.parametrize("script", ["exit 9", "echo 'No devices were found'"])
def test_a_driver_that_does_not_answer_has_no_gpu(driver: Callable[[str], None], script: str) -> None:
    """A broken driver is like none: the command that needs a GPU says so, the others go on."""
    driver(script)
    assert discover_gpus() == []


def test_too_many_and_unknown_ones_are_refused(driver: Callable[[str], None]) -> None:
    """The one is a lack of the machine, the other a slip of the user's."""
    driver(TWO)
    with pytest.raises(PrerequisiteError, match="2 GPUs"):
        require_gpus(3)
    with pytest.raises(UsageError, match="GPU-c"):
        require_gpus(1, ["GPU-c"])


def test_a_leased_gpu_is_nobody_elses(driver: Callable[[str], None]) -> None:
    """The second lease gets the other GPU, the third none, and all are free afterwards."""
    driver(TWO)
    with lease(1) as first, lease(1) as second:
        assert {first[0].id, second[0].id} == {"GPU-a", "GPU-b"}
        with pytest.raises(PrerequisiteError), lease(1):
            pass
    with lease(2) as both:
        assert len(both) == 2
