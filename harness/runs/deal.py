"""Deals the cases of a run to shards: one container for every set of GPUs that a container needs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.dataset import RunnableCase
from harness.runs.boxes import KeptBoxes
from harness.runs.plan import Plan
from harness.runs.shard import ShardSpec
from harness.sandbox.contract import Job
from harness.sandbox.job import JobCase, make_job, predicting_case


def deal(
    plan: Plan, run: str, folder: Path, cases: Sequence[RunnableCase], *, boxes: KeptBoxes, gpu_ids: Sequence[str]
) -> list[ShardSpec]:
    """Make the shards of a run.

    Parameters
    ----------
    plan, run, folder
        The plan, the run's id, and its folder.
    cases
        Those that still need a container, in order.
    boxes
        The run's box prompts.
    gpu_ids
        GPUs that were leased; none: one shard computes on the CPU. What is left of them for less than a container is
        not used: a case gets the same number of GPUs in whatever shard it is.

    Returns
    -------
    list of ShardSpec
        In order of their numbers; none without a case.
    """
    each = plan.request.gpus_each
    groups = [tuple(gpu_ids[i : i + each]) for i in range(0, len(gpu_ids) - each + 1, each)] or [()]
    return [
        ShardSpec(
            run=run,
            number=number,
            folder=folder,
            plugin=plan.request.plugin,
            image=plan.image,
            job=_job(plan, len(group)),
            cases=tuple(_job_case(plan, case, boxes) for case in cases[number :: len(groups)]),
            gpu_ids=group,
            mounts=plan.mounts,
        )
        for number, group in enumerate(groups[: len(cases)])
    ]


def _job(plan: Plan, gpus: int) -> Job:
    request = plan.request
    return make_job(
        request.plugin,
        request.variant,
        verb="predict",
        params=request.params,
        seed=request.seed,
        gpus=gpus,
        cpus=request.plugin.model.resources.cpus,
        weights=plan.weights.mode,
        checkpoint=plan.checkpoint is not None,
    )


def _job_case(plan: Plan, case: RunnableCase, boxes: KeptBoxes) -> JobCase:
    request = plan.request
    return predicting_case(
        case,
        request.variant.prompt,
        boxes=boxes.of(case.id),
        mask_flip=request.dataset.mask_flip,
        granted_truth=request.plugin.granted_truth,
    )
