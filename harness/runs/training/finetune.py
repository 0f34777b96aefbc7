"""Fine-tuning as a separate step with a stored result: the checkpoint of a plan is used if it exists, else trained.

A training is planned from content, like a run: image, parameters, weights, train and val data, seed. How many GPUs it
has is part of its record, not of its identity: the samples of a step are declared, and however many GPUs there are
share them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from harness.dataset import RunnableCase
from harness.dataset.boxes import BOX_RULES
from harness.dataset.cases import SCAN, Case, in_order
from harness.dataset.fingerprint import fingerprint_of
from harness.dataset.shared import DECLARE
from harness.errors import BenchError, DataError, Interrupted, ModelError, PrerequisiteError, UsageError
from harness.images.build import Image
from harness.registry.declaration import Prompt
from harness.registry.resources import Resources
from harness.runs.boxes import KeptBoxes, keep_boxes
from harness.runs.checkpoint import Checkpoint, find_checkpoint, write_record
from harness.runs.hardware import describe_harness
from harness.runs.lock import only_one
from harness.runs.params import EXECUTION, decisive
from harness.runs.plan import RunRequest, select_cases
from harness.runs.run_weights import Loaded
from harness.runs.training.attempt import Emit, TrainingEnd, TrainingSpec
from harness.runs.training.derived import derived
from harness.runs.training.watcher import TrainingWatcher
from harness.sandbox import CONTRACT_VERSION
from harness.sandbox.contract import Job
from harness.sandbox.job import make_job, training_case
from harness.sandbox.safe_copy import RefusedCheckpoint
from harness.sandbox.stop import Stop
from harness.status import TrainingState
from harness.store.database import Store
from harness.store.trainings import TrainingPoint, TrainingRow, Trainings

SPLITS = ("train", "val")

#: Warnings of a training that are shown; all are in its record.
_SHOWN = 10

#: Limits of a training that those of predicting replace where both run reduced.
_REDUCED = ("memory_gb", "cpus", "shm_gb")


@dataclass(frozen=True)
class TrainingPlan:
    """The plan of a training.

    Attributes
    ----------
    request
        The request; its split is the one that will be predicted.
    image, weights
        The image that trains, and the weights it starts from.
    cases
        Those of train, then those of val.
    fingerprints
        Content digest of each split.
    """

    request: RunRequest
    image: Image
    weights: Loaded
    cases: tuple[RunnableCase, ...]
    fingerprints: Mapping[str, str] = field(default_factory=dict)

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that a checkpoint depends on; the same identity is the same training."""
        request = self.request
        boxes = {"boxes": BOX_RULES[request.variant.boxes]} if request.variant.prompt is Prompt.BOX else {}
        return {
            **boxes,
            "contract": CONTRACT_VERSION,
            "verb": "finetune",
            "plugin": request.plugin.name,
            "plugin_version": request.plugin.model.version,
            "variant": request.variant.name,
            "params": decisive(request.params),
            "weights": self.weights.identity,
            "image": self.image.id,
            "fingerprints": dict(self.fingerprints),
            "seed": request.seed,
        }

    @property
    def key(self) -> str:
        """SHA-256 (hex) of the identity."""
        return hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()

    @property
    def name(self) -> str:
        """Its name for people."""
        return f"{self.request.plugin.name}-{self.request.variant.name}-training-{self.key[:10]}"

    def resources(self, gpus: int) -> Resources:
        """Return the limits of the container on so many GPUs; reduced for random weights, those of predicting."""
        model = self.request.plugin.model
        declared = (model.training or model.resources).on(gpus)
        if not self.request.reduced:
            return declared
        least = {name: min(getattr(declared, name), getattr(model.resources, name)) for name in _REDUCED}
        return replace(declared, **least)


def training_cases(request: RunRequest) -> tuple[RunnableCase, ...]:
    """Return the cases of train and val, which share no case and no patient with the split that will be predicted.

    Raises
    ------
    UsageError
        The split that will be predicted is one of them.
    DataError
        A split is empty, a case lacks its mask or CT, a name is in both splits, or a patient is on both sides.
    """
    data = request.dataset
    if request.split in SPLITS:
        raise UsageError(
            f"a fine-tuned variant is trained on {' and '.join(SPLITS)}; it would be tested on its training data",
            fix="predict another split, such as test",
        )
    try:
        # By name: the order decides which sample comes when, and the plan's fingerprints do not see the index's.
        filled = [split for split in SPLITS if data.splits.get(split)]
        cases = [case for split in filled for case in in_order(select_cases(data, split, None))]
    except UsageError as error:
        raise DataError(error.message, fix="training needs the masks of train and val: get all of them") from error
    val = [case for case in cases if case.split == "val"]
    if val and not any(case.findings for case in val):
        raise DataError(
            f"{data.name}: no val case has a finding, so no weights can be chosen by them",
            fix="use val cases with findings, or a data set without val: then the last weights are delivered",
        )
    if not any(case.split == "train" for case in cases):
        raise DataError(
            f"{data.name} does not contain train cases for fine-tuning", fix="use a data set with a train split"
        )
    twice = _shared((case.id for case in cases if case.split == "train"), (c.id for c in cases if c.split == "val"))
    if twice:
        raise DataError(f"{data.name}: {twice} is in train and in val", fix="`bench data validate` lists them all")
    check_apart(request, cases)
    return tuple(cases)


def check_apart(request: RunRequest, cases: Sequence[Case]) -> None:
    """Raise DataError where a case or, unless scans were dealt, a patient is trained on and in the predicted split."""
    data = request.dataset
    predicted = data.split(request.split)
    case = _shared((case.id for case in cases), (case.id for case in predicted))
    patient = _shared(*({case.patient for case in side if case.patient} for side in (cases, predicted)))
    listing = "`bench data validate` lists them all"
    if case:
        raise DataError(f"{data.name}: {case} is trained on and in {request.split}", fix=listing)
    if patient and data.split_by != SCAN:
        what = f"{data.name}: patient {patient} is trained on and in {request.split}"
        raise DataError(what, fix=f"{listing}; {DECLARE}")


class Trainer(Protocol):
    """Where one training takes place: it tries the place out, carries out an attempt, and hands over the checkpoint.

    Attributes
    ----------
    gpus
        Number of GPUs that the container gets; 0: it trains on the CPU.
    """

    gpus: int

    def prove(self, log: Callable[[str], None]) -> None:
        """Prove that the training can take place; raises PrerequisiteError or DataError where it cannot."""

    def about(self) -> dict[str, Any]:
        """Return what the training's record says of the place, as far as it is known before."""

    def unheard(self, spec: TrainingSpec, *, after: int, seconds: float) -> list[TrainingPoint]:
        """Return the reports beyond step `after`, heard `seconds` into the training, that nobody has read."""

    def train(self, spec: TrainingSpec, emit: Emit, stop: Stop, *, before_s: float) -> TrainingEnd:
        """Carry out an attempt, as :func:`harness.runs.training.attempt.run_training` does."""

    def take(self, spec: TrainingSpec) -> dict[str, dict[str, Any]]:
        """Copy the checkpoint into the training's folder; raises RefusedCheckpoint where it is not valid."""

    def clear(self, spec: TrainingSpec) -> None:
        """Remove what is left of a training whose checkpoint was taken."""


def plan_training(
    request: RunRequest, image: Image, weights: Loaded, cases: tuple[RunnableCase, ...], stop: Stop
) -> TrainingPlan:
    """Return the plan of a training.

    Parameters
    ----------
    request, image, weights
        The variant and its data; the image that trains and predicts; the weights that training starts from.
    cases
        As returned by :func:`training_cases`.
    stop
        A request to stop interrupts it: every CT and mask is read the first time.
    """
    splits = [split for split in SPLITS if request.dataset.splits.get(split)]
    with stop.nothing_in_flight():
        fingerprints = {split: fingerprint_of(request.dataset, split) for split in splits}
    return TrainingPlan(request, image, weights, cases, fingerprints)


def ensure_checkpoint(
    plan: TrainingPlan, trainer: Trainer, *, home: Path, store: Store, watcher: TrainingWatcher, stop: Stop
) -> Checkpoint:
    """Return the checkpoint of a fine-tuned variant; train it, or resume its training, where it does not exist.

    Parameters
    ----------
    plan
        As returned by :func:`plan_training`.
    trainer
        Where to train: one container.
    home, store
        Where the checkpoint and its history are kept.
    watcher, stop
        Shows it; ends it.

    Raises
    ------
    ModelError
        Training failed; the message gives the reason, and the state is kept.
    Interrupted
        When `stop` was set; the state is kept.
    DataError
        The existing checkpoint belongs to another plan or was changed.
    """
    folder = home / "checkpoints" / plan.key
    folder.mkdir(parents=True, exist_ok=True)
    with only_one(folder, plan.name):
        found = find_checkpoint(folder, plan.key)
        if found is not None:
            watcher.log(f"{plan.name}: the checkpoint exists")
            _finish(Trainings(store), found)  # the harness may have been killed before it did
            return found
        trainer.prove(watcher.log)
        return _train(plan, folder, Trainings(store), trainer=trainer, watcher=watcher, stop=stop)


def _train(
    plan: TrainingPlan,
    folder: Path,
    trainings: Trainings,
    *,
    trainer: Trainer,
    watcher: TrainingWatcher,
    stop: Stop,
) -> Checkpoint:
    request = plan.request
    row = trainings.find(plan.key) or TrainingRow(
        plan.key, request.plugin.name, request.variant.name, request.dataset.name, TrainingState.RUNNING, _now()
    )
    with stop.nothing_in_flight():  # of a variant that is prompted with boxes, every mask is read
        boxes = keep_boxes(
            folder,
            plan.cases,
            request.variant,
            mask_flip=request.dataset.mask_flip,
            seed=request.seed,
            earlier=row.record,
            log=watcher.log,
        )
    told = row.record.get("warnings", [])  # of earlier attempts
    record = {**_record(plan, trainer), **boxes.record, "warnings": told}
    row = replace(row, state=TrainingState.RUNNING, reason="", plan=plan.identity, record=record)
    trainings.save(row)
    spec = _spec(plan, boxes, folder, trainer.gpus)
    before = trainings.points(plan.key)
    after, heard_s = (before[-1].step, before[-1].seconds) if before else (-1, 0.0)
    trainings.add(plan.key, trainer.unheard(spec, after=after, seconds=heard_s))
    before = trainings.points(plan.key)
    if before:  # a harness that was killed could not add its training time
        row = replace(row, seconds=max(row.seconds, before[-1].seconds))
    counts = {split: sum(case.split == split for case in plan.cases) for split in SPLITS}
    on = f"{trainer.gpus} GPU{'s' if trainer.gpus > 1 else ''}" if trainer.gpus else "the CPU"
    earlier = f", resuming after step {before[-1].step}" if before else ""
    watcher.log(f"{plan.name}: {counts['train']} train and {counts['val']} val cases on {on}{earlier}")

    def emit(points: Sequence[TrainingPoint]) -> None:
        trainings.add(plan.key, points)
        watcher.training(plan.name, points)

    try:
        end = trainer.train(spec, emit, stop, before_s=row.seconds)
    except BenchError as error:
        gone = isinstance(error, Interrupted)
        state = TrainingState.INTERRUPTED if gone else TrainingState.INFRA_ERROR
        trainings.save(replace(row, state=state, reason=error.message))
        raise
    _tell(end.warnings, watcher)
    warnings = list(dict.fromkeys([*told, *end.warnings]))
    row = replace(row, seconds=row.seconds + end.seconds, record={**row.record, **end.about, "warnings": warnings})
    if end.state is TrainingState.DONE:
        try:
            files = trainer.take(spec)
        except RefusedCheckpoint as reason:
            end = replace(end, state=TrainingState.INVALID_CHECKPOINT, reason=f"out/checkpoint {reason}")
    if end.state is not TrainingState.DONE:
        trainings.save(replace(row, state=end.state, reason=end.reason, record={**row.record, **_death(end)}))
        raise _failure(plan, folder, end)
    points = trainings.points(plan.key)
    best = max((point.val_dice for point in points if point.val_dice is not None), default=None)
    names = {split: sorted(case.id for case in plan.cases if case.split == split) for split in SPLITS}
    about = {
        "plan": plan.identity,
        "cases": names,
        "seconds": row.seconds,
        "val_dice": best,
        "finished": _now(),
        **row.record,
    }
    checkpoint = write_record(folder, plan.key, files, about)
    _finish(trainings, checkpoint)
    trainer.clear(spec)
    watcher.log(f"{plan.name}: trained in {row.seconds:.0f} s" + ("" if best is None else f", val Dice {best:.3f}"))
    return checkpoint


def _finish(trainings: Trainings, checkpoint: Checkpoint) -> None:
    """Mark the training of a complete checkpoint as done, with the figures of the checkpoint's record."""
    row = trainings.find(checkpoint.key)
    if row is not None and row.state != TrainingState.DONE:
        figures = {name: checkpoint.record[name] for name in ("seconds", "finished") if name in checkpoint.record}
        trainings.save(replace(row, state=TrainingState.DONE, reason="", sha256=checkpoint.sha256, **figures))


def _spec(plan: TrainingPlan, boxes: KeptBoxes, folder: Path, gpus: int) -> TrainingSpec:
    prompt, flip = plan.request.variant.prompt, plan.request.dataset.mask_flip
    return TrainingSpec(
        name=plan.name,
        folder=folder.resolve(),
        plugin=plan.request.plugin,
        image=plan.image,
        job=training_job(plan, gpus),
        resources=plan.resources(gpus),
        cases=tuple(training_case(case, prompt, boxes=boxes.of(case.id), mask_flip=flip) for case in plan.cases),
        mounts=plan.weights.mounts,
    )


def training_job(plan: TrainingPlan, gpus: int) -> Job:
    """Return the job of a training's container with so many GPUs."""
    request = plan.request
    return make_job(
        request.plugin,
        request.variant,
        verb="finetune",
        params=request.params,
        seed=request.seed,
        gpus=gpus,
        cpus=plan.resources(gpus).cpus,
        memory_mb=plan.resources(gpus).memory_mb,
        weights=plan.weights.mode,
    )


def _record(plan: TrainingPlan, trainer: Trainer) -> dict[str, Any]:
    return {
        "limits": plan.resources(trainer.gpus).limits(),
        "execution": {name: value for name, value in plan.request.params.items() if name in EXECUTION},
        "origins": plan.request.origins,
        **derived(plan.weights.licensed(plan.request.plugin, plan.request.variant), plan.request.dataset),
        "image": {"id": plan.image.id, "tag": plan.image.tag},
        "gpus": trainer.gpus,
        "harness": describe_harness(),
        **trainer.about(),
    }


def _tell(warnings: Sequence[str], watcher: TrainingWatcher) -> None:
    """Show the first warnings of a training; its record has them all."""
    for text in warnings[:_SHOWN]:
        watcher.log(f"warning: {text}")
    if len(warnings) > _SHOWN:
        watcher.log(f"warning: {len(warnings) - _SHOWN} more are in the training's record")


def _death(end: TrainingEnd) -> dict[str, Any]:
    return {"evidence": {} if end.evidence is None else end.evidence.document(), "log": end.log}


def _failure(plan: TrainingPlan, folder: Path, end: TrainingEnd) -> Exception:
    if end.state is TrainingState.INTERRUPTED:
        return Interrupted(f"{plan.name} was {end.reason}", fix="the same command resumes it")
    message = f"{plan.name} failed ({end.state}): {end.reason}"
    log = f"its log is {folder / end.log}; the same command resumes from the last saved state"
    if end.state is TrainingState.NAN_LOSS:
        log += ", and meets the same again unless a parameter is changed, such as a smaller rate or bf16=false"
    if end.state is TrainingState.INFRA_ERROR:
        return PrerequisiteError(message, fix=log)
    return ModelError(message, fix=log)


def _shared(first: Iterable[str], second: Iterable[str]) -> str:
    """Return the first name that is in both; empty where they share none."""
    return min(set(first) & set(second), default="")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
