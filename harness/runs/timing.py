"""The micro-benchmark figures of a run, always apart from scoring time."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from harness.rows import CaseRow
from harness.status import Status

#: The container finished these cases, whatever the quality of its masks.
_DELIVERED = (Status.OK, Status.INVALID_OUTPUT, Status.MISSING_OUTPUT)


def figures(
    cases: Sequence[CaseRow], containers: Sequence[dict[str, Any]], *, image_bytes: int | None, predict_s: float
) -> dict[str, Any]:
    """Compute the cost of inference.

    Parameters
    ----------
    cases
        The run's cases; those without a time (never begun, or delivered without events) are left out of the times.
    containers
        Per container: ``start_s``, ``load_s``, ``first_case_s`` (seconds) and ``peak_bytes``, each or None.
    image_bytes
        Size of the image.
    predict_s
        Seconds during which containers ran, over all invocations of this run.

    Returns
    -------
    dict
        Seconds, bytes and cases an hour; None where unknown.
    """
    delivered = [case for case in cases if case.status in _DELIVERED]
    seconds = sorted(case.seconds for case in delivered if case.seconds is not None)
    return {
        "image_bytes": image_bytes,
        "container_start_s": _median(c["start_s"] for c in containers if c["start_s"] is not None),
        "model_load_s": _median(c["load_s"] for c in containers if c["load_s"] is not None),
        "first_case_s": next((c["first_case_s"] for c in containers if c["first_case_s"] is not None), None),
        "case_median_s": _median(seconds),
        "case_p95_s": seconds[math.ceil(0.95 * len(seconds)) - 1] if seconds else None,
        "cases_per_hour": 3600 * len(delivered) / predict_s if predict_s > 0 and delivered else None,
        "predict_s": predict_s,
        "peak_host_bytes": max((c.host_bytes for c in cases if c.host_bytes is not None), default=None),
        "peak_container_bytes": max((c["peak_bytes"] for c in containers if c["peak_bytes"] is not None), default=None),
        "peak_device_bytes": max((c.device_bytes for c in cases if c.device_bytes is not None), default=None),
        "containers": list(containers),
    }


def _median(values: Any) -> float | None:
    found = list(values)
    return statistics.median(found) if found else None
