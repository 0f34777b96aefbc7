"""The checks of ``bench doctor``: each reports its result and, where something is wrong, the fix."""

from __future__ import annotations

import enum
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.engines.allocation import allocate
from harness.engines.nvidia import Gpu, ask_driver, driver_cuda
from harness.errors import BenchError, PrerequisiteError
from harness.host.sizes import gpu_size

if TYPE_CHECKING:
    from docker import DockerClient

#: Less free space than this is a warning: one CUDA image alone takes about 6 GB.
_COMFORTABLE_DISK = 20 * 10**9


#: What sets up a container engine on a bare Debian machine; it comes with groundbench.
ENGINE_SET_UP = Path(__file__).resolve().parents[1] / "containers" / "dev" / "engine.sh"


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


def run_checks(home: Path, plugin_dirs: tuple[Path, ...] = (), *, database: Path | None = None) -> Iterator[Check]:
    """Yield the checks of machine, home, engine, GPUs and plugins, in that order.

    Parameters
    ----------
    home
        The home folder; created when it does not exist, as by any command.
    plugin_dirs
        Folders of further plugins.
    database
        The results database, where it is not in the home.
    """
    yield from _machine()
    yield from _home(home, database or home / "results.db")
    from harness.engines.daemon import UNREACHABLE, connect, engine_trace, said

    client = None
    if engine_trace():
        try:
            client = connect(request_s=20)
        except PrerequisiteError as error:
            yield Check("engine", "daemon", CheckVerdict.FAILED, error.message, error.fix)
    else:
        yield Check(
            "engine",
            "daemon",
            CheckVerdict.WARNING,
            "no container engine is installed; only the models of groundbench run, without isolation",
            f"install Docker; on a bare Debian machine: sudo bash {ENGINE_SET_UP}",
        )
    if client is not None:
        try:
            yield from _engine(client, home)
        except UNREACHABLE as error:
            yield Check(
                "engine", "daemon", CheckVerdict.FAILED, f"it stopped answering: {said(error)}",
                "see its log (`journalctl -u docker`) and restart it",
            )  # fmt: skip
            client = None
    yield from _apptainer()
    yield from _gpus(client, home)
    yield from _plugins(home, plugin_dirs)


def _machine() -> Iterator[Check]:
    import importlib.metadata
    import platform

    from harness.host.capacity import usable_cores, usable_memory

    yield Check("machine", "groundbench", CheckVerdict.OK, importlib.metadata.version("groundbench"))
    version = ".".join(map(str, sys.version_info[:3]))
    yield Check("machine", "Python", CheckVerdict.OK, version)
    yield Check("machine", "system", CheckVerdict.OK, platform.platform())
    cores, memory = usable_cores(), usable_memory()
    yield Check("machine", "processors, memory", CheckVerdict.OK, f"{cores} cores, {memory / 1e9:.1f} GB")


def _home(home: Path, database: Path) -> Iterator[Check]:
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):
            pass
    except OSError as error:
        yield Check("home", "folder", CheckVerdict.FAILED, f"{home}: {error.strerror}", "choose another with --home")
        return
    from harness.host.file_systems import shared_file_system

    yield Check("home", "folder", CheckVerdict.OK, f"{home.resolve()} can be written")
    if kind := shared_file_system(database):
        yield Check(
            "home",
            "results",
            CheckVerdict.FAILED,
            f"{database} would be on a file system that machines share ({kind})",
            "choose a file on a local disk with --db (or BENCH_DB); everything else in the home may stay",
        )
    free = shutil.disk_usage(home).free
    roomy = free >= _COMFORTABLE_DISK
    yield Check(
        "home",
        "disk",
        CheckVerdict.OK if roomy else CheckVerdict.WARNING,
        f"{free / 1e9:.1f} GB free",
        "" if roomy else "an image with CUDA takes about 6 GB: `bench clean` removes images and leftovers",
    )
    if database.exists() and not kind:
        from harness.store.database import Store

        try:
            with Store(database, readonly=True) as store:
                runs = len(store.runs())
        except BenchError as error:
            yield Check("home", "results", CheckVerdict.FAILED, error.message, error.fix)
        else:
            yield Check("home", "results", CheckVerdict.OK, f"{runs} runs in {database.name}")


def _engine(client: DockerClient, home: Path) -> Iterator[Check]:
    from harness.engines import answering_engine
    from harness.engines.sealed import base_image
    from harness.engines.seccomp import is_podman

    info = client.info()
    name = "Podman" if is_podman(client.version()) else "Docker"
    yield Check(
        "engine",
        "daemon",
        CheckVerdict.OK,
        f"{name} {info.get('ServerVersion')}, {info.get('Driver')}, cgroup v{info.get('CgroupVersion', '1')}",
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
    yield from _holes(client.version())
    yield _walls(client.version(), info)
    base = base_image()
    present = bool(client.images.list(name=base))
    yield Check(
        "engine",
        "base image",
        CheckVerdict.OK if present else CheckVerdict.WARNING,
        f"{base} is {'present' if present else 'missing; the first build pulls it'}",
        "" if present else f"docker pull {base}, or sudo bash {ENGINE_SET_UP} where no registry can be reached",
    )
    if present and os.access(home, os.W_OK):
        yield _tried(home, (), Check("engine", "container", CheckVerdict.OK, "a container reads and writes here"))
    strays = [stray for stray in answering_engine().strays() if not stray.kept]
    yield Check(
        "engine",
        "strays",
        CheckVerdict.WARNING if strays else CheckVerdict.OK,
        f"{len(strays)} containers of runs that died" if strays else "no containers of runs that died",
        "the next run removes them; so does `bench clean`" if strays else "",
    )


def _holes(version: Mapping[str, Any]) -> Iterator[Check]:
    """Yield the versions of what holds containers, with the flaws that are known of them."""
    from harness.engines.known_holes import holes_of, version_of

    parts = {str(one.get("Name")): str(one.get("Version")) for one in version.get("Components") or ()}
    said = {
        "docker": parts.get("Engine", ""),
        "runc": parts.get("runc", ""),
        "nvidia-container-toolkit": _said_by("nvidia-ctk", "--version"),
        "git": _said_by("git", "--version"),
    }
    for name, text in said.items():
        found = version_of(text)
        if not text or found is None:
            continue  # not installed, or not of this engine
        number = ".".join(map(str, found))
        if holes := holes_of(name, found):
            told = "; ".join(f"{hole.name}: {hole.what}" for hole in holes)
            fix = f"update {name}, unless your distribution has mended its own version"
            yield Check("engine", name, CheckVerdict.WARNING, f"{number} is known for {told}", fix)
        else:
            yield Check("engine", name, CheckVerdict.OK, f"{number}, without a flaw known here")


def _said_by(program: str, option: str) -> str:
    try:
        done = subprocess.run([program, option], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ""
    return done.stdout[:1000] if done.returncode == 0 else ""


def _walls(version: Mapping[str, Any], info: Mapping[str, Any]) -> Check:
    """Return what stands between a container and this host; each run records the same."""
    options = [str(one).removeprefix("name=").partition(",")[0] for one in info.get("SecurityOptions") or ()]
    lsm = [one for one in ("apparmor", "selinux") if one in options]
    found = (
        f"seccomp {'on' if 'seccomp' in options else 'off'}, "
        f"{' and '.join(lsm) if lsm else 'neither AppArmor nor SELinux'}, "
        f"user namespaces {'on' if {'userns', 'rootless'} & set(options) else 'off'}, "
        f"cgroup v{info.get('CgroupVersion', '1')}, kernel {version.get('KernelVersion', 'unknown')}, "
        f"runtime {info.get('DefaultRuntime', 'unknown')} of {', '.join(sorted(info.get('Runtimes') or ())) or 'one'}"
    )
    return Check("engine", "walls", CheckVerdict.OK, found)


def _apptainer() -> Iterator[Check]:
    """Yield what is known of Apptainer, where it is installed: it is there without a daemon."""
    if shutil.which("apptainer") is None:
        return
    from harness.engines.apptainer import ApptainerEngine

    try:
        engine = ApptainerEngine()
    except PrerequisiteError as error:
        yield Check("engine", "apptainer", CheckVerdict.FAILED, error.message, error.fix)
        return
    lacks = engine.lacks(())
    yield Check(
        "engine",
        "apptainer",
        CheckVerdict.WARNING if lacks else CheckVerdict.OK,
        f"{engine.version}; {'it ' + ' and '.join(lacks) if lacks else 'memory, processes and processors are limited'}",
        "rows that are made with it are not ranked; limits need root, or cgroup v2 with a session of systemd"
        if lacks
        else "",
    )


def _gpus(client: DockerClient | None, home: Path) -> Iterator[Check]:
    driver = ask_driver()
    if not driver.gpus:
        yield Check(
            "GPU",
            "driver",
            CheckVerdict.WARNING,
            f"no GPU can be used: {driver.problem}",
            "models run on the CPU; for those that need a GPU `nvidia-smi` must list it",
        )
        return
    version = f"version {driver.version}" if driver.version else "version unknown"
    cuda = driver_cuda()
    yield Check(
        "GPU",
        "driver",
        CheckVerdict.WARNING if driver.problem else CheckVerdict.OK,
        "; ".join(filter(None, [version, f"CUDA {cuda}" if cuda else "CUDA unknown", driver.problem])),
        "the driver does not list all GPUs" if driver.problem else "",
    )
    for gpu in driver.gpus:
        yield _gpu(gpu)
    allocation = allocate(driver.gpus, os.environ)
    granted = ", ".join(gpu.index or gpu.id for gpu in allocation.gpus)
    yield Check(
        "GPU",
        "allocation",
        CheckVerdict.WARNING if allocation.problem else CheckVerdict.OK,
        allocation.problem
        or f"{f'{allocation.by} grants' if allocation.by else 'no variable limits the choice:'} {granted}",
        "ask the scheduler for a GPU, or correct the variable" if allocation.problem else "",
    )
    if client is not None and allocation.gpus:
        yield _gpu_container(home, allocation.gpus[0])


def _gpu(gpu: Gpu) -> Check:
    """Return what is known of the memory of one GPU."""
    if gpu.broken:
        found, fix = f"{gpu}: nvidia-smi says {gpu.said}", "restart the machine, or reset the GPU"
        return Check("GPU", "memory", CheckVerdict.FAILED, found, fix)
    if gpu.memory_mb is None:
        return Check("GPU", "memory", CheckVerdict.OK, f"{gpu}: not known, nvidia-smi says {gpu.said or 'nothing'}")
    free = "free memory unknown" if gpu.free_mb is None else f"{gpu_size(gpu.free_mb)} free"
    return Check(
        "GPU",
        "memory",
        CheckVerdict.WARNING if gpu.occupied else CheckVerdict.OK,
        f"{gpu}: {gpu_size(gpu.memory_mb)}, {free}",
        "other programs use it; `nvidia-smi` lists them" if gpu.occupied else "",
    )


def _gpu_container(home: Path, gpu: Gpu) -> Check:
    """Try a container with one GPU: the only proof that the container toolkit works."""
    return _tried(home, (gpu,), Check("GPU", "container", CheckVerdict.OK, "a container can use a GPU"))


def _tried(home: Path, gpus: tuple[Gpu, ...], good: Check) -> Check:
    """Try a container of the base image, sealed as a run's are; return `good` where it reads and writes."""
    from harness.engines import answering_engine
    from harness.engines.sealed import base_image
    from harness.registry.declaration import Model, Variant
    from harness.registry.discovery import Plugin
    from harness.registry.resources import Resources
    from harness.runs.preflight import check_containers

    engine = answering_engine()
    base = engine.base()
    if base is None:
        return Check(
            good.group, good.name, CheckVerdict.WARNING, f"not tried: {base_image()} is missing",
            "get the base image (see above), then run doctor again",
        )  # fmt: skip
    nobody = Model("doctor", "Doctor", "Reads and writes a line.", "1", Path("/"), variants=(Variant("only"),))
    try:
        check_containers(
            engine,
            Plugin(nobody, "doctor"),
            base,
            resources=Resources(),
            mounts=(),
            files=(),
            gpus=gpus,
            folder=home,
            log=lambda _: None,
        )
    except BenchError as error:
        return replace(good, verdict=CheckVerdict.FAILED, found=error.message, fix=error.fix)
    return good


def _plugins(home: Path, plugin_dirs: tuple[Path, ...]) -> Iterator[Check]:
    from harness.registry.discovery import discover
    from harness.upstream.missing import missing

    registry = discover(plugin_dirs)
    yield Check("plugins", "found", CheckVerdict.OK, f"{len(registry.plugins)} models: {', '.join(registry.plugins)}")
    asked = tuple(str(folder.resolve()) for folder in plugin_dirs)
    for broken in registry.broken:
        # Somebody else's, installed beside ours, keeps nothing here from running.
        ours = broken.origin.startswith(("groundbench ", *asked))
        verdict = CheckVerdict.FAILED if ours else CheckVerdict.WARNING
        yield Check("plugins", broken.name, verdict, f"broken: {broken.reason}", f"fix or remove {broken.origin}")
    for name, plugin in registry.plugins.items():
        if lacking := missing(plugin.model, home):
            yield Check(
                "plugins", name, CheckVerdict.WARNING, f"missing: {lacking.words}", f"`bench get --plugin {name}`"
            )
