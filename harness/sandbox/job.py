"""The input of a container that predicts or trains: its job, its cases with their files, and its folder.

Prompts are made only here, so this module alone decides what a model is shown of a case.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from harness.dataset.boxes import Box
from harness.dataset.cases import RunnableCase, ScannedCase, spacing_of
from harness.engines.base import Mount
from harness.host.capacity import usable_cores
from harness.registry.declaration import Prompt, Variant
from harness.registry.discovery import Plugin
from harness.registry.origins import Param
from harness.sandbox.contract import CasePrompt, FindingPrompt, Job, WeightsMode, to_json_line
from harness.sandbox.folder import remove_tree


@dataclass(frozen=True)
class JobCase:
    """One case in the form that a container gets.

    Attributes
    ----------
    prompt
        Its line of ``cases.jsonl``.
    mounts
        The files that the line names.
    """

    prompt: CasePrompt
    mounts: tuple[Mount, ...]


def make_job(
    plugin: Plugin,
    variant: Variant,
    *,
    verb: Literal["predict", "finetune"],
    params: Mapping[str, Param],
    seed: int,
    gpus: int,
    cpus: float,
    memory_mb: int,
    weights: WeightsMode,
    checkpoint: bool = False,
) -> Job:
    """Make the job of one container.

    Parameters
    ----------
    plugin, variant
        The model and its variant.
    verb
        ``"predict"`` or ``"finetune"``.
    params, seed
        Parameters as they reach the adapter; seed of every random choice.
    gpus
        Number of GPUs that the container gets; 0: it computes on the CPU.
    cpus
        Its CPU limit, in cores.
    memory_mb
        Its memory limit, MiB.
    weights
        The content of ``weights/``.
    checkpoint
        Whether a checkpoint is mounted.
    """
    return Job(
        verb=verb,
        model=plugin.name,
        variant=variant.name,
        seed=seed,
        devices=[f"cuda:{i}" for i in range(gpus)] or ["cpu"],
        threads=max(1, math.ceil(min(cpus, usable_cores()))),
        params=dict(params),
        weights=weights,
        checkpoint=checkpoint,
        memory_mb=memory_mb,
    )


def predicting_case(
    case: ScannedCase,
    prompt: Prompt,
    *,
    boxes: Mapping[str, list[Box]] | None,
    mask_flip: Sequence[int],
    granted_truth: bool,
) -> JobCase:
    """Make the input of a case for a container that predicts.

    Parameters
    ----------
    case, prompt
        The case, and the variant's prompt.
    boxes
        Finding id -> boxes; None for a variant that is not prompted with boxes.
    mask_flip
        Axes of the CT along which the ground truth must be reversed to lie on it.
    granted_truth
        Whether the container may read the ground truth: the test-only grant.
    """
    if not granted_truth:
        return _job_case(case, prompt, boxes)
    assert case.truth is not None  # noqa: S101 - what is granted is there: the caller looked
    truth = Mount(case.truth.resolve(), f"truth/{_file_name(case, case.truth)}")
    return _job_case(case, prompt, boxes, truth, truth=truth.target, truth_flip=list(mask_flip) or None)


def training_case(
    case: RunnableCase, prompt: Prompt, *, boxes: Mapping[str, list[Box]] | None, mask_flip: Sequence[int]
) -> JobCase:
    """Make the input of a case of train or val for a container that trains, with its ground truth.

    Parameters
    ----------
    case, prompt, boxes, mask_flip
        As in :func:`predicting_case`.
    """
    truth = Mount(case.truth.resolve(), f"seg/{_file_name(case, case.truth)}")
    split = "train" if case.split == "train" else "val"
    return _job_case(case, prompt, boxes, truth, split=split, seg=truth.target, seg_flip=list(mask_flip) or None)


def categories_shown(prompt: Prompt) -> bool:
    """Return whether the container may see a finding's category: never where only free text is measured."""
    return prompt is Prompt.STRUCTURED_TEXT


def write_job(root: Path, job: Job, cases: Iterable[JobCase]) -> None:
    """Make a container's folder: ``job.json``, ``cases.jsonl`` and an empty ``out/``.

    Parameters
    ----------
    root
        The folder; its earlier content is removed first.
    job, cases
        The container's input.
    """
    remove_tree(root)
    # Closed to other users of the host: a container may leave set-uid programs in out/.
    root.mkdir(parents=True, mode=0o700)
    (root / "out").mkdir()
    document = json.dumps(job.model_dump(), sort_keys=True, ensure_ascii=False, indent=1)
    (root / "job.json").write_text(document + "\n", encoding="utf-8")
    (root / "cases.jsonl").write_text("".join(to_json_line(case.prompt) for case in cases), encoding="utf-8")
    for name in ("job.json", "cases.jsonl"):
        (root / name).chmod(0o644)  # whatever the umask: the container's user is another one


def _job_case(
    case: ScannedCase, prompt: Prompt, boxes: Mapping[str, list[Box]] | None, *truth: Mount, **fields: Any
) -> JobCase:
    """Make the input of a case: what every container is given, with `truth` and the `fields` about it."""
    ct = Mount(case.ct.resolve(), f"ct/{_file_name(case, case.ct)}")
    return JobCase(
        prompt=CasePrompt(
            id=case.id,
            ct=ct.target,
            shape=case.shape,
            spacing=spacing_of(case),
            findings=_findings(case, prompt, boxes),
            **fields,
        ),
        mounts=(ct, *truth),
    )


def _findings(case: ScannedCase, prompt: Prompt, boxes: Mapping[str, list[Box]] | None) -> list[FindingPrompt]:
    shown = categories_shown(prompt)
    return [
        FindingPrompt(
            id=finding.id,
            text=finding.text,
            category=finding.category if shown else None,
            boxes=None if boxes is None else boxes[finding.id],
        )
        for finding in case.findings
    ]


def _file_name(case: ScannedCase, file: Path) -> str:
    """Return the name of a case's file inside the container: the case's id, with the file's own ending."""
    return f"{case.id}{'.nii.gz' if file.name.endswith('.gz') else '.nii'}"
