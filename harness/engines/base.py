"""The interface of engines: they prepare a plugin's image and run sealed containers on it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from harness.engines.uid_lease import leased_uid
from harness.errors import DataError

if TYPE_CHECKING:
    from harness.images.archive import ImageRecord
    from harness.images.build import Image
    from harness.registry.discovery import Plugin
    from harness.registry.resources import Resources

#: Bytes of a container's output that are kept; the rest is dropped, except the last lines.
MAX_LOG_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True)
class Mount:
    """One file or folder of the host that a container may read.

    Attributes
    ----------
    source
        Real path on the host (links resolved).
    target
        Path below ``/bench``.
    """

    source: Path
    target: str


@dataclass(frozen=True)
class ContainerSpec:
    """Everything an engine needs to run one container.

    Attributes
    ----------
    name
        Unique, readable.
    plugin, image
        The plugin and its image.
    root
        Folder that contains ``job.json``, ``cases.jsonl`` and the empty ``out/``: the container's ``/bench``.
    mounts
        Further files that it may read.
    log
        File for its standard output and error.
    resources
        Its limits.
    gpu_ids
        GPUs leased for it; empty for none.
    labels
        Labels of its owner, by which a stray one is found.
    """

    name: str
    plugin: Plugin
    image: Image
    root: Path
    mounts: tuple[Mount, ...]
    log: Path
    resources: Resources
    gpu_ids: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Exit:
    """How a container ended, from evidence gathered at that moment.

    Attributes
    ----------
    code
        Exit code; None when the engine lost it.
    oom
        Whether the kernel ended a process of it for memory.
    error
        The engine's own message.
    peak_bytes
        Peak memory of the whole container, where it could be read.
    state
        The engine's word for its state: ``exited`` or ``dead``; ``lost`` where it gave none.
    """

    code: int | None
    oom: bool = False
    error: str = ""
    peak_bytes: int | None = None
    state: str = "lost"


@dataclass(frozen=True)
class Tried:
    """What came of a short command in a container that was only tried out.

    Attributes
    ----------
    code
        Its exit code; None when it could not be started, or did not end in time.
    said
        Its output, or the engine's message, in one line; empty where it succeeded.
    properties
        Properties of the engine that may explain a failure, such as ``userns``, ``rootless`` and ``selinux``.
    """

    code: int | None
    said: str = ""
    properties: tuple[str, ...] = ()


class Container(Protocol):
    """A running container."""

    def wait(self, seconds: float) -> Exit | None:
        """Wait up to `seconds` for its end; None while it runs."""

    def held_bytes(self, device: int) -> int:
        """Return the bytes that its processes hold on a disk in files without a name; 0 where that cannot be seen."""

    def ask(self) -> None:
        """Request its end (SIGTERM) and return at once."""

    def stop(self) -> Exit:
        """End it now: SIGTERM, then SIGKILL, then confirm that it has ended."""

    def remove(self) -> None:
        """Remove everything of it except the log."""


class Engine(Protocol):
    """A way to run images.

    Attributes
    ----------
    name
        Its name in commands, rows and records.
    isolates
        Whether it separates what it runs from the host.
    limits_memory
        Whether it limits the memory of what it runs.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - above

    @property
    def isolates(self) -> bool: ...  # noqa: D102 - above

    @property
    def limits_memory(self) -> bool: ...  # noqa: D102 - above

    def lacks(self, gpu_ids: Sequence[str]) -> list[str]:
        """Return what it cannot do here for containers with these GPUs; a row with any of it is not ranked.

        Each is in words that follow "the NAME engine", such as ``"does not limit memory"``. Empty for an engine that
        does not isolate at all, which is a reason by itself.
        """

    def require_gpus(self) -> None:
        """Raise PrerequisiteError where it cannot give a GPU to a container."""

    def base(self) -> Image | None:
        """Return the image that builds begin with, where the engine has it; None without images."""

    def prepare(
        self,
        plugin: Plugin,
        *,
        home: Path,
        gpus: bool,
        log: Callable[[str], None],
        before_build: Callable[[], None] = lambda: None,
    ) -> Image:
        """Return the image of `plugin` for running with or without GPUs, building it when needed.

        Sources and wheels come from `home`, where the build's log is kept too. `before_build` is called before
        anything is built; it raises where a build would be in vain.
        """

    def export(self, image: Image, folder: Path) -> ImageRecord:
        """Write an image as an archive and its record into `folder`; one that is there already is kept.

        Raises PrerequisiteError where the engine cannot.
        """

    def take_in(self, record: ImageRecord, folder: Path, home: Path, log: Callable[[str], None]) -> Image:
        """Return the image of a record as it is known here, importing its archive from `folder` where it is not.

        What is not kept by the engine itself goes below `home`. Raises as :meth:`obtain` does.
        """

    def obtain(self, plugin: Plugin, image: Image, *, archives: Path, log: Callable[[str], None]) -> Image:
        """Return an image that was prepared elsewhere as it is known here; import it from `archives` where it is not.

        Parameters
        ----------
        plugin
            The model.
        image
            As :meth:`prepare` returned it where the run was planned.
        archives
            Folder with the archives that were exported there.
        log
            Called with a line about what takes long.

        Raises
        ------
        PrerequisiteError
            When it is neither here nor among the archives; nothing is built.
        DataError
            When its archive is damaged, or not what its record says.
        """

    def is_prepared(self, plugin: Plugin, *, home: Path, gpus: bool) -> bool:
        """Return whether :meth:`prepare` would find everything made; raises a BenchError where it could not be."""

    def require_readable(self, paths: Iterable[Path]) -> None:
        """Raise DataError where a container could not read one of `paths`."""

    def start(self, spec: ContainerSpec) -> Container:
        """Start one container; raises a BenchError when the engine refuses."""

    def try_out(self, spec: ContainerSpec, command: Sequence[str]) -> Tried:
        """Run one short command in a container like those of :meth:`start`."""

    def reap(self) -> list[str]:
        """Remove the containers whose harness has ended; return their names."""

    def describe(self) -> dict[str, Any]:
        """Return name and version, for the run's record."""


def own_environment(resources: Resources) -> dict[str, str]:
    """Return the variables that every engine sets for a model: a user's name, Python's, and how threads are used."""
    threads = str(max(1, round(resources.cpus)))
    return {
        # The user has a number only; libraries that ask for a name look here first.
        "USER": "groundbench",
        "LOGNAME": "groundbench",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        # By default a thread that waits for another keeps its core busy, also where that other waits for this very
        # core: on two cores, beside other work, a network took five times as long on two threads as on one.
        "OMP_WAIT_POLICY": "passive",
    }


def container_user() -> tuple[int, int]:
    """Return user and group of this process's containers: leased ones where it is root, else those of the harness."""
    if os.getuid() != 0:
        return os.getuid(), os.getgid()
    uid = leased_uid()
    return uid, uid


def require_readable(paths: Iterable[Path], uid: int, gid: int) -> None:
    """Raise DataError where the user of a container cannot read a file, which is not the model's fault.

    Parameters
    ----------
    paths
        Files and folders that will be mounted; the folders above them do not matter inside.
    uid, gid
        The container's user and group on the host.

    Raises
    ------
    DataError
        With the first file and their number.
    """
    shut = [path for path in paths if not _may_read(path, uid, gid)]
    if shut:
        more = f" (and {len(shut) - 1} more)" if len(shut) > 1 else ""
        folder = os.path.isdir(shut[0])  # noqa: PTH112 - it may be that it cannot be looked at
        raise DataError(
            f"the container's user, {uid}, may not read {shut[0]}{more}",
            fix=f"chmod o+r{'x' if folder else ''} on these files, or run bench as the owner of the data",
        )


def _may_read(path: Path, uid: int, gid: int) -> bool:
    if uid == os.getuid():
        return os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0))
    try:
        status = path.stat()
    except PermissionError:  # a share that keeps even root out
        return False
    shift = 6 if status.st_uid == uid else 3 if status.st_gid == gid else 0
    wanted = 0o5 if stat.S_ISDIR(status.st_mode) else 0o4
    return status.st_mode >> shift & wanted == wanted
