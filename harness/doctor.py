"""The checks of ``bench doctor``: each reports its result and, where something is wrong, the fix."""

from __future__ import annotations

import contextlib
import enum
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.engines.gpus import discover_gpus
from harness.errors import BenchError

if TYPE_CHECKING:
    from docker import DockerClient

#: Less free space than this is a warning: one CUDA image alone takes about 6 GB.
_COMFORTABLE_DISK = 20 * 10**9


class CheckVerdict(enum.StrEnum):
    """The result of a check."""

    OK = "ok"
    WARNING = "warning"  #: works, with a limit
    FAILED = "failed"  #: something will not work


@dataclass(frozen=True)
class Check:
    """One line of ``bench doctor``.

    Attributes
    ----------
    group, name
        Group and subject of the check.
    verdict
        Its result.
    found
        The observation.
    fix
        The fix; empty where none is needed.
    """

    group: str
    name: str
    verdict: CheckVerdict
    found: str
    fix: str = ""


def run_checks(home: Path, plugin_dirs: tuple[Path, ...] = ()) -> Iterator[Check]:
    """Yield the checks of machine, home, engine, GPUs and plugins, in that order.

    Parameters
    ----------
    home
        The home folder; created when it does not exist, as by any command.
    plugin_dirs
        Folders of further plugins.
    """
    yield from _machine()
    yield from _home(home)
    client = None
    try:
        import docker

        client = docker.from_env(timeout=20)
        client.ping()
    except Exception as error:  # noqa: BLE001 - any failure to reach the daemon is the result of the check
        yield Check(
            "engine",
            "daemon",
            CheckVerdict.WARNING,
            f"no Docker daemon answers ({type(error).__name__}); runs use the local engine, without isolation",
            "start Docker; on a bare Debian machine: sudo containers/dev/engine.sh",
        )
        client = None
    if client is not None:
        yield from _engine(client)
    yield from _gpus(client)
    yield from _plugins(home, plugin_dirs)


def _machine() -> Iterator[Check]:
    import importlib.metadata
    import platform

    yield Check("machine", "groundbench", CheckVerdict.OK, importlib.metadata.version("groundbench"))
    version = ".".join(map(str, sys.version_info[:3]))
    yield Check("machine", "Python", CheckVerdict.OK, version)
    yield Check("machine", "system", CheckVerdict.OK, platform.platform())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    yield Check("machine", "processors, memory", CheckVerdict.OK, f"{os.cpu_count()} cores, {memory / 1e9:.1f} GB")


def _home(home: Path) -> Iterator[Check]:
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):
            pass
    except OSError as error:
        yield Check("home", "folder", CheckVerdict.FAILED, f"{home}: {error.strerror}", "choose another with --home")
        return
    yield Check("home", "folder", CheckVerdict.OK, f"{home.resolve()} can be written")
    free = shutil.disk_usage(home).free
    roomy = free >= _COMFORTABLE_DISK
    yield Check(
        "home",
        "disk",
        CheckVerdict.OK if roomy else CheckVerdict.WARNING,
        f"{free / 1e9:.1f} GB free",
        "" if roomy else "an image with CUDA takes about 6 GB: `bench clean` removes images and leftovers",
    )
    database = home / "results.db"
    if database.exists():
        from harness.store.database import Store

        try:
            with Store(database, readonly=True) as store:
                runs = len(store.runs())
        except BenchError as error:
            yield Check("home", "results", CheckVerdict.FAILED, error.message, error.fix)
        else:
            yield Check("home", "results", CheckVerdict.OK, f"{runs} runs in {database.name}")


def _engine(client: DockerClient) -> Iterator[Check]:
    from harness.engines.docker import DockerEngine, base_image

    info = client.info()
    yield Check(
        "engine",
        "daemon",
        CheckVerdict.OK,
        f"Docker {info.get('ServerVersion')}, {info.get('Driver')}, cgroup v{info.get('CgroupVersion', '1')}",
    )
    unlimited = [
        name for name, key in (("memory", "MemoryLimit"), ("processes", "PidsLimit"), ("processors", "CpuCfsQuota"))
        if not info.get(key)
    ]  # fmt: skip
    yield Check(
        "engine",
        "limits",
        CheckVerdict.FAILED if unlimited else CheckVerdict.OK,
        f"cannot limit {', '.join(unlimited)}" if unlimited else "memory, processes and processors can be limited",
        "a rootless engine on cgroup v1 ignores limits: use cgroup v2, or the system's daemon" if unlimited else "",
    )
    options = info.get("SecurityOptions") or []
    filtered = any("seccomp" in option and "unconfined" not in option for option in options)
    yield Check(
        "engine",
        "seccomp",
        CheckVerdict.OK if filtered else CheckVerdict.FAILED,
        "system calls are filtered"
        if filtered
        else f"system calls are not filtered ({', '.join(options) or 'no option'})",
        "" if filtered else "a daemon with its default seccomp profile protects the kernel from strangers' images",
    )
    base = base_image()
    present = bool(client.images.list(name=base))
    yield Check(
        "engine",
        "base image",
        CheckVerdict.OK if present else CheckVerdict.WARNING,
        f"{base} is {'present' if present else 'missing; the first build pulls it'}",
        "" if present else f"docker pull {base}, or containers/dev/engine.sh where no registry can be reached",
    )
    strays = [stray for stray in DockerEngine().strays() if not stray.kept]
    yield Check(
        "engine",
        "strays",
        CheckVerdict.WARNING if strays else CheckVerdict.OK,
        f"{len(strays)} containers of runs that died" if strays else "no containers of runs that died",
        "the next run removes them; so does `bench clean`" if strays else "",
    )


def _gpus(client: DockerClient | None) -> Iterator[Check]:
    gpus = discover_gpus()
    if not gpus:
        yield Check(
            "GPU",
            "driver",
            CheckVerdict.WARNING,
            "no NVIDIA GPU; models run on the CPU",
            "for models that need one install its driver: `nvidia-smi` must list it",
        )
        return
    yield Check("GPU", "driver", CheckVerdict.OK, ", ".join(f"{gpu.name} ({gpu.memory_mb} MiB)" for gpu in gpus))
    if client is not None:
        yield _gpu_container(client, gpus[0].id)


#: Succeeds where the engine has added the driver to the container: its control device, and a GPU's.
_SEES_GPU = "test -e /dev/nvidiactl && ls /dev/nvidia[0-9]* > /dev/null"


def _gpu_container(client: DockerClient, gpu: str) -> Check:
    """Start a tiny container with one GPU, sealed as a run's are: the only proof that the container toolkit works."""
    import docker.errors
    import requests
    from docker.types import DeviceRequest

    from harness.engines.docker import CONTAINER_UID, base_image
    from harness.engines.owners import own_labels

    container = None
    try:
        # Created, not run: a missing base image must not be pulled without the user's request.
        container = client.containers.create(
            base_image(),
            ["sh", "-c", _SEES_GPU],
            network_mode="none",
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true"],
            user=f"{CONTAINER_UID}:{CONTAINER_UID}",
            labels=dict(own_labels("doctor")),
            device_requests=[DeviceRequest(device_ids=[gpu], capabilities=[["gpu", "utility"]])],
        )
        container.start()
        code = container.wait(timeout=60)["StatusCode"]
        problem = "" if code == 0 else "it starts, but without /dev/nvidiactl: the engine ignores the request for a GPU"
    except docker.errors.ImageNotFound:
        return Check(
            "GPU", "container", CheckVerdict.WARNING, f"not tried: {base_image()} is missing",
            "get the base image (see above), then run doctor again",
        )  # fmt: skip
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        problem = str(getattr(error, "explanation", None) or error)
    finally:
        if container is not None:
            with contextlib.suppress(docker.errors.DockerException, requests.exceptions.RequestException):
                container.remove(force=True, v=True)
    if problem:
        return Check(
            "GPU", "container", CheckVerdict.FAILED, f"a container cannot use a GPU: {problem}",
            "install the NVIDIA Container Toolkit and restart the daemon",
        )  # fmt: skip
    return Check("GPU", "container", CheckVerdict.OK, "a container can use a GPU")


def _plugins(home: Path, plugin_dirs: tuple[Path, ...]) -> Iterator[Check]:
    from harness.registry.discovery import discover
    from harness.upstream.sources import SourceStore
    from harness.upstream.weights import WeightsStore

    sources, weights = SourceStore(home / "sources"), WeightsStore(home / "weights")
    registry = discover(plugin_dirs)
    yield Check("plugins", "found", CheckVerdict.OK, f"{len(registry.plugins)} models: {', '.join(registry.plugins)}")
    for broken in registry.broken:
        yield Check(
            "plugins", broken.name, CheckVerdict.FAILED, f"broken: {broken.reason}", f"fix or remove {broken.origin}"
        )
    for name, plugin in registry.plugins.items():
        for kind, missing in (
            ("sources", [source.name for source in plugin.model.sources if not sources.has(source)]),
            ("weights", [file.name for file in plugin.model.weights if weights.find(file) is None]),
        ):
            if missing:
                yield Check(
                    "plugins",
                    name,
                    CheckVerdict.WARNING,
                    f"{kind} missing: {', '.join(missing)}",
                    f"`bench {kind} fetch --plugin {name}`, or `bench {kind} add --from PATH`",
                )
