"""What a sealed container holds of the host: its whole environment, mounts, labels and names, compared with a list."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.engines.base import ContainerSpec, Mount
from harness.engines.docker import DockerEngine
from harness.engines.owners import own_labels
from harness.errors import PrerequisiteError
from harness.images.build import Image
from harness.registry.declaration import Model, Variant
from harness.registry.discovery import Plugin
from harness.registry.resources import Resources

pytestmark = pytest.mark.docker

#: Set by the harness; what the image itself sets comes to it.
ENVIRONMENT = {
    "HOME": "/tmp",  # noqa: S108 - inside the container
    "USER": "groundbench",
    "LOGNAME": "groundbench",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",
    "OMP_NUM_THREADS": "2",
    "OPENBLAS_NUM_THREADS": "2",
    "OMP_WAIT_POLICY": "passive",
    "NVIDIA_VISIBLE_DEVICES": "void",
}


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DockerEngine]:
    """Return an engine of a user whose client is configured for a proxy with a password, in every way there is."""
    proxy = {"httpProxy": "http://user:SECRET@proxy.example.org:1", "noProxy": "SECRET", "ftpProxy": "SECRET"}
    settings = {
        "proxies": {"default": proxy},
        "HttpHeaders": {"X-Meta": "SECRET"},
        "auths": {"a": {"auth": "dXNlcjpwYXNz"}},
    }
    (tmp_path / "config.json").write_text(json.dumps(settings))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    for name in ("HTTP_PROXY", "https_proxy", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "http://user:SECRET@proxy.example.org:1")
    monkeypatch.setenv("NO_PROXY", "*")
    engine = DockerEngine()
    yield engine
    engine.client.close()


@pytest.fixture
def spec(engine: DockerEngine, base_image: str, tmp_path: Path) -> ContainerSpec:
    """Return a container with one file of data."""
    root = tmp_path / "root"
    (root / "out").mkdir(parents=True)
    for name in ("job.json", "cases.jsonl", "ct"):
        (root / name).write_text("{}\n")
    plugin = Plugin(Model("m", "M", "A model.", "1", Path("/"), variants=(Variant("v"),)), "here")
    image = Image(str(engine.client.images.get(base_image).id))
    mounts = (Mount(root / "ct", "ct/a.nii"),)
    return ContainerSpec(
        f"groundbench-test-{tmp_path.name}", plugin, image, root, mounts, tmp_path / "log", Resources(),
        labels=own_labels("test"),
    )  # fmt: skip


def test_nothing_of_the_host_is_in_a_container(engine: DockerEngine, spec: ContainerSpec) -> None:
    """Environment, mounts, labels, host name and groups are those of the lists, and no others."""
    image = engine.client.images.get(spec.image.id).attrs["Config"]
    container = engine._create(engine.client, spec, set(), command=["true"])
    try:
        attrs = container.attrs
    finally:
        container.remove(force=True, v=True)
    given = dict(pair.split("=", 1) for pair in attrs["Config"]["Env"])
    assert given == dict(pair.split("=", 1) for pair in image["Env"]) | ENVIRONMENT
    assert {mount["Destination"]: mount["RW"] for mount in attrs["Mounts"]} == {
        "/bench/job.json": False,
        "/bench/cases.jsonl": False,
        "/bench/ct/a.nii": False,
        "/bench/out": True,
    }
    assert list(attrs["HostConfig"]["Tmpfs"]) == ["/tmp"]  # noqa: S108 - inside the container
    assert attrs["Config"]["Labels"] == (image["Labels"] or {}) | dict(spec.labels)
    assert (attrs["Config"]["Hostname"], attrs["Config"]["Domainname"]) == ("groundbench", "")
    host = attrs["HostConfig"]
    assert {name: host[name] for name in ("Binds", "VolumesFrom", "Devices", "DeviceRequests", "ExtraHosts", "GroupAdd",
                                          "CapAdd", "Links")} == {
        "Binds": None, "VolumesFrom": None, "Devices": None, "DeviceRequests": None, "ExtraHosts": None,
        "GroupAdd": None, "CapAdd": None, "Links": None,
    }  # fmt: skip
    assert "SECRET" not in json.dumps(attrs)


def test_a_program_sees_nothing_of_the_host(engine: DockerEngine, spec: ContainerSpec) -> None:
    """Its environment, name servers and host name hold nothing of the host; the user has a name."""
    look = "env; cat /etc/resolv.conf; hostname; python -c 'import getpass; print(getpass.getuser())'; exit 7"
    seen = engine.try_out(spec, ["sh", "-c", look])
    assert seen.code == 7
    assert "SECRET" not in seen.said
    assert "HOSTNAME=groundbench" in seen.said
    assert seen.said.endswith("nameserver 127.0.0.1 groundbench groundbench")


def test_the_daemon_tells_its_properties_with_a_failure(engine: DockerEngine, spec: ContainerSpec) -> None:
    """What may explain a failure comes with it, and nothing is left of what was tried."""
    assert "seccomp" in engine.try_out(spec, ["sh", "-c", "exit 42"]).properties
    assert engine.client.containers.list(all=True, filters={"name": spec.name}) == []


def test_a_program_that_is_missing_is_said(engine: DockerEngine, spec: ContainerSpec) -> None:
    """An image without the program is told apart from one that fails."""
    assert engine.try_out(spec, ["no-such-program"]).code == 127


def test_an_image_that_somebody_removed_is_said(engine: DockerEngine, spec: ContainerSpec) -> None:
    """Between build and start, or in the middle of a run: a missing prerequisite, not a traceback, not the model."""
    with pytest.raises(PrerequisiteError, match="somebody removed the image of 'm'"):
        engine.start(replace(spec, image=Image(f"sha256:{'0' * 64}", "groundbench/m:gone")))


def test_a_container_that_somebody_ended_is_not_the_models_fault(engine: DockerEngine, spec: ContainerSpec) -> None:
    """`docker kill` leaves the exit code of a killed program; the daemon knows who asked for it."""
    sleeps = replace(spec, image=_sleeping(engine, spec.image))
    for somebody in ("kill", "remove_container"):
        container = engine.start(replace(sleeps, name=f"{spec.name}-{somebody}"))
        if somebody == "kill":
            engine.client.api.kill(container._id)
        else:
            engine.client.api.remove_container(container._id, force=True)
        ended = container.wait(30)
        container.remove()
        assert ended is not None
        assert ended.code is None
        assert "somebody else" in ended.error


def test_a_container_that_we_ended_has_its_exit_code(engine: DockerEngine, spec: ContainerSpec) -> None:
    """What the harness itself asks for is nobody else's doing."""
    container = engine.start(replace(spec, image=_sleeping(engine, spec.image)))
    ended = container.stop()
    container.remove()
    assert ended.code in {137, 143}


def _sleeping(engine: DockerEngine, base: Image) -> Image:
    """Return an image whose program sleeps."""
    context = io.BytesIO(f'FROM {base.id}\nENTRYPOINT ["sleep", "60"]\n'.encode())
    image, _ = engine.client.images.build(fileobj=context, rm=True, tag="groundbench-test-sleeps:latest")
    return Image(str(image.id))
