"""The micro-benchmark figures of a run, always apart from scoring time."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from harness.rows import CaseRow
from harness.runs.case_clock import PHASES
from harness.runs.outcome import ContainerFigures, ShardFigures
from harness.status import Status

#: The container finished these cases, whatever the quality of its masks.
_DELIVERED = (Status.OK, Status.INVALID_OUTPUT, Status.MISSING_OUTPUT)


def figures(
    cases: Sequence[CaseRow],
    shards: Mapping[str, ShardFigures],
    placed: Mapping[str, str],
    *,
    image_bytes: int | None,
) -> dict[str, Any]:
    """Compute the cost of inference from what was measured where it happened.

    Parameters
    ----------
    cases
        The run's cases; those without a time (never begun, or delivered without events) are left out of the times.
    shards
        The figures of its shards, over all invocations, by name.
    placed
        Case -> name of the figures of its shard; those that ran under an earlier version are not in it.
    image_bytes
        Size of the image.

    Returns
    -------
    dict
        Seconds, bytes and cases an hour of one container; None where unknown. Where the cases ran on unlike hardware,
        what depends on it is None, and ``by_hardware`` has it for each kind.
    """
    containers = [(name, container) for name, shard in shards.items() for container in shard.containers]
    kinds = {name: kind_of(shard) for name, shard in shards.items()}
    apart = {
        kind: _costs(
            [case for case in cases if kinds.get(placed.get(case.case, "")) == kind],
            [each for name, each in containers if kinds[name] == kind],
            placed,
        )
        for kind in sorted({kinds[name] for name, _ in containers})
    }
    shared = _costs(cases, [each for _, each in containers], placed)
    if len(apart) > 1:
        shared = dict.fromkeys(shared)
    return {
        "image_bytes": image_bytes,
        **shared,
        # measured from outside the container
        "peak_container_bytes": _most(c.peak_bytes for _, c in containers),
        "peak_gpu_bytes": _most(c.device_bytes for _, c in containers),
        # the model's own word
        "peak_host_bytes": _most(c.host_bytes for c in cases),
        "peak_device_bytes": _most(c.device_bytes for c in cases),
        "load_device_bytes": _most(c.load_device_bytes for _, c in containers),
        "containers": [{"place": name, **asdict(container)} for name, container in containers],
        **({"by_hardware": apart} if len(apart) > 1 else {}),
    }


def kind_of(shard: ShardFigures) -> str:
    """Return the hardware that the times of a shard depend on: its GPUs and who shares them, or its processor."""
    gpus = [str(gpu["name"]) for gpu in shard.hardware.get("gpus", [])]
    if not gpus:
        return str(shard.hardware.get("cpu", "unknown"))
    kind = gpus[0] if len(gpus) == 1 else f"{len(gpus)} x {' + '.join(sorted(set(gpus)))}"
    sharing = shard.hardware.get("containers_per_gpu", 1)
    return kind if sharing == 1 else f"{kind}, shared by {sharing} containers"


def _costs(
    cases: Sequence[CaseRow], containers: Sequence[ContainerFigures], placed: Mapping[str, str]
) -> dict[str, Any]:
    delivered = [case for case in cases if case.status in _DELIVERED]
    seconds = sorted(case.seconds for case in delivered if case.seconds is not None)
    walls = [container.wall_s for container in containers]
    predict_s = sum(wall for wall in walls if wall is not None)
    timed = [case for case in delivered if case.case in placed]  # of others the containers' time is not known
    told = _told(delivered)
    return {
        # measured from outside: the containers' whole lives over the cases that they delivered
        "case_wall_s": predict_s / len(timed) if predict_s > 0 and timed else None,
        "cases_per_hour": 3600 * len(timed) / predict_s if predict_s > 0 and timed else None,
        "predict_s": predict_s,
        "gpu_busy_share": _busy(containers),
        # by our clock too, but divided as the model's events say
        "container_start_s": _median(c.start_s for c in containers if c.start_s is not None),
        "model_load_s": _median(c.load_s for c in containers if c.load_s is not None),
        "first_case_s": next((c.first_case_s for c in containers if c.first_case_s is not None), None),
        "case_median_s": _median(seconds),
        "case_p95_s": _slow_end(seconds),
        # the model's own word, where it has one for every case
        **{f"told_{name}": _median(told[name]) for name in PHASES},
        "told_compute_p95_s": _slow_end(sorted(told["compute_s"])),
    }


def _told(cases: Sequence[CaseRow]) -> dict[str, list[float]]:
    """Return the seconds that containers told of all these cases, by phase; empty where one did not."""
    said = [case.evidence.get("phases", {}) for case in cases]
    return {name: [phases[name] for phases in said] if all(name in one for one in said) else [] for name in PHASES}


def _busy(containers: Sequence[ContainerFigures]) -> float | None:
    """Return the share of the containers' lives in which their GPUs computed; None unless it is known of all."""
    known = [(each.gpu_busy, each.wall_s) for each in containers if each.gpu_busy is not None and each.wall_s]
    if len(known) < len(containers) or not known:
        return None
    return sum(busy * wall for busy, wall in known) / sum(wall for _, wall in known)


def _most(values: Iterable[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)


def _slow_end(seconds: Sequence[float]) -> float | None:
    return seconds[math.ceil(0.95 * len(seconds)) - 1] if seconds else None


def _median(values: Any) -> float | None:
    found = list(values)
    return statistics.median(found) if found else None
