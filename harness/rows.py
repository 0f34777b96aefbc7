"""What is kept of a run: one row a run, a case, a finding."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class RunRow:
    """One run: one variant of one model on one split.

    Attributes
    ----------
    id, plan_key, attempt
        Name of the run; digest of its plan; 1 for the first run of that plan, more for each ``--fresh``.
    kind
        ``"measured"`` (run here) or ``"submitted"`` (masks made elsewhere).
    plugin, title, plugin_version, variant, prompt, fine_tuned
        The model and its variant, as declared.
    profile
        The profile that was asked for; metrics of other profiles may be stored too.
    dataset, fingerprint, split
        The data, by name and content.
    engine, image_id
        What ran it.
    rankable, unrankable
        Whether it may stand in a ranking, and the reasons why not.
    state
        ``"running"``, ``"interrupted"`` or ``"done"``.
    created, finished
        UTC, ISO 8601.
    n_cases, n_findings
        Size of the split as run.
    plan, record, timing
        The plan that was hashed; provenance (commit, limits, hardware, versions, seeds); micro-benchmark figures.
    """

    id: str
    plan_key: str
    attempt: int
    kind: str
    plugin: str
    title: str
    plugin_version: str
    variant: str
    prompt: str
    fine_tuned: bool
    profile: str
    dataset: str
    fingerprint: str
    split: str
    engine: str
    image_id: str
    rankable: bool
    unrankable: list[str]
    state: str
    created: str
    finished: str | None = None
    n_cases: int = 0
    n_findings: int = 0
    plan: dict[str, Any] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)
    timing: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CaseRow:
    """How one case of a run ended.

    Attributes
    ----------
    case_id, ordinal
        The case, and its place in the split.
    status, reason
        A :class:`harness.status.Status` value and, unless ok, why.
    seconds, host_bytes, device_bytes
        Inference time and peak memory, where known.
    attempts
        Containers that tried it.
    log
        Path of the container's log below the run's folder.
    scored
        Whether its findings are in the database.
    evidence
        What was seen when its container died: state, exit code, OOM flag, memory, last event, last lines; empty
        otherwise.
    """

    case_id: str
    ordinal: int
    status: str
    reason: str = ""
    seconds: float | None = None
    host_bytes: int | None = None
    device_bytes: int | None = None
    attempts: int = 1
    log: str = ""
    scored: bool = False
    evidence: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FindingRow:
    """The score of one finding of one case.

    Attributes
    ----------
    case_id, finding, ordinal, category, text
        Which finding.
    status, reason
        A :class:`harness.status.Status` value and, unless ok, why.
    dice
        The Dice of the raw union of entities; 0 for anything but ok.
    truth_voxels, pred_voxels, intersection
        Counts, where the mask could be read.
    mask_sha256
        Digest of the mask's file.
    verdict
        The geometry verdict.
    details
        Everything else that the profiles need.
    """

    case_id: str
    finding: str
    ordinal: int
    category: str | None
    text: str
    status: str
    reason: str = ""
    dice: float = 0.0
    truth_voxels: int | None = None
    pred_voxels: int | None = None
    intersection: int | None = None
    mask_sha256: str | None = None
    verdict: dict[str, Any] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
