"""Runs a variant on cases that nobody has marked: its masks are taken and judged; nothing is scored or stored.

It is :mod:`harness.runs.run` without ground truth, database and pool: the same plan, the same container and the same
judgement of its masks, in one shard on this host.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.dataset import DataProblem, Finding, Level, ScannedCase
from harness.dataset.cases import Dataset
from harness.dataset.judge import judge
from harness.dataset.problems import refuse
from harness.engines.gpus import lease, require_gpus
from harness.errors import DataError, Interrupted, UsageError
from harness.registry.declaration import Prompt, Variant
from harness.registry.discovery import Plugin
from harness.runs.boxes import KeptBoxes
from harness.runs.deal import deal
from harness.runs.lock import only_one
from harness.runs.outcome import MASKS, CaseOutcome, has_masks, read, withdraw
from harness.runs.place import offer, sweep
from harness.runs.plan import RunRequest
from harness.runs.pools import SCRATCH
from harness.runs.prepare import Ready, memory_needed, plan_here, ready_here
from harness.runs.score import case_task
from harness.runs.shard import run_shard
from harness.runs.spec import next_number
from harness.runs.training.watcher import TrainingWatcher
from harness.sandbox.masks import read_refused
from harness.sandbox.stop import Stop
from harness.scoring.case import check_case
from harness.status import Status


@dataclass(frozen=True)
class FindingMask:
    """What a model delivered for one finding.

    Attributes
    ----------
    finding
        The finding.
    status, reason
        ``ok``, or why there is no mask that could be used.
    path, sha256
        The mask's file and its digest (hex); None and empty unless ok.
    warnings
        What should be known of a mask that is ok.
    """

    finding: Finding
    status: Status
    reason: str
    path: Path | None
    sha256: str
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class CasePrediction:
    """One case: how it ended, and its masks in the order of its findings."""

    case: ScannedCase
    outcome: CaseOutcome
    masks: tuple[FindingMask, ...]


@dataclass(frozen=True)
class Prediction:
    """What a variant delivered, and how it was run.

    Attributes
    ----------
    run
        Name of the run.
    ready
        Its plan, and the engine and the hardware of this host.
    cases
        The cases, in the order of the data set.
    """

    run: str
    ready: Ready
    cases: tuple[CasePrediction, ...]


def require_promptable(plugin: Plugin, variant: Variant) -> None:
    """Refuse a variant that needs more than a CT and texts.

    Raises
    ------
    UsageError
        When it is prompted with boxes, trained on a data set before, or reads the ground truth; text-prompted variants
        of the model that can be used are named.
    """
    why = ""
    if plugin.granted_truth:
        why = "it reads the ground truth, and here there is none"
    elif variant.prompt is Prompt.BOX:
        why = "it is prompted with boxes, which are made from a ground truth, and here there is none"
    elif variant.fine_tuned:
        why = "it is trained on a data set's train split before it is run, and here there is none"
    if not why:
        return
    others = [
        other.name
        for other in plugin.model.variants
        if other.prompt is not Prompt.BOX and not other.fine_tuned and not plugin.granted_truth
    ]
    fix = (
        f"--variant {' or '.join(others)}" if others else "choose a model that is prompted with text, see `bench list`"
    )
    raise UsageError(f"{plugin.name} {variant.name} cannot be used: {why}", fix=fix)


def require_cts(dataset: Dataset, split: str) -> tuple[DataProblem, ...]:
    """Judge the CTs of a split without ground truth by the rules of every run; return the warnings.

    Raises
    ------
    DataError
        When a CT is missing, cannot be read, or breaks a rule.
    """
    judgement = judge(dataset, [split])
    if errors := judgement.of(Level.ERROR):
        error = refuse(errors, ", ".join(str(case.ct) for case in dataset.split(split)), doing="cannot be used")
        error.fix = "; ".join(dict.fromkeys(problem.fix for problem in errors))
        raise error
    return judgement.of(Level.WARNING)


def predict(request: RunRequest, *, home: Path, folder: Path, watcher: TrainingWatcher, stop: Stop) -> Prediction:
    """Run a variant on every case of a split, going on where an earlier call was stopped.

    Parameters
    ----------
    request
        The request; a case of its split needs a CT and at least one finding, and no ground truth.
    home
        The home: images and weights.
    folder
        Where outcomes, masks and logs are written; it exists. Cases that were delivered under the same plan are kept.
    watcher, stop
        As in :func:`harness.runs.run.execute`.

    Raises
    ------
    BenchError
        When the variant needs more than text, a prerequisite is missing, a CT is wrong, or the engine refuses.
    Interrupted
        When `stop` was set.
    """
    require_promptable(request.plugin, request.variant)
    needed = memory_needed(request)
    with lease(request.gpus, request.gpu_ids, memory_mb=needed) as held:
        require_gpus(request.gpus, request.gpu_ids, memory_mb=needed)
        gpus = held if request.gpus or request.gpu_ids else []
        with stop.nothing_in_flight():  # every volume is read, unless it was read before
            warnings = require_cts(request.dataset, request.split)
        for warning in warnings:
            watcher.log(f"warning: {warning.where}: {warning.what}")
        cases = tuple(filter(None, map(ScannedCase.of, request.dataset.split(request.split))))
        plan, engine = plan_here(request, cases, gpus, home=home, watcher=watcher, stop=stop)
        ready = ready_here(plan, engine, gpus, warnings, watcher.log)
        run = plan.run_id(1)
        with only_one(folder, run):
            sweep(folder / SCRATCH)
            if todo := [case for case in cases if not _is_delivered(folder, case.id, plan.key)]:
                ready.prove(todo, folder)
                for case in todo:
                    withdraw(folder, case.id)
                [spec] = deal(
                    plan,
                    run,
                    folder.resolve(),
                    todo,
                    boxes=KeptBoxes({}, {}),
                    gpus=ready.each,
                    parts=1,
                    first=next_number(folder),
                )
                watcher.log(f"{run}: {sum(len(case.findings) for case in todo)} findings in {len(todo)} CT")
                report = run_shard(spec, offer(engine, folder / SCRATCH, gpus=gpus), stop)
                if report.state == "failed":
                    raise report.error()
                if report.state != "done":
                    raise Interrupted(f"{run} was stopped: {report.reason}", fix="the same command goes on")
            return Prediction(run, ready, tuple(_predicted(request, folder, cases)))


def _is_delivered(folder: Path, case: str, plan: str) -> bool:
    found = read(folder, case)
    return (
        found is not None
        and found.plan == plan
        and found.outcome.status is Status.OK
        and has_masks(folder, found.outcome)
    )


def _predicted(request: RunRequest, folder: Path, cases: Sequence[ScannedCase]) -> Iterator[CasePrediction]:
    for case in cases:
        found = read(folder, case.id)
        if found is None or not has_masks(folder, found.outcome):
            raise DataError(f"{folder} lacks the outcome of {case.id}", fix="run the same command again")
        yield CasePrediction(case, found.outcome, tuple(_masks(request, case, found.outcome, folder / MASKS)))


def _masks(request: RunRequest, case: ScannedCase, outcome: CaseOutcome, masks: Path) -> Iterator[FindingMask]:
    delivered = outcome.status is Status.OK
    refused = read_refused(masks, case.id) if delivered else {}
    task = case_task(case, masks, request.dataset.mask_flip, delivered=delivered)
    for finding, checked in zip(case.findings, check_case(task), strict=True):
        status, reason = checked.status, ""
        if not delivered:
            status, reason = outcome.status, outcome.reason
        elif finding.id in refused:
            status, reason = Status.INVALID_OUTPUT, refused[finding.id]
        elif status is Status.MISSING_OUTPUT:
            reason = "a mask was not delivered"
        elif status is not Status.OK:
            reason = checked.verdict.reason
        ok = status is Status.OK
        yield FindingMask(
            finding,
            status,
            reason,
            masks / case.id / f"{finding.id}.nii.gz" if ok else None,
            outcome.masks.get(finding.id, "") if ok else "",
            tuple(problem.message for problem in checked.verdict.problems) if ok else (),
        )
