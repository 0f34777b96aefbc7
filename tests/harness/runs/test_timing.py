"""The figures of what a run cost, from where it happened."""

from __future__ import annotations

from typing import Any

import pytest

from harness.rows import CaseRow
from harness.runs.outcome import ContainerFigures, ShardFigures
from harness.runs.timing import figures


def _case(number: int, seconds: float | None, status: str = "ok", **more: Any) -> CaseRow:
    return CaseRow(case=f"c{number}", ordinal=number, status=status, seconds=seconds, **more)


def _shard(*walls: float, gpu: str = "", sharing: int = 1, **more: Any) -> ShardFigures:
    plain = {"start_s": None, "load_s": None, "first_case_s": None, "peak_bytes": None, **more}
    hardware: dict[str, Any] = {"cpu": "a processor", **({"gpus": [{"name": gpu}]} if gpu else {})}
    hardware |= {"containers_per_gpu": sharing} if sharing > 1 else {}
    return ShardFigures("host", hardware, {}, tuple(ContainerFigures(shard=0, wall_s=wall, **plain) for wall in walls))


def test_times_of_containers_that_share_a_gpu_stand_apart() -> None:
    """They are not those of a container that has it alone."""
    alone, shared = _shard(40.0, gpu="H200"), _shard(60.0, gpu="H200", sharing=2)
    cases = [_case(n, 1.0) for n in range(2)]
    made = figures(cases, {"0": alone, "1": shared}, {"c0": "0", "c1": "1"}, image_bytes=None)
    assert list(made["by_hardware"]) == ["H200", "H200, shared by 2 containers"]
    assert list(figures(cases, {"0": shared}, _placed(cases), image_bytes=None)) == list(made)[:-1]


def _placed(cases: list[CaseRow], name: str = "0") -> dict[str, str]:
    return {case.case: name for case in cases}


def test_the_middle_and_the_slow_end_are_those_of_delivered_cases() -> None:
    """Median and 95th percentile by hand; a case that failed is not counted as fast."""
    cases = [_case(n, float(n)) for n in range(1, 21)] + [_case(21, 1000.0, "timeout"), _case(22, None)]
    made = figures(cases, {"0": _shard(3600.0)}, _placed(cases), image_bytes=None)
    assert (made["case_median_s"], made["case_p95_s"]) == (10.5, 19.0)
    assert made["cases_per_hour"] == pytest.approx(21)
    assert "by_hardware" not in made


def test_what_the_model_tells_of_its_seconds_is_shown_where_it_does_so_of_all_cases() -> None:
    """Medians, and the slow end of computing; one case without a word and there is none of the run."""
    told = [{"read_s": 1.0, "compute_s": float(n), "write_s": 0.5, "wait_s": 0.1} for n in range(1, 21)]
    cases = [_case(n, 30.0, evidence={"phases": phases}) for n, phases in enumerate(told)]
    made = figures(cases, {"0": _shard(600.0)}, _placed(cases), image_bytes=None)
    assert (made["told_compute_s"], made["told_compute_p95_s"], made["told_wait_s"]) == (10.5, 19.0, 0.1)
    cases += [_case(20, 30.0)]
    made = figures(cases, {"0": _shard(600.0)}, _placed(cases), image_bytes=None)
    assert {made[name] for name in ("told_compute_s", "told_compute_p95_s", "told_read_s")} == {None}


def test_what_is_not_known_is_none() -> None:
    """No case, no container: nothing is shown as 0 that was not measured."""
    made = figures([], {}, {}, image_bytes=None)
    assert {made[name] for name in ("case_median_s", "case_p95_s", "cases_per_hour", "peak_host_bytes")} == {None}


def test_cases_whose_container_was_not_timed_do_not_make_a_run_fast() -> None:
    """Of an earlier version's cases, and of those whose figures are gone, only their own seconds are known."""
    cases = [_case(n, 1.0) for n in range(10)]
    made = figures(cases, {"1": _shard(1800.0)}, _placed(cases[:2], "1"), image_bytes=None)
    assert made["cases_per_hour"] == pytest.approx(4)
    assert figures(cases, {}, {}, image_bytes=None)["cases_per_hour"] is None


def test_peaks_are_the_highest_of_all() -> None:
    """The memory of a run is that of its hungriest case and container."""
    cases = [_case(1, 1.0, host_bytes=5, device_bytes=None), _case(2, 1.0, host_bytes=3, device_bytes=9)]
    first = _shard(1.0, start_s=1.0, load_s=2.0)
    second = _shard(1.0, start_s=3.0, load_s=4.0, first_case_s=0.5, peak_bytes=70, load_device_bytes=8)
    made = figures(cases, {"0": first, "1": second}, _placed(cases), image_bytes=1)
    assert [made[f"peak_{name}_bytes"] for name in ("host", "container", "device")] == [5, 70, 9]
    assert made["load_device_bytes"] == 8
    assert (made["container_start_s"], made["model_load_s"], made["first_case_s"]) == (2.0, 3.0, 0.5)


def test_unlike_gpus_are_not_mixed() -> None:
    """Each kind has its own cost; there is no middle of two kinds, and the peaks are those of all."""
    cases = [_case(n, 1.0, host_bytes=n) for n in range(4)] + [_case(n, 3.0) for n in range(4, 6)]
    shards = {"0": _shard(40.0, gpu="H200"), "1": _shard(60.0, gpu="T4")}
    made = figures(cases, shards, _placed(cases[:4]) | _placed(cases[4:], "1"), image_bytes=7)
    assert (made["case_median_s"], made["case_p95_s"], made["cases_per_hour"]) == (None, None, None)
    assert {kind: (cost["case_median_s"], cost["cases_per_hour"]) for kind, cost in made["by_hardware"].items()} == {
        "H200": (1.0, 360.0), "T4": (3.0, 120.0),
    }  # fmt: skip
    assert (made["image_bytes"], made["peak_host_bytes"]) == (7, 3)
