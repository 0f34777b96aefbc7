"""The reports of a shard: the outcome of each case, and the cost of each container."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.sandbox.evidence import PredictionEvidence
from harness.status import Status


@dataclass(frozen=True)
class CaseOutcome:
    """The outcome of one case; its masks are in ``masks/<case>/`` of the run's folder.

    Attributes
    ----------
    case
        Name of the case.
    status, reason
        Its status and, unless ok, the reason.
    seconds, host_bytes, device_bytes
        Inference time and peak memory, where known.
    attempts
        Containers that tried it.
    log
        Path of the container's log below the run's folder.
    evidence
        The evidence, where its container died.
    warnings
        The model's warnings about it.
    """

    case: str
    status: Status
    reason: str = ""
    seconds: float | None = None
    host_bytes: int | None = None
    device_bytes: int | None = None
    attempts: int = 1
    log: str = ""
    evidence: PredictionEvidence | None = None
    warnings: tuple[str, ...] = ()

    def seen(self) -> dict[str, Any]:
        """Return evidence and warnings as they are stored with the case; empty where there are none."""
        return {
            **({} if self.evidence is None else self.evidence.document()),
            **({"warnings": list(self.warnings)} if self.warnings else {}),
        }


@dataclass(frozen=True)
class ContainerFigures:
    """The cost of one container, apart from its cases."""

    shard: int
    start_s: float | None  #: from the request to the first event
    load_s: float | None  #: from the first event to the model being ready
    first_case_s: float | None
    peak_bytes: int | None
