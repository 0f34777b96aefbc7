"""The Apptainer engine: sealed containers without a daemon and without root, as clusters have them.

What is passed on is documented in Apptainer's user guide: https://apptainer.org/docs/user/latest/. An image is a
``.sif`` file made once from an archive; a container is a child process of the harness. Nothing is built here.
"""

from __future__ import annotations

import csv
import io
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.engines.base import ContainerSpec, Exit, Tried, container_user, own_environment, require_readable
from harness.engines.memory import MemoryGroup, grouped_apart
from harness.engines.nvidia import ask_driver
from harness.engines.process import ProcessContainer, start_process
from harness.errors import ModelError, PrerequisiteError
from harness.host.capacity import usable_cores
from harness.images.archive import ImageRecord, records
from harness.images.build import Image, context_of
from harness.images.sif import make_sif, sif_of
from harness.images.travel import wanted_record
from harness.registry.discovery import Plugin

_PROGRAM = "apptainer"

#: Seconds for a container that is only tried out.
_TRY_S = 120.0

#: What a container is limited by, as the kernel's controllers are called, and in words.
_CONTROLLERS: Mapping[str, str] = {"memory": "memory", "cpu": "processors", "pids": "processes"}

#: What the wall of this engine lacks that no result depends on; a record says so.
_WITHOUT = ("a filter of system calls", "limits of temporary files and of /dev/shm")

#: Variables of the user that Apptainer needs for control groups. No others are passed on: its own would add mounts.
_PASSED = ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")

_GROUPS = Path("/sys/fs/cgroup")

#: Where systemd runs as the first process.
_SYSTEMD = Path("/run/systemd/system")


class ApptainerEngine:
    """Runs images as Apptainer's containers.

    Raises
    ------
    PrerequisiteError
        When it is not installed, or does not tell its version.
    """

    name = "apptainer"
    isolates = True

    def __init__(self) -> None:
        found = shutil.which(_PROGRAM)
        if found is None:
            raise PrerequisiteError(
                "Apptainer is not installed: there is no `apptainer` on PATH",
                fix="load it (on many clusters `module load apptainer`), or ask who runs this machine",
                lacking="engine",
            )
        self._program = found
        self.version = _version(found)
        self._limited = limited_controllers(found)

    @property
    def limits_memory(self) -> bool:
        """Whether the memory of a container is limited: where this user may make control groups."""
        return "memory" in self._limited

    def lacks(self, gpu_ids: Sequence[str]) -> list[str]:
        """Return the limits that are not set here, and that GPUs beside the leased ones can be used."""
        unlimited = [words for name, words in _CONTROLLERS.items() if name not in self._limited]
        others = [gpu for gpu in ask_driver().gpus if gpu.id not in gpu_ids] if gpu_ids else []
        return [
            *([f"does not limit {', '.join(unlimited)}"] if unlimited else []),
            *(["does not hide GPUs that were not leased"] if others else []),
        ]

    def require_gpus(self) -> None:
        """Do nothing: whether a container sees a GPU is tried before a run."""

    def base(self) -> None:
        """Return None: nothing is built."""

    def prepare(
        self,
        plugin: Plugin,
        *,
        home: Path,
        gpus: bool,
        log: Callable[[str], None],  # noqa: ARG002 - the interface
        before_build: Callable[[], None] = lambda: None,  # noqa: ARG002 - the interface
    ) -> Image:
        """Return the imported image of `plugin`.

        Raises
        ------
        PrerequisiteError
            When none was imported, or only one of other code.
        """
        folder = home / "images"
        wanted = context_of(plugin, home, gpus=gpus).digest()
        for record in records(folder) if folder.is_dir() else ():
            if (record.plugin, record.context) == (plugin.name, wanted) and sif_of(record, folder).is_file():
                return _image(record, folder)
        raise PrerequisiteError(
            f"no image of {plugin.name!r} as it is here was imported for Apptainer, which does not build any",
            fix=f"where Docker is: `bench images export --plugin {plugin.name} FOLDER`; here: "
            f"`bench images import --plugin {plugin.name} --engine apptainer FOLDER`",
            lacking="engine",
        )

    def is_prepared(self, plugin: Plugin, *, home: Path, gpus: bool) -> bool:
        """Return True; raises PrerequisiteError where the image was not imported, since it is not built here."""
        self.prepare(plugin, home=home, gpus=gpus, log=lambda _: None)
        return True

    def export(self, image: Image, folder: Path) -> ImageRecord:  # noqa: ARG002 - the interface
        """Refuse: a ``.sif`` file is not the archive that it was made from."""
        raise PrerequisiteError(
            "Apptainer does not hand out the archive of an image", fix="--engine docker or podman", lacking="engine"
        )

    def take_in(self, record: ImageRecord, folder: Path, home: Path, log: Callable[[str], None]) -> Image:
        """Return the image of a record, making its ``.sif`` file in the home from its archive where it is not there."""
        make_sif(self._program, record, folder, home / "images", log)
        return _image(record, home / "images")

    def obtain(self, plugin: Plugin, image: Image, *, archives: Path, log: Callable[[str], None]) -> Image:
        """Return an image that was prepared elsewhere; its ``.sif`` file is made beside its archive, once for all."""
        record = wanted_record(plugin.name, image, archives)
        make_sif(self._program, record, archives, archives, log)
        return _image(record, archives)

    def require_readable(self, paths: Iterable[Path]) -> None:
        """Raise DataError where the user of the containers cannot read one of `paths`."""
        require_readable(paths, *container_user())

    def start(self, spec: ContainerSpec) -> ApptainerContainer:
        """Start one sealed container as a child of this process.

        Raises
        ------
        PrerequisiteError
            When its image is gone, or the system does not start it.
        DataError
            When the container could not read its mounts.
        ModelError
            When the image does not declare a command.
        """
        self.require_readable(mount.source for mount in spec.mounts)
        record = _record(spec)
        command = [*record.entrypoint, *record.command]
        if not command:
            raise ModelError(
                f"the image of plugin {spec.plugin.name!r} does not declare a command to run",
                fix='end its Dockerfile with ENTRYPOINT ["python", "-m", "groundbench_sdk", "adapter:YourAdapter"]',
            )
        return ApptainerContainer(self._start(spec, record, command), spec)

    def try_out(self, spec: ContainerSpec, command: Sequence[str]) -> Tried:
        """Run one short command in a container like those of :meth:`start`, and report what came of it."""
        process = self._start(spec, _record(spec), command)
        try:
            output, _ = process.communicate(timeout=_TRY_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return Tried(None, f"Apptainer did not finish within {_TRY_S:.0f} s")
        said = " ".join(output.decode("utf-8", "replace")[-4000:].split())
        # What it says of itself before it gives up; the container's own output has no such words at a line's start.
        if process.returncode == 255 and "FATAL:" in said:
            return Tried(None, said[said.index("FATAL:") :])
        return Tried(process.returncode, said if process.returncode else "")

    def _start(self, spec: ContainerSpec, record: ImageRecord, command: Sequence[str]) -> subprocess.Popen[bytes]:
        uid, gid = container_user()
        for name in ("work", "home"):
            (spec.root / name).mkdir(exist_ok=True)
        if uid != os.getuid():
            for name in ("out", "work", "home"):
                os.chown(spec.root / name, uid, gid)
        given = arguments(spec, Path(spec.image.tag), command, folder=record.folder, limited=self._limited)
        return start_process(
            [self._program, *given],
            spec,
            folder=spec.root,
            environment={
                "PATH": os.environ.get("PATH", os.defpath),
                "HOME": str(spec.root / "home"),
                "LANG": "C.UTF-8",
                **{name: os.environ[name] for name in _PASSED if name in os.environ},
            },
            limits={"NOFILE": 4096, "CORE": 0, "FSIZE": spec.resources.out_mb * 2**20},
        )

    def reap(self) -> list[str]:
        """Do nothing: a container dies with its harness."""
        return []

    def describe(self) -> dict[str, Any]:
        """Return its version, the kernel, and what its wall lacks."""
        return {
            "engine": self.name,
            "version": self.version,
            "kernel": platform.release(),
            "isolates": self.isolates,
            "without": list(_WITHOUT),
        }


def arguments(
    spec: ContainerSpec, sif: Path, command: Sequence[str], *, folder: str, limited: Iterable[str]
) -> list[str]:
    """Return the arguments for one sealed container.

    Parameters
    ----------
    spec, sif
        The container, and its image.
    command, folder
        What runs in it, and in which folder of the image.
    limited
        The kernel's controllers through which it can be limited: of ``memory``, ``cpu`` and ``pids``.
    """
    resources, root = spec.resources, spec.root
    gpus = ",".join(spec.gpu_ids)
    variables = {
        **own_environment(resources),
        "NVIDIA_VISIBLE_DEVICES": gpus or "void",
        **({"CUDA_VISIBLE_DEVICES": gpus} if gpus else {}),
    }
    mounts = [(root / name, f"/bench/{name}", "ro") for name in ("job.json", "cases.jsonl")]
    mounts += [(mount.source, f"/bench/{mount.target}", "ro") for mount in spec.mounts]
    mounts.append((root / "out", "/bench/out", ""))
    memory = resources.memory_mb * 2**20
    limits = {
        "memory": ["--memory", str(memory), "--memory-swap", str(memory)],
        "cpu": ["--cpus", f"{min(resources.cpus, usable_cores()):g}"],
        "pids": ["--pids-limit", str(resources.pids)],
    }
    uid, gid = container_user()
    return [
        "exec",
        "--containall",
        # Host paths that the administrator mounts into every container.
        "--no-mount",
        "bind-paths",
        "--net",
        "--network",
        "none",
        "--hostname",
        "groundbench",
        "--no-umask",
        "--no-eval",
        "--workdir",
        str(root / "work"),
        "--home",
        f"{root / 'home'}:/tmp",
        *(["--pwd", folder] if folder else []),
        *(part for mount in mounts for part in ("--mount", _mount(*mount))),
        *(part for name, value in variables.items() for part in ("--env", f"{name}={value}")),
        *(part for name, given in limits.items() if name in limited for part in given),
        *(["--nv"] if spec.gpu_ids else []),
        *(["--security", f"uid:{uid}", "--security", f"gid:{gid}", "--drop-caps", "all"] if not os.getuid() else []),
        str(sif),
        *command,
    ]


def limited_controllers(program: str) -> frozenset[str]:
    """Return the controllers through which this user's containers can be limited.

    Apptainer asks systemd for control groups, unless its configuration says otherwise. Root can have them of either
    version; other users those of the second one, where systemd delegates them and the session has its bus.

    Parameters
    ----------
    program
        The program ``apptainer``.
    """
    uid = os.getuid()
    second = (_GROUPS / "cgroup.controllers").is_file()
    if uid:
        asked = second and _SYSTEMD.is_dir() and all(os.environ.get(name) for name in _PASSED)
        folder = _GROUPS / f"user.slice/user-{uid}.slice/user@{uid}.service"
    else:
        asked = _SYSTEMD.is_dir() or _said(program, "config", "global", "--get", "systemd cgroups") == "no"
        folder = _GROUPS
    if not asked:
        return frozenset()
    if not second:
        return frozenset(name for name in _CONTROLLERS if (_GROUPS / name).is_dir())
    try:
        found = (folder / "cgroup.controllers").read_text(encoding="ascii").split()
    except OSError:
        found = []
    return frozenset(found) & frozenset(_CONTROLLERS)


class ApptainerContainer(ProcessContainer):
    """One container of Apptainer's: its processes are children of the harness."""

    def __init__(self, process: subprocess.Popen[bytes], spec: ContainerSpec) -> None:
        self._limit_bytes = spec.resources.memory_mb * 2**20
        self._memory = MemoryGroup(0)
        #: The group of this process: where no limit is set, a job's own group may still end a container.
        self._around = MemoryGroup(os.getpid())
        self._around.sample()
        self._kills = self._around.kills
        super().__init__(process, spec)
        self.watch_closely(self._sample)

    def held_bytes(self, device: int) -> int:
        """Return the bytes that its processes hold on a disk in files without a name, where they have a group."""
        return self._memory.held_bytes(device)

    def remove(self) -> None:
        """End what is left of it, and remove its temporary files."""
        super().remove()
        for name in ("work", "home"):
            shutil.rmtree(self._root / name, ignore_errors=True)

    def _sample(self) -> None:
        if self._memory.peak_bytes is None and (pid := grouped_apart(self._process.pid)):
            self._memory = MemoryGroup(pid)
        self._memory.sample()

    def _judge(self, ended: Exit) -> Exit:
        self._around.sample()
        killed = ended.code == 137 and not self._ours
        at_limit = self._memory.peak_bytes is not None and self._memory.peak_bytes >= self._limit_bytes
        oom = self._memory.kills > 0 or (killed and (at_limit or self._around.kills > self._kills))
        return Exit(ended.code, oom, ended.error, self._memory.peak_bytes or ended.peak_bytes, ended.state)


def _version(program: str) -> str:
    said = _said(program, "--version")
    if not said:
        raise PrerequisiteError(
            f"{program} does not tell its version", fix="see what it prints for --version", lacking="engine"
        )
    return said.split()[-1]


def _said(program: str, *arguments: str) -> str:
    """Return what the program prints; empty where it fails."""
    try:
        ended = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return ended.stdout.strip()


def _image(record: ImageRecord, folder: Path) -> Image:
    sif = sif_of(record, folder)
    return Image(record.config, str(sif.resolve()), sif.stat().st_size, record.device)


def _record(spec: ContainerSpec) -> ImageRecord:
    """Return the record beside a container's image."""
    sif = Path(spec.image.tag)
    for record in records(sif.parent) if sif.is_file() else ():
        if sif_of(record, sif.parent).name == sif.name:
            return record
    raise PrerequisiteError(
        f"somebody removed the image of {spec.plugin.name!r} ({sif})",
        fix="import it again: `bench images import`; what is finished is kept",
    )


def _mount(source: Path, target: str, option: str) -> str:
    """Return one mount in the form that takes any path: fields as in a file of comma-separated values."""
    text = io.StringIO()
    fields = ["type=bind", f"source={source}", f"destination={target}", *([option] if option else [])]
    csv.writer(text, lineterminator="").writerow(fields)
    return text.getvalue()
