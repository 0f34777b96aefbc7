"""Deals the cases of a run to shards: one container for every set of GPUs that a container needs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.dataset import ScannedCase
from harness.engines.base import Mount
from harness.runs.boxes import KeptBoxes
from harness.runs.plan import Plan
from harness.runs.spec import ShardSpec, bare
from harness.sandbox.contract import Job
from harness.sandbox.job import JobCase, make_job, predicting_case
from harness.sandbox.names import draw_salt


def deal(
    plan: Plan,
    run: str,
    folder: Path,
    cases: Sequence[ScannedCase],
    *,
    boxes: KeptBoxes,
    gpus: int,
    parts: int,
    first: int = 0,
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
    gpus
        Number of GPUs that each container gets; 0: it computes on the CPU.
    parts
        Number of shards, as the pool asks for it; never more than there are cases.
    first
        Number of the first shard.

    Returns
    -------
    list of ShardSpec
        In order of their numbers; none without a case.
    """
    parts = min(max(1, parts), len(cases))
    job = _job(plan, gpus)
    return [
        ShardSpec(
            run=run,
            number=first + part,
            plan=plan.key,
            folder=folder,
            plugin=bare(plan.request.plugin),
            image=plan.image,
            job=job,
            engine=plan.engine,
            gpus=gpus,
            cases=tuple(_job_case(plan, case, boxes) for case in cases[part::parts]),
            mounts=plan.mounts,
            salt="" if plan.request.plugin.granted_truth else draw_salt(),
        )
        for part in range(parts)
    ]


def trial(plan: Plan, folder: Path, *, gpus: int, files: Sequence[Path]) -> ShardSpec:
    """Return a shard without cases, for a host to try out what those of the run need.

    Parameters
    ----------
    plan, folder, gpus
        As for :func:`deal`.
    files
        Files of cases, to be read with everything that each container may read.
    """
    tried = (Mount(path.resolve(), f"data/{number}") for number, path in enumerate(files))
    return ShardSpec(
        run="trial",
        number=0,
        plan=plan.key,
        folder=folder,
        plugin=bare(plan.request.plugin),
        image=plan.image,
        job=_job(plan, gpus),
        engine=plan.engine,
        gpus=gpus,
        cases=(),
        mounts=(*plan.mounts, *tried),
    )


def _job(plan: Plan, gpus: int) -> Job:
    request = plan.request
    return make_job(
        request.plugin,
        request.variant,
        verb="predict",
        params=request.params,
        seed=request.seed,
        gpus=gpus,
        cpus=1,  # the host that runs it knows its own
        memory_mb=request.plugin.model.resources.memory_mb,
        weights=plan.weights.mode,
        checkpoint=plan.checkpoint is not None,
    )


def _job_case(plan: Plan, case: ScannedCase, boxes: KeptBoxes) -> JobCase:
    request = plan.request
    return predicting_case(
        case,
        request.variant.prompt,
        boxes=boxes.of(case.id),
        mask_flip=request.dataset.mask_flip,
        granted_truth=request.plugin.granted_truth,
    )
