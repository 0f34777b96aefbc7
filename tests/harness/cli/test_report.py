"""What a finished run shows: its cost for each kind of hardware, where it was carried out on unlike ones."""

from __future__ import annotations

from typing import Any

import pytest

from harness.cli.report import print_documents
from harness.scoring.placement import APART, PLACEMENTS

COST = {"container_start_s": 1.0, "model_load_s": 2.0, "first_case_s": 3.0, "case_p95_s": 9.0, "predict_s": 60.0}


def _document(timing: dict[str, Any], **placements: int) -> dict[str, Any]:
    return {
        "placements": _shares(dict.fromkeys(PLACEMENTS, 0) | placements),
        "profile": "mlhc2025", "plugin": "m", "variant": "v", "engine": "docker", "metrics": {}, "unrankable": [],
        "dataset": {"name": "d", "split": "test"}, "n_cases": 4, "n_findings": 8, "coverage": {"ok": 8},
        "data_warnings": [], "timing": timing,
    }  # fmt: skip


def _shares(counts: dict[str, int]) -> dict[str, Any]:
    n = sum(count for name, count in counts.items() if name not in APART)
    of = {name: None if name in APART else n for name in counts}
    return {name: {"count": count, "n": of[name], "value": n and count / n} for name, count in counts.items()}


def _costs(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    table = capsys.readouterr().out.partition("cost, without scoring")[2].partition("by the model's own word")[0]
    lines = table.splitlines()
    return [line.split() for line in lines if line.startswith("m v")]


def test_the_cost_of_a_run_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """On one kind of hardware."""
    print_documents([_document({**COST, "case_median_s": 5.0, "cases_per_hour": 240.0})])
    (line,) = _costs(capsys)
    assert "240" in line


def test_what_a_model_reports_of_its_seconds_stands_apart(capsys: pytest.CaptureFixture[str]) -> None:
    """Computing first, then waiting, reading and writing, and the GPU; a model without a word is shown as such."""
    told = {"told_compute_s": 2.5, "told_compute_p95_s": 4.0, "told_wait_s": 0.25, "told_read_s": 1.5}
    told |= {"told_write_s": 0.75, "gpu_busy_share": 0.62, "load_device_bytes": 3e9, "peak_device_bytes": 4e9}
    print_documents([_document({**COST, **told}), _document(COST)])
    lines = capsys.readouterr().out.partition("by the model's own word")[2].splitlines()
    rows = [" ".join(line.split()) for line in lines if line.startswith("m v")]
    assert rows == [
        "m v 2.50 s 4.00 s 0.25 s 1.50 s 0.75 s 62% 3.0 GB 4.0 GB",
        "m v not reported — — — — — — —",
    ]


def test_on_unlike_hardware_each_kind_has_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A middle of two kinds would be the pace of neither."""
    apart = {
        kind: {**COST, "case_median_s": seconds, "cases_per_hour": 3600 / seconds}
        for kind, seconds in (("H200", 5.0), ("T4", 20.0))
    }
    print_documents([_document({**dict.fromkeys(COST), "cases_per_hour": None, "by_hardware": apart})])
    first, second = _costs(capsys)
    assert first[:4] == ["m", "v", "on", "H200"]
    assert second[:4] == ["m", "v", "on", "T4"]
    assert "720" in first
    assert "180" in second


def test_where_masks_lie_is_a_table_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    """Counts with shares of what is known; a row of which nothing is known has no share, and says how many."""
    known = _document({}, found=5, same_mask=1, not_found=2)
    print_documents([known])
    header, _, line = capsys.readouterr().out.partition("never ranked\n")[2].splitlines()[:3]
    assert "not known" not in header
    assert line.split()[2:] == ["5", "(62%)", "0", "(0%)", "1", "(12%)", "0", "(0%)", "2", "(25%)", "0", "(0%)"]
    print_documents([known, _document({}, not_known=8)])
    header, _, _, line = capsys.readouterr().out.partition("never ranked\n")[2].splitlines()[:4]
    assert header.endswith("not known")
    assert line.split()[2:] == ["—"] * 6 + ["8"]
