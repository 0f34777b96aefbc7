"""What a shard reports: how each case ended, and what each container cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.sandbox.evidence import PredictionEvidence
from harness.status import Status


@dataclass(frozen=True)
class CaseOutcome:
    """How one case ended; its masks lie in ``masks/<case>/`` of the run's folder.

    Attributes
    ----------
    case
        Which case.
    status, reason
        How it ended and, unless ok, why.
    seconds, host_bytes, device_bytes
        Inference time and peak memory, where known.
    attempts
        Containers that tried it.
    log
        Path of the container's log below the run's folder.
    evidence
        What was seen where its container died.
    warnings
        What the model said of it.
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
    """What one container cost, apart from its cases."""

    shard: int
    start_s: float | None  #: from the request to the first event
    load_s: float | None  #: from the first event to the model being ready
    first_case_s: float | None
    peak_bytes: int | None
