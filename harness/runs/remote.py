"""A run whose shards are carried out on other hosts: planned without an engine or a GPU of this one.

Nothing is believed of the hosts: before anything is recorded each of them tries out what the run needs. An image is
found by its content among the archives of the shared folder; where it is missing, an engine of this host that answers
writes it there. Weights and checkpoints of the home, which the hosts do not see, are copied into the shared folder.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from harness.dataset import ScannedCase
from harness.dataset.fingerprint import fingerprint_of
from harness.engines import answering_engine
from harness.errors import DataError, PrerequisiteError, UsageError
from harness.images.archive import records
from harness.images.build import Image, context_of
from harness.registry.discovery import Plugin
from harness.runs.checkpoint import Checkpoint
from harness.runs.deal import trial
from harness.runs.plan import Plan, RunRequest, select_cases
from harness.runs.pools import Elsewhere
from harness.runs.preflight import gpu_memory_needed
from harness.runs.prepare import Ready, RunData, data_of
from harness.runs.run import Failed, Result, Watcher, carry_out_all
from harness.runs.run_weights import Loaded, load_weights
from harness.runs.spec import ShardSpec
from harness.runs.training.finetune import TrainingPlan, ensure_checkpoint, plan_training
from harness.runs.training.in_pool import LeftInPool, TrainerInPool
from harness.runs.training.travelled import checkpoint_of
from harness.sandbox.stop import Stop
from harness.store.database import Store

#: Folders below the shared one: archives of images, weights by their digests, checkpoints by theirs.
IMAGES, WEIGHTS, CHECKPOINTS = "images", "weights", "checkpoints"


def execute_all_on(
    pool: Elsewhere,
    requests: Sequence[RunRequest],
    *,
    home: Path,
    store: Store,
    watcher: Watcher,
    stop: Stop,
    failed: Failed = lambda *_: None,
) -> list[Result]:
    """Run several requests to their end on other hosts; otherwise as :func:`harness.runs.run.execute_all`.

    Parameters
    ----------
    pool
        Of these hosts; it is closed in the end.
    requests, home, store, watcher, stop, failed
        As there.
    """
    prepare = partial(_prepare, pool, home=home, store=store, watcher=watcher, stop=stop)
    return carry_out_all(requests, prepare, pool, home=home, store=store, watcher=watcher, stop=stop, failed=failed)


def _prepare(pool: Elsewhere, request: RunRequest, *, home: Path, store: Store, watcher: Watcher, stop: Stop) -> Ready:
    """Plan a run, and have the hosts try out what it needs unless it is finished."""
    data, each = data_of(request, home, watcher.log, stop), _each(request)
    described = {"engine": pool.engine, "isolates": True, "pool": pool.name}
    with stop.nothing_in_flight():  # an image may be built, weights may be copied
        plan = _plan(pool, request, data.cases, home=home, log=watcher.log)
    if request.variant.fine_tuned:
        try:
            checkpoint = _trained(pool, plan, data, home=home, store=store, watcher=watcher, stop=stop)
        except LeftInPool as left:
            return Ready(plan, each, data.warnings, engine=described, left=str(left))
        plan = replace(plan, checkpoint=_shared_checkpoint(checkpoint, pool.shared, watcher.log))
    with stop.nothing_in_flight():
        earlier = store.latest(plan.key)
        if earlier is None or earlier.state != "done" or request.fresh:
            watcher.log(f"{pool.name}: its hosts try out what {request.plugin.name} needs")
            for lack in pool.prove(_trial(plan, pool), gpu_memory_mb=_gpu_memory(request)):
                watcher.log(f"warning: the {pool.engine} engine of {pool.name} {lack}: such rows are not ranked")
    return Ready(plan, each, data.warnings, engine=described, detach=pool.detach)


def _each(request: RunRequest) -> int:
    """Return the number of GPUs of a container."""
    each = request.gpus_each if request.gpus else 0
    if each > request.gpus:
        raise UsageError(f"a container of this model needs {each} GPUs, {request.gpus} requested", fix=f"--gpus {each}")
    return each


def trial_of(pool: Elsewhere, request: RunRequest, *, home: Path, log: Callable[[str], None]) -> ShardSpec:
    """Return a shard with which a pool's hosts try out what a request needs, and nothing is recorded."""
    cases = select_cases(request.dataset, request.split, request.limit)
    return _trial(_plan(pool, request, cases, home=home, log=log), pool)


def _trial(plan: Plan, pool: Elsewhere) -> ShardSpec:
    places = {case.ct.resolve().parent: case.ct for case in plan.cases}
    request = plan.request
    return trial(plan, pool.shared, gpus=_each(request), files=tuple(places.values()))


def _gpu_memory(request: RunRequest) -> int:
    return gpu_memory_needed(request.plugin.model) if request.gpus and not request.reduced else 0


def _plan(
    pool: Elsewhere,
    request: RunRequest,
    cases: tuple[ScannedCase, ...],
    *,
    home: Path,
    log: Callable[[str], None],
) -> Plan:
    weights = load_weights(request.plugin, request.variant, request.weights, home)
    image = find_image(request.plugin, pool.shared / IMAGES, home=home, gpus=request.gpus > 0, log=log)
    fingerprint = fingerprint_of(request.dataset, request.split)
    return Plan(
        request,
        cases,
        image,
        fingerprint,
        pool.engine,
        isolates=True,
        weights=_shared_weights(weights, pool.shared, log),
    )


def find_image(plugin: Plugin, archives: Path, *, home: Path, gpus: bool, log: Callable[[str], None]) -> Image:
    """Return the image of a model by its content: from the archives, or of an engine here that writes it there.

    Parameters
    ----------
    plugin
        The model.
    archives
        Folder of archives, as ``bench images export`` writes them.
    home
        Its sources are a part of the content.
    gpus
        Whether it will run on GPUs.
    log
        Called before what takes long.

    Raises
    ------
    PrerequisiteError
        When it is not among them and no engine answers here.
    """
    context = context_of(plugin, home, gpus=gpus).digest()
    for record in records(archives) if archives.is_dir() else ():
        if (record.plugin, record.context) == (plugin.name, context):
            return Image(record.config, device=record.device)
    try:
        engine = answering_engine()
    except PrerequisiteError as error:
        device = "" if gpus else "--device cpu "
        raise PrerequisiteError(
            f"the image of {plugin.name!r} is not among those in {archives}, and no engine answers here that could "
            f"build it ({error.message})",
            fix=f"`bench images export --plugin {plugin.name} {device}{archives}` on a machine with an engine",
            lacking="engine",
        ) from error
    image = engine.prepare(plugin, home=home, gpus=gpus, log=log)
    log(f"writing the image of {plugin.name} into {archives}")
    return replace(image, id=engine.export(image, archives).config)


def _trained(
    pool: Elsewhere, plan: Plan, data: RunData, *, home: Path, store: Store, watcher: Watcher, stop: Stop
) -> Checkpoint:
    """Return the finished checkpoint of a fine-tuned variant; it is trained on a host of the pool if there is none."""
    request = plan.request
    if data.finished:
        return checkpoint_of(TrainingPlan(request, plan.image, plan.weights, ()), data.finished, watcher.log)
    training = plan_training(request, plan.image, plan.weights, data.trained_on, stop)
    needed = 0 if not request.gpus or request.reduced else gpu_memory_needed(request.plugin.model, fine_tuned=True)
    trainer = TrainerInPool(training, pool, gpu_memory_mb=needed, log=watcher.log)
    return ensure_checkpoint(training, trainer, home=home, store=store, watcher=watcher, stop=stop)


def _shared_weights(weights: Loaded, shared: Path, log: Callable[[str], None]) -> Loaded:
    files = []
    for name, path, digest in weights.files:
        there = path if path.resolve().is_relative_to(shared.resolve()) else shared / WEIGHTS / digest / name
        if there is not path and not there.exists():
            log(f"copying {name} into {there.parent}")
            _copy_file(path, there, digest)
        files.append((name, there.resolve(), digest))
    return replace(weights, files=tuple(files))


def _shared_checkpoint(checkpoint: Checkpoint, shared: Path, log: Callable[[str], None]) -> Checkpoint:
    if checkpoint.folder.resolve().is_relative_to(shared.resolve()):
        return checkpoint
    there = shared / CHECKPOINTS / checkpoint.sha256
    if not there.exists():
        log(f"copying the checkpoint into {there}")
        there.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=there.parent) as partial:
            whole = Path(partial) / "checkpoint"
            shutil.copytree(checkpoint.folder, whole)
            if not there.exists():  # another command may have come first
                whole.rename(there)
    return replace(checkpoint, folder=there)


def _copy_file(source: Path, target: Path, digest: str) -> None:
    """Copy a file whole or not at all; what arrives must have the digest."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=target.parent) as partial:
        whole = Path(partial) / target.name
        shutil.copyfile(source, whole)
        whole.chmod(0o644)
        with whole.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != digest:
            raise DataError(f"{source} changed while it was copied", fix="run the same command again", path=source)
        whole.replace(target)
