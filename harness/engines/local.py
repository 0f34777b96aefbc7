"""The local engine: the adapter as a plain subprocess, with the same files and events, and no isolation at all."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.engines.base import ContainerSpec, Tried, own_environment, require_readable
from harness.engines.process import ProcessContainer, start_process
from harness.errors import ModelError, PrerequisiteError
from harness.images.build import Image
from harness.images.context import SDK_PATH, code_digest
from harness.registry.discovery import Plugin

if TYPE_CHECKING:
    from harness.images.archive import ImageRecord


class LocalEngine:
    """Runs adapters as subprocesses of this Python; used where no container engine is installed."""

    name = "local"
    isolates = False
    limits_memory = False

    def lacks(self, gpu_ids: Sequence[str]) -> list[str]:  # noqa: ARG002 - the interface
        """Return nothing: that it does not isolate says it all."""
        return []

    def require_gpus(self) -> None:
        """Do nothing: an adapter sees the GPUs of the machine."""

    def base(self) -> None:
        """Return None: nothing is built."""

    def prepare(
        self,
        plugin: Plugin,
        *,
        home: Path,  # noqa: ARG002 - the interface
        gpus: bool,  # noqa: ARG002 - the interface
        log: Callable[[str], None],  # noqa: ARG002 - the interface
        before_build: Callable[[], None] = lambda: None,  # noqa: ARG002 - the interface
    ) -> Image:
        """Return the identity of the plugin's code; nothing needs to be built.

        Raises
        ------
        ModelError
            When the model declares no adapter to run without a container.
        """
        self._require_adapter(plugin)
        # The adapter runs on the packages installed beside the harness: another version is another run.
        installed = sorted(f"{name}=={version}" for name, version in _packages())
        digest = hashlib.sha256("\n".join([code_digest(plugin), platform.python_version(), *installed]).encode())
        return Image(id=f"local:{digest.hexdigest()}")

    def export(self, image: Image, folder: Path) -> ImageRecord:  # noqa: ARG002 - the interface
        """Refuse: there are no images."""
        raise PrerequisiteError("the local engine has no images", fix="--engine docker or podman", lacking="engine")

    def take_in(self, record: ImageRecord, folder: Path, home: Path, log: Callable[[str], None]) -> Image:  # noqa: ARG002
        """Refuse: there are no images."""
        raise PrerequisiteError(
            "the local engine uses no images", fix="--engine docker, podman or apptainer", lacking="engine"
        )

    def obtain(self, plugin: Plugin, image: Image, *, archives: Path, log: Callable[[str], None]) -> Image:
        """Return the identity of the plugin's code here; refuse it where it is not that of the plan."""
        here = self.prepare(plugin, home=archives, gpus=False, log=log)
        if here.id != image.id:
            raise PrerequisiteError(
                f"the code of {plugin.name!r}, or what is installed beside it, differs from where the run was planned",
                fix="install the same version of groundbench, of the plugin and of every package",
            )
        return here

    def is_prepared(self, plugin: Plugin, *, home: Path, gpus: bool) -> bool:  # noqa: ARG002 - the interface
        """Return True: nothing is built; raises ModelError where the model runs in a container only."""
        self._require_adapter(plugin)
        return True

    def require_readable(self, paths: Iterable[Path]) -> None:
        """Raise DataError where this user cannot read one of `paths`."""
        require_readable(paths, os.getuid(), os.getgid())

    def _require_adapter(self, plugin: Plugin) -> None:
        if not plugin.model.adapter:
            raise ModelError(
                f"plugin {plugin.name!r} declares no adapter, which is what the local engine runs",
                fix='declare adapter="MODULE:CLASS" where it is an adapter of the SDK; a program needs a container: '
                "install Docker, and use --engine docker",
            )

    def start(self, spec: ContainerSpec) -> LocalContainer:
        """Start the adapter in a process group of its own, with links where a container has mounts."""
        for mount in spec.mounts:
            link = spec.root / mount.target
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(mount.source)
        temporary = spec.root / "tmp"
        temporary.mkdir(exist_ok=True)
        environment = {
            **own_environment(spec.resources),
            "BENCH_ROOT": str(spec.root),
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "HOME": str(temporary),
            "TMPDIR": str(temporary),
            "PYTHONPATH": f"{SDK_PATH}{os.pathsep}{spec.plugin.model.root}",
            "CUDA_VISIBLE_DEVICES": ",".join(spec.gpu_ids),
        }
        process = start_process(
            [sys.executable, "-m", "groundbench_sdk", spec.plugin.model.adapter],
            spec,
            folder=temporary,
            environment=environment,
        )
        return LocalContainer(process, spec)

    def try_out(self, spec: ContainerSpec, command: Sequence[str]) -> Tried:  # noqa: ARG002 - the interface
        """Report success: nothing stands between an adapter of this engine and the machine."""
        return Tried(0)

    def reap(self) -> list[str]:
        """Do nothing: a local adapter dies with its harness."""
        return []

    def describe(self) -> dict[str, Any]:
        """Return the Python that runs the adapters, and the packages beside it."""
        about = {"engine": self.name, "version": platform.python_version(), "isolates": self.isolates}
        return {**about, "packages": dict(_packages())}


@cache
def _packages() -> list[tuple[str, str]]:
    """Return name and version of each installed package; of its metadata no more is read than the first two of them."""
    packages = []
    for found in importlib.metadata.distributions():
        said: dict[str, str] = {}
        for line in (found.read_text("METADATA") or "").splitlines():
            key, _, value = line.partition(":")
            said.setdefault(key.lower(), value.strip())
            if not line or {"name", "version"} <= said.keys():
                break
        packages.append((said.get("name") or found.name, said.get("version") or found.version))
    return packages


class LocalContainer(ProcessContainer):
    """One adapter process and its group."""

    def remove(self) -> None:
        """End the rest of the process group and remove links and temporary files."""
        super().remove()
        for name in ("ct", "seg", "truth", "weights", "checkpoint", "tmp"):
            shutil.rmtree(self._root / name, ignore_errors=True)
