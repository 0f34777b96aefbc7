"""What a container is given: its job, and each case with its findings."""

from __future__ import annotations

from harness.dataset.cases import Case, spacing_of
from harness.registry.declaration import Prompt
from harness.sandbox.contract import CasePrompt, FindingPrompt


def categories_shown(prompt: Prompt) -> bool:
    """Tell whether the container may see a finding's category: never where free text alone is measured."""
    return prompt is Prompt.STRUCTURED_TEXT


def training_prompt(case: Case, prompt: Prompt, mask_flip: tuple[int, ...]) -> CasePrompt:
    """Return what a container that trains is told of a case."""
    assert case.ct is not None and case.seg is not None  # noqa: PT018, S101 - checked by select_cases
    shown = categories_shown(prompt)
    return CasePrompt(
        id=case.id,
        ct=f"ct/{case.id}{'.nii.gz' if case.ct.name.endswith('.gz') else '.nii'}",
        shape=case.shape,
        spacing=spacing_of(case),
        findings=[
            FindingPrompt(id=finding.id, text=finding.text, category=finding.category if shown else None)
            for finding in case.findings
        ],
        split="train" if case.split == "train" else "val",
        seg=f"seg/{case.id}{'.nii.gz' if case.seg.name.endswith('.gz') else '.nii'}",
        seg_flip=list(mask_flip) or None,
    )
