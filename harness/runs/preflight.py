"""Compares the needs of a run with what the machine can do, before anything long begins."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from harness.dataset import Case
from harness.engines import choose_engine
from harness.engines.base import ContainerSpec, Engine, Mount
from harness.engines.nvidia import FIRST_DRIVERS, Gpu, driver_cuda
from harness.engines.owners import own_labels
from harness.errors import PrerequisiteError
from harness.host.capacity import usable_cores, usable_memory
from harness.host.sizes import gpu_size
from harness.images.build import Image
from harness.images.context import BuildContext
from harness.images.torch import cuda_build, cuda_of_torch
from harness.registry.declaration import Model, Variant
from harness.registry.discovery import Plugin
from harness.registry.resources import Resources
from harness.runs.place import own_folder, sweep
from harness.runs.run_weights import PINNED, load_weights
from harness.sandbox.trial import prove
from harness.upstream.missing import missing
from harness.upstream.sources import SourceStore

#: Bytes of a stored mask for one voxel of its volume: real masks compress to a fiftieth and far below.
_BYTES_A_VOXEL = 1 / 50

#: Database, logs and records of a run.
_FIXED_BYTES = 32 * 2**20


def require_files(plugin: Plugin, variant: Variant, *, weights: str, engine: str, home: Path, gpus: bool) -> None:
    """Refuse a model whose weights or sources are not here, so that it is told before others run for hours.

    Parameters
    ----------
    plugin, variant
        The model.
    weights, engine
        As requested.
    home
        Where weights and sources are stored.
    gpus
        Whether it will run on GPUs.

    Raises
    ------
    BenchError
        Everything that is lacking, with the command that gets it.
    """
    chosen = choose_engine(engine, trusted=plugin.shipped)
    found = missing(plugin.model, home, [variant])
    needless = bool(found.sources) and chosen.is_prepared(plugin, home=home, gpus=gpus)
    lacking = replace(
        found,
        sources=() if needless else found.sources,
        weights=found.weights if weights == PINNED else (),
    )
    if lacking:
        raise lacking.error(f"{plugin.name} {variant.name}")
    load_weights(plugin, variant, weights, home)


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
    needed, free = check_disk(home, cases)
    total = usable_memory()
    wanted = containers * resources.memory_mb * 2**20
    if wanted > total:
        raise PrerequisiteError(
            f"{containers} container{'s' if containers > 1 else ''} of memory_gb = {resources.memory_gb:g} "
            f"need {wanted / 1e9:.1f} GB of memory, this machine has {total / 1e9:.1f} GB",
            fix="use a larger machine, or fewer GPUs at once",
            lacking="memory",
        )
    cores = usable_cores()
    if containers > 1 and containers * resources.cpus > cores:
        log(
            f"warning: {containers} containers of {resources.cpus:g} cores share this machine's {cores}: cases take "
            f"longer than alone, and the limit of {resources.case_timeout_s:g} s for a case is the same"
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


def check_disk(folder: Path, cases: Sequence[Case]) -> tuple[int, int]:
    """Return the bytes that the masks of `cases` may need, and those that are free where they will be written.

    Raises
    ------
    PrerequisiteError
        When they are insufficient.
    """
    voxels = sum(len(case.findings) * case.shape[0] * case.shape[1] * case.shape[2] for case in cases)
    needed = int(voxels * _BYTES_A_VOXEL) + _FIXED_BYTES
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise PrerequisiteError(
            f"the disk of {folder} is full: about {needed / 1e6:.0f} MB are needed for masks, "
            f"{free / 1e6:.0f} MB are free",
            fix="free some space, or choose another place with --home",
            lacking="disk",
        )
    return needed, free


def check_training_room(home: Path, resources: Resources, log: Callable[[str], None]) -> None:
    """Log the disk and memory that a training may need; refuse it where memory is insufficient, warn of a scarce disk.

    How much of its disk limit a training fills depends on its cases; what its state and checkpoint need is checked
    inside, once the size of the model is known.

    Parameters
    ----------
    home
        Where its state and checkpoint will be written.
    resources
        Limits of its container.
    log
        Receives the numbers, and a warning.

    Raises
    ------
    PrerequisiteError
        With the numbers: required and available.
    """
    check_room(home, (), resources, 1, log)
    free, may = shutil.disk_usage(home).free, resources.out_mb * 2**20
    if free < may:
        log(
            f"warning: the training may write up to {may / 1e9:.1f} GB (state, cache of samples, checkpoint), "
            f"{free / 1e9:.1f} GB of disk are free"
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
    scratch, name = folder.resolve() / "shards", f"trial-{os.getpid()}-{time.time_ns() % 10**9:09d}"
    sweep(scratch)
    try:
        with own_folder(scratch, "trial") as own:
            spec = ContainerSpec(
                name=f"groundbench-{name}",
                plugin=plugin,
                image=image,
                root=own / "0",
                mounts=(*mounts, *(Mount(path, f"tried/{number}") for number, path in enumerate(tried.values()))),
                log=folder / "logs" / f"{name}.log",
                resources=resources,
                gpu_ids=tuple(gpu.id for gpu in gpus),
                labels=own_labels("trial"),
            )
            if not prove(engine, spec):
                log("warning: the image has no shell: whether this machine runs its containers well could not be tried")
    finally:
        with contextlib.suppress(OSError):  # others use it
            scratch.rmdir()


def gpu_memory_needed(model: Model, *, fine_tuned: bool = False, per_gpu: int = 1) -> int:
    """Return the memory that each GPU must have, MiB: what the model declares, for its training too if there is one.

    Parameters
    ----------
    model
        Its `resources` state its needs, its `training` those of fine-tuning.
    fine_tuned
        Whether a training may come first; it has its GPUs alone.
    per_gpu
        Containers that share each GPU when they predict.
    """
    training = (model.training or model.resources) if fine_tuned else model.resources
    return max(per_gpu * model.resources.gpu_memory_mb, training.gpu_memory_mb)


def check_sharing(gpus: Sequence[Gpu], per_gpu: int, each: int, needed_mb: int) -> None:
    """Refuse several containers on one GPU where it is not known that its memory is enough for all.

    Parameters
    ----------
    gpus
        Those that were leased.
    per_gpu
        Containers that share each of them.
    each
        Number that a container gets.
    needed_mb
        Memory that a container needs, MiB; 0 where that is not declared.

    Raises
    ------
    PrerequisiteError
        What is not known, or that a container needs several GPUs.
    """
    if per_gpu == 1:
        return
    if each > 1:
        why = f"a container of this model needs {each} GPUs"
    elif not needed_mb:
        why = "the model does not declare gpu_gb, the memory that a container needs"
    elif unknown := [gpu for gpu in gpus if gpu.memory_mb is None]:
        why = f"the memory of {unknown[0]} is not known: nvidia-smi says {unknown[0].said or 'nothing'}"
    else:
        return
    raise PrerequisiteError(f"{per_gpu} containers on one GPU: {why}", fix="leave --per-gpu out", lacking="gpu")


def check_gpus(
    gpus: Sequence[Gpu], needed_mb: int, each: int, log: Callable[[str], None], *, fine_tuned: bool = False
) -> None:
    """Refuse GPUs that one container cannot use together; warn of what is not known about them.

    Parameters
    ----------
    gpus
        Those that were leased.
    needed_mb
        Memory that each must have, MiB.
    each
        Number that a container which predicts gets.
    log
        Receives the warnings.
    fine_tuned
        Whether a training may come first, which gets all of them.

    Raises
    ------
    PrerequisiteError
        When they are too few for one container, or it would get several MIG devices, of which CUDA uses one only.
    """
    if gpus and len(gpus) < each:
        raise PrerequisiteError(
            f"a container of this model needs {each} GPUs, {len(gpus)} requested", fix=f"--gpus {each}", lacking="gpu"
        )
    parts = [gpu for gpu in gpus if gpu.whole]
    together = len(gpus) if fine_tuned else each
    if parts and together > 1:
        raise PrerequisiteError(
            f"a container would get {together} GPUs, and {parts[0]} is a part of one (MIG); CUDA uses one only",
            fix="name whole GPUs with --gpu-ids",
            lacking="gpu",
        )
    for gpu in gpus:
        if gpu.occupied and gpu.free_mb is not None and gpu.memory_mb is not None:
            log(f"warning: other programs use {gpu}: {gpu_size(gpu.free_mb)} of {gpu_size(gpu.memory_mb)} are free")
        if needed_mb and gpu.memory_mb is None:
            log(
                f"warning: the model needs {gpu_size(needed_mb)} of memory, which cannot be checked for {gpu}: "
                f"nvidia-smi says {gpu.said or 'nothing'}"
            )


def check_cuda(plugin: Plugin, home: Path) -> None:
    """Refuse a driver that is too old for the torch of a plugin's image, before anything is downloaded or built.

    A driver whose CUDA is not known, and an image without the shared torch, are left to the engine.

    Raises
    ------
    PrerequisiteError
        With both versions of CUDA.
    """
    if not BuildContext(plugin, SourceStore(home / "sources"), cuda_build()).uses_torch:
        return
    needed, there = cuda_of_torch(), driver_cuda()
    major = needed.partition(".")[0]
    if there and int(there.partition(".")[0]) < int(major):
        first = FIRST_DRIVERS.get(major)
        raise PrerequisiteError(
            f"the NVIDIA driver runs CUDA up to {there}, the torch in the image of {plugin.name} needs CUDA {needed}",
            fix=f"update the driver{f' to version {first} or newer' if first else ''}, or leave --gpus out to run on "
            "the CPU",
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
