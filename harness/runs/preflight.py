"""Compares the needs of a run with what the machine can do, before anything long begins."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from harness.dataset import Case
from harness.engines.base import ContainerSpec, Engine, Mount
from harness.engines.gpus import Gpu
from harness.engines.owners import own_labels
from harness.errors import PrerequisiteError
from harness.images.build import Image
from harness.registry.declaration import Model
from harness.registry.discovery import Plugin
from harness.registry.resources import Resources
from harness.sandbox.trial import prove

#: Bytes of a stored mask for one voxel of its volume: real masks compress to a fiftieth and far below.
_BYTES_A_VOXEL = 1 / 50

#: Database, logs and records of a run.
_FIXED_BYTES = 32 * 2**20


def check_room(
    home: Path, cases: Sequence[Case], resources: Resources, containers: int, log: Callable[[str], None]
) -> None:
    """Log the disk and memory that a run may need; refuse it where they are insufficient, warn where they are scarce.

    Parameters
    ----------
    home
        Where masks will be written.
    cases
        The cases of the run.
    resources
        Limits of one container.
    containers
        Number that run at once.
    log
        Receives the numbers, and a warning.

    Raises
    ------
    PrerequisiteError
        With the numbers: required and available.
    """
    voxels = sum(len(case.findings) * case.shape[0] * case.shape[1] * case.shape[2] for case in cases)
    needed = int(voxels * _BYTES_A_VOXEL) + _FIXED_BYTES
    free = shutil.disk_usage(home).free
    if free < needed:
        raise PrerequisiteError(
            f"the disk of {home} is full: about {needed / 1e6:.0f} MB are needed for masks, "
            f"{free / 1e6:.0f} MB are free",
            fix="free some space, or choose another place with --home",
            lacking="disk",
        )
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    wanted = containers * resources.memory_mb * 2**20
    if wanted > total:
        raise PrerequisiteError(
            f"{containers} container{'s' if containers > 1 else ''} of {resources.memory_mb} MiB "
            f"need {wanted / 1e9:.1f} GB of memory, this machine has {total / 1e9:.1f} GB",
            fix="use a larger machine, or fewer GPUs at once",
            lacking="memory",
        )
    available = _available_memory()
    log(
        f"room: about {needed / 1e6:.0f} MB of disk for masks ({free / 1e9:.1f} GB free), up to {wanted / 1e9:.1f} GB "
        f"of memory ({(total if available is None else available) / 1e9:.1f} GB free)"
    )
    if available is not None and wanted > available:
        log(
            f"warning: the model may use {wanted / 1e9:.1f} GB of memory, {available / 1e9:.1f} GB are free; "
            "a container that cannot get it ends as oom"
        )


def check_containers(
    engine: Engine,
    plugin: Plugin,
    image: Image,
    *,
    resources: Resources,
    mounts: Iterable[Mount],
    files: Iterable[Path],
    gpus: Sequence[Gpu],
    folder: Path,
    log: Callable[[str], None],
) -> None:
    """Prove with one short container that those of a run can read their input and deliver their masks.

    Parameters
    ----------
    engine, plugin, image, resources, gpus
        As the run's own containers have them.
    mounts
        What all of its containers may read.
    files
        What single ones may read: of each folder one file is tried.
    folder
        The folder of the run or training, below which its containers' folders lie.
    log
        Receives a warning where the image cannot be tried.

    Raises
    ------
    PrerequisiteError
        What the container could not do, why, and what to do about it.
    """
    tried = {path.parent: path for path in (file.resolve() for file in files)}
    name = f"trial-{os.getpid()}-{time.time_ns() % 10**9:09d}"
    spec = ContainerSpec(
        name=f"groundbench-{name}",
        plugin=plugin,
        image=image,
        root=folder.resolve() / "shards" / name,
        mounts=(*mounts, *(Mount(path, f"tried/{number}") for number, path in enumerate(tried.values()))),
        log=folder / "logs" / f"{name}.log",
        resources=resources,
        gpu_ids=tuple(gpu.id for gpu in gpus),
        labels=own_labels("trial"),
    )
    if not prove(engine, spec):
        log("warning: the image has no shell, so it could not be tried whether this machine runs its containers well")


def check_gpu_memory(gpus: Sequence[Gpu], model: Model, *, fine_tuned: bool = False) -> None:
    """Refuse GPUs with less memory than the model declares; the error lists the memory of each.

    Parameters
    ----------
    gpus
        Those that were leased.
    model
        Its `resources` state its needs, its `training` those of fine-tuning.
    fine_tuned
        Whether a training may come first.

    Raises
    ------
    PrerequisiteError
        With the numbers.
    """
    training = (model.training or model.resources) if fine_tuned else model.resources
    needed = max(model.resources.gpu_memory_mb, training.gpu_memory_mb)
    small = [gpu for gpu in gpus if gpu.memory_mb < needed]
    if small:
        raise PrerequisiteError(
            f"{model.name} needs {needed:,} MiB of memory on each GPU: "
            + "; ".join(f"{gpu.name} ({gpu.id}) has {gpu.memory_mb:,} MiB" for gpu in small),
            fix="name larger ones with --gpu-ids; `nvidia-smi -L` lists their ids",
            lacking="gpu",
        )


def _available_memory() -> int | None:
    """Return the bytes that the kernel could provide without swapping, where it reports them."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None
