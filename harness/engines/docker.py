"""The Docker engine: sealed containers through the SDK for Python."""

from __future__ import annotations

import contextlib
import os
import posixpath
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import docker.errors
import requests
from docker.models import containers as models
from docker.types import DeviceRequest, LogConfig, Mount, Ulimit

from harness.engines.base import MAX_LOG_BYTES, USER_NAME, ContainerSpec, Exit, Tried, require_readable
from harness.engines.daemon import UNREACHABLE, connect, said
from harness.engines.owners import RENEW_S, renew
from harness.engines.seccomp import is_podman, own_filter
from harness.engines.strays import Stray, ended_by_others, find_strays, remove_strays
from harness.errors import ModelError, PrerequisiteError
from harness.host.capacity import usable_cores
from harness.images import build as images
from harness.registry.discovery import Plugin

#: The user inside a container when the harness itself runs as root: any user except root.
CONTAINER_UID = 10001

#: Seconds between the request to end and the kill.
GRACE_S = 3

#: Seconds for each step of a container that is only tried out; a driver that is not kept loaded starts slowly.
TRY_S = 30.0
TRY_WITH_GPUS_S = 90.0

#: Processes of all containers of one user together, under Podman; those of each are limited by `pids`.
PODMAN_PROCESSES = 4096

#: The host name inside every container.
CONTAINER_NAME = "groundbench"

#: Instead of the host's name servers and domains, which the daemon would write into the container.
_NAMELESS: Mapping[str, Any] = {"dns": ["127.0.0.1"], "dns_search": ["."]}

#: Limit of files and folders in ``/tmp`` and in each volume of the image.
MAX_TEMPORARY_FILES = 100_000

#: Places where engines do not mount a volume, or where one would hide the files of every container.
_NO_VOLUMES = ("/proc", "/sys", "/dev")


def base_image() -> str:
    """Return the base image of every build: ``BENCH_BASE_IMAGE``, or the default."""
    return os.environ.get("BENCH_BASE_IMAGE", images.DEFAULT_BASE)


class DockerEngine:
    """Runs images on the Docker daemon that the environment names.

    Raises
    ------
    PrerequisiteError
        When no daemon answers.
    """

    name = "docker"
    isolates = True

    def __init__(self) -> None:
        self.client = connect()
        self.version: dict[str, Any] = self.client.version()

    def prepare(
        self,
        plugin: Plugin,
        *,
        home: Path,
        gpus: bool,
        log: Callable[[str], None],
        before_build: Callable[[], None] = lambda: None,
    ) -> images.Image:
        """Return the image of `plugin`, built from its folder when its content has changed."""
        return images.ensure_image(
            self.client, plugin, home=home, gpus=gpus, base=base_image(), log=log, before_build=before_build
        )

    def is_prepared(self, plugin: Plugin, *, home: Path, gpus: bool) -> bool:
        """Return whether the image of `plugin` exists."""
        return images.is_built(self.client, plugin, home=home, gpus=gpus, base=base_image())

    def base(self) -> images.Image | None:
        """Return the image that builds begin with, where the engine has it; it is never pulled."""
        try:
            found = self.client.images.get(base_image())
        except docker.errors.ImageNotFound:
            return None
        return images.Image(str(found.id), base_image())

    def require_readable(self, paths: Iterable[Path]) -> None:
        """Raise DataError where the user of the containers cannot read one of `paths`."""
        require_readable(paths, *_container_user())

    def start(self, spec: ContainerSpec) -> DockerContainer:
        """Create and start one sealed container.

        No network, read-only root, no capabilities, no new privileges, not root, and bounded memory, processors,
        processes, files, shared memory, temporary space and logs; nothing of the host but the job, the named mounts
        and ``out/``.

        Raises
        ------
        PrerequisiteError
            When the daemon refuses, with its message.
        DataError
            When the container could not read its mounts.
        ModelError
            When the image's declarations keep every engine from starting it.
        """
        self.require_readable(mount.source for mount in spec.mounts)
        volumes = self._image_volumes(spec)
        container = None
        try:
            container = self._create(self.client, spec, volumes)
            container.start()
        except UNREACHABLE as error:
            if container is not None:
                with contextlib.suppress(*UNREACHABLE):
                    container.remove(force=True, v=True)
            raise PrerequisiteError(
                f"the Docker daemon refused to start {spec.plugin.name!r}: {said(error)}",
                fix="for GPUs install the NVIDIA Container Toolkit; see also `docker info`"
                if spec.gpu_ids
                else "see `docker info` and the daemon's log",
            ) from error
        return DockerContainer(self.client, container.id, spec)

    def try_out(self, spec: ContainerSpec, command: Sequence[str]) -> Tried:
        """Run one short command in a container like those of :meth:`start`, and report what came of it.

        Parameters
        ----------
        spec
            The container: its image, mounts, user, limits and GPUs are those of a run.
        command
            The command, in the place of the image's own.

        Raises
        ------
        PrerequisiteError
            When the daemon cannot be reached.
        ModelError
            When the image's declarations keep every engine from starting it.
        """
        volumes = self._image_volumes(spec)
        limit_s = TRY_WITH_GPUS_S if spec.gpu_ids else TRY_S
        with contextlib.closing(connect(request_s=limit_s)) as client:  # of its own: with less patience
            container = None
            try:
                container = self._create(client, spec, volumes, entrypoint=list(command), command=[])
                container.start()
                code = int(container.wait(timeout=limit_s)["StatusCode"])
                output = container.logs(tail=20).decode("utf-8", "replace") if code else ""
                return Tried(code, " ".join(output.split()), properties=_properties(client) if code else ())
            except UNREACHABLE as error:
                if hung := _timed_out(error):
                    client.api.timeout = GRACE_S  # for the removal below
                words = f"the daemon answers, but did not finish within {limit_s:.0f} s" if hung else said(error)
                return Tried(None, words, properties=() if hung else _properties(client))
            finally:
                if container is not None:
                    with contextlib.suppress(*UNREACHABLE):
                        container.remove(force=True, v=True)

    def _create(
        self, client: docker.DockerClient, spec: ContainerSpec, volumes: Collection[str], **options: Any
    ) -> models.Container:
        """Create one sealed container; `options` replace the command of its image."""
        uid, gid = _container_user()
        if uid != os.getuid():
            os.chown(spec.root / "out", uid, gid)
        resources = spec.resources
        memory = f"{resources.memory_mb}m"
        podman = is_podman(self.version)
        temporary = (
            f"rw,{'exec' if resources.exec_tmp else 'noexec'},nosuid,nodev,size={resources.tmp_mb}m,mode=1777"
            # Unknown to Podman; there the files count as memory of the container, which is limited.
            + ("" if podman else f",nr_inodes={MAX_TEMPORARY_FILES}")
        )
        mounts = [
            Mount(f"/bench/{name}", str(spec.root / name), type="bind", read_only=True)
            for name in ("job.json", "cases.jsonl")
        ]
        mounts += [Mount(f"/bench/{m.target}", str(m.source), type="bind", read_only=True) for m in spec.mounts]
        mounts.append(Mount("/bench/out", str(spec.root / "out"), type="bind"))
        taken = {str(mount["Target"]) for mount in mounts}
        return client.containers.create(
            image=spec.image.id,
            name=spec.name,
            hostname=CONTAINER_NAME,
            network_mode="none",
            **({} if podman else _NAMELESS),
            # The client would add the proxies of ~/.docker/config.json, with their passwords.
            use_config_proxy=False,
            read_only=True,
            # A volume declared by the image would be space on the host's disk that is not limited.
            tmpfs=dict.fromkeys({"/tmp", *volumes} - taken, temporary),  # noqa: S108 - inside it
            shm_size=f"{resources.shm_mb}m",
            ipc_mode="private",
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true", *own_filter(self.version)],
            user=f"{uid}:{gid}",
            init=True,
            mem_limit=memory,
            memswap_limit=memory,
            pids_limit=resources.pids,
            nano_cpus=round(min(resources.cpus, usable_cores()) * 1e9),
            ulimits=[
                Ulimit(name="nofile", soft=4096, hard=4096),
                Ulimit(name="core", soft=0, hard=0),
                # Podman's own default may be more than its service is allowed to set.
                *([Ulimit(name="nproc", soft=PODMAN_PROCESSES, hard=PODMAN_PROCESSES)] if podman else []),
                Ulimit(name="fsize", soft=resources.out_mb * 2**20, hard=resources.out_mb * 2**20),
            ],
            mounts=mounts,
            log_config=LogConfig(type="json-file", config={"max-size": "4m", "max-file": "2"}),
            environment=_environment(spec),
            device_requests=[DeviceRequest(device_ids=list(spec.gpu_ids), capabilities=[["gpu", "compute", "utility"]])]
            if spec.gpu_ids
            else None,
            labels=dict(spec.labels),
            **options,
        )

    def _image_volumes(self, spec: ContainerSpec) -> set[str]:
        """Return the folders that the image declares as volumes; refuse an image that cannot be started at all."""
        try:
            config = self.client.images.get(spec.image.id).attrs["Config"]
        except docker.errors.ImageNotFound as error:
            raise PrerequisiteError(
                f"somebody removed the image of {spec.plugin.name!r} ({spec.image.tag or spec.image.id})",
                fix="the same command builds it again; what is finished is kept, as another run if the image differs",
            ) from error
        volumes = {posixpath.normpath(f"/{path.lstrip('/')}") for path in config.get("Volumes") or {}}
        wrong = sorted(
            path for path in volumes if path == "/" or f"{path}/".startswith(tuple(f"{p}/" for p in _NO_VOLUMES))
        )
        if wrong:
            raise ModelError(
                f"the image of plugin {spec.plugin.name!r} declares a volume at {wrong[0]}",
                fix="remove it from the Dockerfile; volumes are not needed: /tmp and /bench/out are writable",
            )
        if not config.get("Entrypoint") and not config.get("Cmd"):
            raise ModelError(
                f"the image of plugin {spec.plugin.name!r} does not declare a command to run",
                fix='end its Dockerfile with ENTRYPOINT ["python", "-m", "groundbench_sdk", "adapter:YourAdapter"]',
            )
        return volumes

    def reap(self) -> list[str]:
        """Remove every container of ours without an owner; return their names."""
        names = [stray.name for stray in self.strays() if not stray.kept]
        stayed = self.remove_strays(names)
        return [name for name in names if name not in stayed]

    def strays(self) -> list[Stray]:
        """Return the containers of ours whose owner has ended, and those whose owner cannot be seen from here."""
        return find_strays(self.client)

    def remove_strays(self, names: Iterable[str]) -> dict[str, str]:
        """Remove those of these containers that are still without an owner; return the others with the reason."""
        return remove_strays(self.client, names)

    def images(self) -> list[tuple[str, int]]:
        """Return tag and bytes of every image that was built here."""
        found = self.client.images.list(filters={"label": images.LABEL})
        for name in ("groundbench/*", "groundbench/base/*"):
            found += self.client.images.list(name=f"{name}:{images.UNFINISHED}")
        return sorted({(tag, int(image.attrs["Size"])) for image in found for tag in image.tags})

    def remove_image(self, tag: str) -> str:
        """Remove one image by its tag; say why where it stays, such as one that is in use."""
        try:
            self.client.images.remove(tag)
        except docker.errors.ImageNotFound:
            return ""
        except docker.errors.APIError as error:
            return str(error.explanation or error)
        return ""

    def describe(self) -> dict[str, Any]:
        """Return the daemon's name, version and kernel."""
        return {
            "engine": self.name,
            "version": self.version.get("Version"),
            "kernel": self.version.get("KernelVersion"),
            "isolates": self.isolates,
        }


class DockerContainer:
    """One started container; watched by a thread that waits for its end and one that keeps its log."""

    def __init__(self, client: docker.DockerClient, container_id: str, spec: ContainerSpec) -> None:
        self._client = client
        self._id = container_id
        self._log = spec.log
        self._root = spec.root
        self._renewed = time.monotonic()
        self._ours = False  #: whether its end was our doing
        self._ended = threading.Event()
        self._exit: Exit | None = None
        self._peak: int | None = None
        self._peak_files = _peak_files(container_id)
        self._logger = threading.Thread(target=self._keep_log, name=f"log-{spec.name}", daemon=True)
        self._waiter = threading.Thread(target=self._await_end, name=f"wait-{spec.name}", daemon=True)
        self._logger.start()
        self._waiter.start()

    def wait(self, seconds: float) -> Exit | None:
        """Wait up to `seconds` for the container's end; None while it runs."""
        self._sample_peak()
        if time.monotonic() - self._renewed >= RENEW_S:
            self._renewed = time.monotonic()
            renew(self._root)
        return self._exit if self._ended.wait(seconds) else None

    def ask(self) -> None:
        """Send it SIGTERM; its init forwards the signal."""
        self._ours = True
        with contextlib.suppress(*UNREACHABLE):
            self._client.api.kill(self._id, signal="SIGTERM")

    def stop(self) -> Exit:
        """Request its end, kill it after a short grace, and return its exit."""
        self._ours = True
        with contextlib.suppress(*UNREACHABLE):
            self._client.api.stop(self._id, timeout=GRACE_S)
        if not self._ended.wait(GRACE_S + 10):
            with contextlib.suppress(*UNREACHABLE):
                self._client.api.kill(self._id)
            self._ended.wait(10)
        return self._exit or Exit(None, error="the container could not be stopped")

    def remove(self) -> None:
        """Remove the container and its anonymous volumes; the log's last lines are written first."""
        self._logger.join(timeout=5)
        with contextlib.suppress(*UNREACHABLE):
            self._client.api.remove_container(self._id, force=True, v=True)

    def _await_end(self) -> None:
        try:
            result = self._client.api.wait(self._id, timeout=None)
            ended_by_us = self._ours
            state = self._client.api.inspect_container(self._id)["State"]
            self._exit = Exit(
                code=int(result["StatusCode"]),
                oom=bool(state.get("OOMKilled")),
                error=str(state.get("Error") or ""),
                peak_bytes=self._peak,
                state=str(state.get("Status") or "exited"),
            )
            if not ended_by_us and ended_by_others(self._client, self._id):
                self._exit = replace(
                    self._exit,
                    code=None,
                    error="somebody else ended or removed the container (docker kill, stop or rm)",
                )
        except docker.errors.NotFound:
            self._exit = Exit(None, error="somebody else removed the container", peak_bytes=self._peak)
        except UNREACHABLE as error:
            self._exit = Exit(None, error=f"the engine lost the container: {error}", peak_bytes=self._peak)
        self._ended.set()

    def _keep_log(self) -> None:
        """Copy the output to the log file while it is written, up to the bound; then only its last lines."""
        try:
            with self._log.open("ab") as file:
                written = 0
                for chunk in self._client.api.logs(self._id, stream=True, follow=True):
                    file.write(chunk[: MAX_LOG_BYTES - written])
                    file.flush()
                    written += len(chunk)
                    if written >= MAX_LOG_BYTES:
                        break
                else:
                    return
                file.write(b"\n[... more output was dropped; the last lines follow ...]\n")
                self._ended.wait()
                file.write(self._client.api.logs(self._id, tail=50)[-64 * 1024 :])
        except (OSError, *UNREACHABLE):
            return  # the log is a convenience: a full disk or a lost daemon is reported elsewhere

    def _sample_peak(self) -> None:
        for path in self._peak_files:
            try:
                self._peak = int(path.read_text(encoding="ascii"))
            except (OSError, ValueError):
                continue
            return


def _environment(spec: ContainerSpec) -> dict[str, str]:
    """Return what a container's environment holds in addition to its image's own; nothing in it is the host's."""
    threads = str(max(1, round(spec.resources.cpus)))
    return {
        "HOME": "/tmp",  # noqa: S108 - inside it
        # The user has a number only; libraries that ask for a name look here first.
        "USER": USER_NAME,
        "LOGNAME": USER_NAME,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        **({} if spec.gpu_ids else {"NVIDIA_VISIBLE_DEVICES": "void"}),
    }


def _properties(client: docker.DockerClient) -> tuple[str, ...]:
    """Return what the daemon says of itself that may explain a failure, such as ``rootless``; empty without answer."""
    try:
        info = client.info()
    except UNREACHABLE:
        return ()
    # Each is a list of pairs, such as "name=seccomp,profile=default"; Podman has a field of its own instead.
    options = tuple(option.removeprefix("name=").partition(",")[0] for option in info.get("SecurityOptions") or [])
    return (*options, *(["rootless"] if info.get("Rootless") else []))


def _timed_out(error: BaseException) -> bool:
    """Return whether a request had no answer in time; while a container is awaited it is a ConnectionError."""
    return isinstance(error, requests.exceptions.Timeout) or "timed out" in str(error).lower()


def _container_user() -> tuple[int, int]:
    """Return user and group of every container: those of the harness, but never root."""
    return (CONTAINER_UID, CONTAINER_UID) if os.getuid() == 0 else (os.getuid(), os.getgid())


def _peak_files(container_id: str) -> tuple[Path, ...]:
    """Return the kernel's files with a container's peak memory: cgroup v1, then v2 under both drivers."""
    root = Path("/sys/fs/cgroup")
    return (
        root / "memory" / "docker" / container_id / "memory.max_usage_in_bytes",
        root / "docker" / container_id / "memory.peak",
        root / "system.slice" / f"docker-{container_id}.scope" / "memory.peak",
    )
