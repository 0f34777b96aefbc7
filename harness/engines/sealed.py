"""Sealed containers on an engine with a daemon that speaks Docker's language: what Docker and Podman share.

Each is a module of its own with what differs: how its daemon is found, and what it cannot do, or does otherwise.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import docker
import docker.errors
import requests
from docker.models import containers as models
from docker.types import LogConfig, Mount, Ulimit

from harness.engines.base import ContainerSpec, Tried, container_user, own_environment, require_readable
from harness.engines.daemon import UNREACHABLE, Address, connect, said
from harness.engines.disk_rate import write_limits
from harness.engines.image_rules import blanked, broken_rule, volumes_of
from harness.engines.strays import Stray, find_strays, remove_strays
from harness.engines.watched import GRACE_S, WatchedContainer
from harness.errors import ModelError, PrerequisiteError, UnknownName
from harness.host.capacity import usable_cores
from harness.images import build as images
from harness.images.archive import ImageRecord, written
from harness.images.base import base_of, system_of
from harness.images.identity import LABEL, imported_tag
from harness.images.own import OwnImages
from harness.images.travel import load_image, obtain_image, send_image
from harness.registry.discovery import Plugin

#: Seconds for each step of a container that is only tried out; a driver that is not kept loaded starts slowly.
TRY_S = 30.0
TRY_WITH_GPUS_S = 90.0

#: The host name inside every container.
CONTAINER_NAME = "groundbench"

#: Limits of a container, and where a daemon says that it can set them.
_LIMITS: Mapping[str, str] = {"memory": "MemoryLimit", "processes": "PidsLimit", "processors": "CpuCfsQuota"}


def base_image() -> str:
    """Return the base image of every build: ``BENCH_BASE_IMAGE``, or the default."""
    return os.environ.get("BENCH_BASE_IMAGE", images.DEFAULT_BASE)


class SealedEngine:
    """Runs images on a daemon that speaks Docker's language.

    Parameters
    ----------
    address
        Where the daemon is; None: where the environment names it.

    Attributes
    ----------
    name, title
        What it is called in a command and a record, and in a sentence.
    client, version
        A connected client, and the daemon's report of itself.
    runtime
        The runtime of its containers, such as ``runsc`` (gVisor) or ``kata``; empty for the daemon's own.

    Raises
    ------
    PrerequisiteError
        When no daemon answers.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    isolates = True
    limits_memory = True
    tells_oom: ClassVar[bool] = True

    def __init__(self, address: Address | None = None, *, runtime: str = "") -> None:
        self._address = address
        self.client = connect(address)
        self.version: dict[str, Any] = self.client.version()
        self.runtime = runtime
        if runtime and runtime not in (known := self._info.get("Runtimes") or {}):
            raise UnknownName("runtime", runtime, known, fix=f"{self.title} has {', '.join(sorted(known)) or 'none'}")

    def own_options(self, spec: ContainerSpec) -> dict[str, Any]:
        """Return options of a container that are this engine's own, GPUs among them; raises where it cannot do it."""
        raise NotImplementedError

    def own_limits(self) -> list[Ulimit]:
        """Return limits of processes that this engine needs to be told."""
        return []

    def temporary_option(self) -> str:
        """Return what follows the other options of a temporary file system; empty for nothing."""
        return ""

    def require_gpus(self) -> None:
        """Raise PrerequisiteError where this engine cannot give a GPU to a container."""

    def lacks(self, gpu_ids: Sequence[str]) -> list[str]:  # noqa: ARG002 - of other engines it depends on them
        """Return what this engine cannot do on this host, in words that end a reason; empty where it does all."""
        info = self._info
        unlimited = [what for what, key in _LIMITS.items() if not info.get(key)]
        filters = [str(option) for option in info.get("SecurityOptions") or ()]
        filtered = any("seccomp" in option and "unconfined" not in option for option in filters)
        return [
            *([f"does not limit {', '.join(unlimited)}"] if unlimited else []),
            *([] if filtered else ["does not filter system calls"]),
        ]

    @cached_property
    def _info(self) -> dict[str, Any]:
        """What the daemon says of its settings and of the host, asked for once."""
        try:
            return dict(self.client.info())
        except UNREACHABLE as error:
            raise PrerequisiteError(
                f"{self.title} stopped answering: {said(error)}",
                fix="see its log, restart it, and run the same command again",
                lacking="engine",
            ) from error

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

    def export(self, image: images.Image, folder: Path) -> ImageRecord:
        """Write an image as an archive and its record into `folder`; one that is there already is kept.

        Raises
        ------
        PrerequisiteError
            When the engine does not have it, or does not hand it out.
        DataError
            When it is not an image that groundbench has built.
        """
        return written(image.id, folder) or send_image(self.client, image, folder, title=self.title)

    def take_in(self, record: ImageRecord, folder: Path, home: Path, log: Callable[[str], None]) -> images.Image:
        """Return the engine's image of a record, loading its archive from `folder` where it does not have it."""
        found = load_image(self.client, record, folder, title=self.title, log=log)
        repository, _, version = imported_tag(record.plugin, record.context).partition(":")
        found.tag(repository, version)
        found.reload()
        OwnImages(home / "images").note(f"{repository}:{version}", str(found.id), made=True)
        tag, size = next(iter(found.tags), ""), int(found.attrs["Size"])
        return images.Image(str(found.id), tag, size, record.device, base_of(found), system_of(found))

    def obtain(
        self, plugin: Plugin, image: images.Image, *, archives: Path, log: Callable[[str], None]
    ) -> images.Image:
        """Return an image that was prepared elsewhere as it is known here; load it from `archives` where it is not."""
        return obtain_image(self.client, plugin.name, image, archives, title=self.title, log=log)

    def base(self) -> images.Image | None:
        """Return the image that builds begin with, where the engine has it; it is never pulled."""
        try:
            found = self.client.images.get(base_image())
        except docker.errors.ImageNotFound:
            return None
        return images.Image(str(found.id), base_image())

    def require_readable(self, paths: Iterable[Path]) -> None:
        """Raise DataError where the user of the containers cannot read one of `paths`."""
        require_readable(paths, *container_user())

    def start(self, spec: ContainerSpec) -> WatchedContainer:
        """Create and start one sealed container.

        No network, read-only root, no capabilities, no new privileges, not root, and bounded memory, processors,
        processes, files, shared memory, temporary space, logs and writes to the disk; nothing of the host but the job,
        the named mounts and ``out/``.

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
        config = self._image_config(spec)
        container = None
        try:
            container = self._create(self.client, spec, volumes_of(config), blank=blanked(config))
            container.start()
        except UNREACHABLE as error:
            if container is not None:
                with contextlib.suppress(*UNREACHABLE):
                    container.remove(force=True, v=True)
            raise PrerequisiteError(
                f"{self.title} refused to start {spec.plugin.name!r}: {said(error)}",
                fix="for GPUs install the NVIDIA Container Toolkit; see also `docker info`"
                if spec.gpu_ids
                else "see `docker info` and the daemon's log",
            ) from error
        return WatchedContainer(self.client, str(container.id), spec, tells_oom=self.tells_oom)

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
        config = self._image_config(spec)
        limit_s = TRY_WITH_GPUS_S if spec.gpu_ids else TRY_S
        with contextlib.closing(connect(self._address, request_s=limit_s)) as client:  # of its own: with less patience
            container = None
            try:
                container = self._create(
                    client, spec, volumes_of(config), blank=blanked(config), entrypoint=list(command), command=[]
                )
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
        self,
        client: docker.DockerClient,
        spec: ContainerSpec,
        volumes: Collection[str],
        *,
        blank: Mapping[str, str] = MappingProxyType({}),
        **options: Any,
    ) -> models.Container:
        """Create one sealed container; `blank` takes variables of its image away, `options` replace its command."""
        uid, gid = container_user()
        if uid != os.getuid():
            os.chown(spec.root / "out", uid, gid)
        resources = spec.resources
        memory = f"{resources.memory_mb}m"
        temporary = (
            f"rw,{'exec' if resources.exec_tmp else 'noexec'},nosuid,nodev,size={resources.tmp_mb}m,mode=1777"
            f"{self.temporary_option()}"
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
            # The client would add the proxies of ~/.docker/config.json, with their passwords.
            use_config_proxy=False,
            read_only=True,
            # A volume declared by the image would be space on the host's disk that is not limited.
            tmpfs=dict.fromkeys({"/tmp", *volumes} - taken, temporary),  # noqa: S108 - inside it
            shm_size=f"{resources.shm_mb}m",
            ipc_mode="private",
            cap_drop=["ALL"],
            user=f"{uid}:{gid}",
            init=True,
            runtime=self.runtime or None,
            mem_limit=memory,
            memswap_limit=memory,
            pids_limit=resources.pids,
            nano_cpus=round(min(resources.cpus, usable_cores()) * 1e9),
            ulimits=[
                Ulimit(name="nofile", soft=4096, hard=4096),
                Ulimit(name="core", soft=0, hard=0),
                *self.own_limits(),
                Ulimit(name="fsize", soft=resources.out_mb * 2**20, hard=resources.out_mb * 2**20),
            ],
            mounts=mounts,
            log_config=LogConfig(type="json-file", config={"max-size": "4m", "max-file": "2"}),
            environment=_environment(spec) | dict(blank),
            labels=dict(spec.labels),
            **write_limits(spec.root / "out", str(self.version.get("KernelVersion"))),
            **self.own_options(spec),
            **options,
        )

    def _image_config(self, spec: ContainerSpec) -> Mapping[str, Any]:
        """Return what the image declares; refuse an image that breaks a rule."""
        try:
            config: dict[str, Any] = self.client.images.get(spec.image.id).attrs["Config"]
        except docker.errors.ImageNotFound as error:
            raise PrerequisiteError(
                f"somebody removed the image of {spec.plugin.name!r} ({spec.image.tag or spec.image.id})",
                fix="the same command builds it again; what is finished is kept, as another run if the image differs",
            ) from error
        if (rule := broken_rule(config)) is not None:
            raise ModelError(f"the image of plugin {spec.plugin.name!r} {rule[0]}", fix=rule[1])
        return config

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

    def images(self) -> list[tuple[str, str, int]]:
        """Return tag, id and bytes of every image that carries our mark, also of those that inherit it."""
        found = self.client.images.list(filters={"label": LABEL})
        for name in ("groundbench/*", "groundbench/base/*"):
            found += self.client.images.list(name=f"{name}:{images.UNFINISHED}")
        return sorted({(tag, str(image.id), int(image.attrs["Size"])) for image in found for tag in image.tags})

    def remove_image(self, tag: str, image: str) -> str:
        """Remove the tag of one image, and the image with its last tag; say why where it stays, as one in use."""
        try:
            if str(self.client.images.get(tag).id) != image:
                return "by now it is another image"
            self.client.images.remove(tag)
        except docker.errors.ImageNotFound:
            return ""
        except docker.errors.APIError as error:
            return str(error.explanation or error)
        return ""

    def describe(self) -> dict[str, Any]:
        """Return the daemon's name, version and kernel, and what stands between its containers and the host."""
        info = self._info
        parts = {str(one.get("Name")): str(one.get("Version")) for one in self.version.get("Components") or ()}
        return {
            "engine": self.name,
            "version": self.version.get("Version"),
            "kernel": self.version.get("KernelVersion"),
            "isolates": self.isolates,
            "runtime": self.runtime or info.get("DefaultRuntime"),
            "runtime_version": parts.get("runc"),
            "security": sorted(str(one) for one in info.get("SecurityOptions") or ()),
            "cgroup": str(info.get("CgroupVersion", "1")),
        }


def _environment(spec: ContainerSpec) -> dict[str, str]:
    """Return what a container's environment holds in addition to its image's own; nothing in it is the host's."""
    return {
        **own_environment(spec.resources),
        "HOME": "/tmp",  # noqa: S108 - inside it
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
