"""The figures of what a run cost."""

from __future__ import annotations

from typing import Any

import pytest

from harness.rows import CaseRow
from harness.runs.timing import figures


def _case(number: int, seconds: float | None, status: str = "ok", **more: Any) -> CaseRow:
    return CaseRow(case=f"c{number}", ordinal=number, status=status, seconds=seconds, **more)


def test_the_middle_and_the_slow_end_are_those_of_delivered_cases() -> None:
    """Median and 95th percentile by hand; a case that failed is not counted as fast."""
    cases = [_case(n, float(n)) for n in range(1, 21)] + [_case(21, 1000.0, "timeout"), _case(22, None)]
    made = figures(cases, [], image_bytes=None, predict_s=3600.0)
    assert (made["case_median_s"], made["case_p95_s"]) == (10.5, 19.0)
    assert made["cases_per_hour"] == pytest.approx(21)


def test_what_is_not_known_is_none() -> None:
    """No case, no container: nothing is shown as 0 that was not measured."""
    made = figures([], [], image_bytes=None, predict_s=0.0)
    assert {made[name] for name in ("case_median_s", "case_p95_s", "cases_per_hour", "peak_host_bytes")} == {None}


def test_peaks_are_the_highest_of_all() -> None:
    """The memory of a run is that of its hungriest case and container."""
    cases = [_case(1, 1.0, host_bytes=5, device_bytes=None), _case(2, 1.0, host_bytes=3, device_bytes=9)]
    containers = [
        {"start_s": 1.0, "load_s": 2.0, "first_case_s": None, "peak_bytes": None},
        {"start_s": 3.0, "load_s": 4.0, "first_case_s": 0.5, "peak_bytes": 70},
    ]
    made = figures(cases, containers, image_bytes=1, predict_s=1.0)
    assert [made[f"peak_{name}_bytes"] for name in ("host", "container", "device")] == [5, 70, 9]
    assert (made["container_start_s"], made["model_load_s"], made["first_case_s"]) == (2.0, 3.0, 0.5)
