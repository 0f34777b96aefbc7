"""What Podman is asked for: where its service is, GPUs by name or not at all, and nothing that it does not know."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.engines import choose_engine
from harness.engines import podman as module
from harness.engines.daemon import Address
from harness.engines.docker import DockerEngine
from harness.engines.gpus import lease
from harness.engines.podman import PodmanEngine, podman_address
from harness.errors import PrerequisiteError, UsageError


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that lets a daemon of a version answer, whatever is asked."""
    for name in ("CONTAINER_HOST", "DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)

    def answer(engine: str, version: str, **info: Any) -> None:
        report = {"Version": version, "Arch": "amd64", "Components": [{"Name": engine}]}
        client = SimpleNamespace(version=lambda: report, info=lambda: info, close=lambda: None)
        for place in ("harness.engines.sealed.connect", "harness.engines.daemon.connect"):
            monkeypatch.setattr(place, lambda *_, **__: client)

    return answer


def _spec(*gpus: str) -> Any:
    return SimpleNamespace(gpu_ids=gpus)


@pytest.mark.parametrize("version", ["4.3.1", "4.9.3", "5.3.2", "3.4.4", ""])
def test_gpus_are_refused_where_they_would_be_ignored(version: str, answers: Any) -> None:
    """Before Podman 5.4 a request is accepted and not heeded: the model would compute on the CPU."""
    answers("Podman Engine", version)
    engine = PodmanEngine()
    for ask in (engine.require_gpus, lambda: engine.own_options(_spec("GPU-a"))):
        with pytest.raises(PrerequisiteError, match="ignores requests for GPUs") as refused:
            ask()
        assert refused.value.lacking == "gpu"
    assert engine.own_options(_spec())["device_requests"] is None


@pytest.mark.parametrize("version", ["5.4.0", "5.10.1", "6.0.0-rc1"])
def test_gpus_are_requested_by_name(version: str, answers: Any) -> None:
    """Those that were leased, by their names in the Container Device Interface, and no others."""
    answers("Podman Engine", version)
    engine = PodmanEngine()
    engine.require_gpus()
    (request,) = engine.own_options(_spec("GPU-a", "GPU-b"))["device_requests"]
    assert (request.driver, request.device_ids) == ("cdi", ["nvidia.com/gpu=GPU-a", "nvidia.com/gpu=GPU-b"])
    assert request.count in (None, 0)


def test_of_an_allocation_of_one_only_that_one_is_named(
    answers: Any, driver: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slurm gave GPU 1 of two: that one is requested, by its UUID."""
    uuid = "GPU-11111111-aaaa-bbbb-cccc-00000000000"
    lines = "; ".join(f"echo '{number}, {uuid}{number}, NVIDIA A100, 40960, 40500, 570.1'" for number in (0, 1))
    driver(f'case "$*" in *query-gpu*) {lines};; *) echo "CUDA Version: 12.8";; esac')
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_JOB_GPUS", "1")
    answers("Podman Engine", "5.4.2")
    with lease(1) as gpus:
        (request,) = PodmanEngine().own_options(_spec(*(gpu.id for gpu in gpus)))["device_requests"]
    assert request.device_ids == [f"nvidia.com/gpu={uuid}1"]


def test_an_engine_is_what_answers(answers: Any) -> None:
    """`auto` takes it by its own name; requested by the other's name it is refused."""
    answers("Podman Engine", "4.3.1")
    assert choose_engine("podman", trusted=False).name == "podman"
    with pytest.raises(UsageError, match=r"is Podman 4\.3\.1") as refused:
        choose_engine("docker", trusted=False)
    assert "--engine podman" in refused.value.fix
    answers("Engine", "27.1.0")
    assert isinstance(choose_engine("docker", trusted=False), DockerEngine)
    with pytest.raises(UsageError, match=r"is Docker 27\.1\.0"):
        choose_engine("podman", trusted=False)


@pytest.mark.parametrize(("engine", "kind"), [("Podman Engine", PodmanEngine), ("Engine", DockerEngine)])
def test_auto_takes_what_answers(engine: str, kind: type, answers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket in Docker's place may be Podman's; the row then says so."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///somewhere")
    answers(engine, "4.3.1")
    assert type(choose_engine("auto", trusted=False)) is kind


def test_limits_that_are_not_set_are_named(answers: Any) -> None:
    """A rootless service on cgroup v1 ignores limits: a row that was made there says so."""
    limits = {"MemoryLimit": True, "PidsLimit": True, "CpuCfsQuota": True}
    answers("Podman Engine", "4.3.1", **limits, SecurityOptions=["name=seccomp,profile=default"])
    assert PodmanEngine().lacks(()) == []
    answers("Podman Engine", "4.3.1", **(limits | {"PidsLimit": False, "CpuCfsQuota": False}), SecurityOptions=[])
    assert PodmanEngine().lacks(()) == ["does not limit processes, processors", "does not filter system calls"]


def test_its_service_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own variable, then what `docker` is told, then the socket of the system, then the user's."""
    for name in ("CONTAINER_HOST", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(module, "_SOCKET", str(tmp_path / "none"))
    usual = "the usual place: CONTAINER_HOST is not set"
    assert podman_address() == Address(f"unix://{tmp_path}/none", usual, engine="Podman")
    monkeypatch.setenv("DOCKER_HOST", "unix:///there")
    assert podman_address().url.endswith("/there")
    monkeypatch.setenv("CONTAINER_HOST", "unix:///here")
    assert podman_address().url == "unix:///here"
