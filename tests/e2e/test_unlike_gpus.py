"""A run on GPUs of two kinds says so, and shows what it cost on each, wherever costs are shown."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conftest import Bench

STEADY = Path(__file__).parent / "plugins" / "steady"

#: The hardware of the run, and what depends on it.
KINDS, APART = ("Stand-in H200", "Stand-in T4"), ("case_median_s", "case_p95_s", "cases_per_hour", "model_load_s")


def test_costs_are_shown_by_gpu(bench: Bench, make_dataset: Callable[..., Path], tmp_path: Path) -> None:
    """In the document, in the table of `results show` and on the board; there is no middle of two kinds."""
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    ids = [f"GPU-unlike-{os.getpid()}-{number}" for number in range(2)]
    lines = "".join(f"echo '{n}, {ids[n]}, {kind}, 8192'\n" for n, kind in enumerate(KINDS))
    tool.write_text(f'#!/bin/sh\ncase "$*" in *query*) ;; *) exit 0 ;; esac\n{lines}')
    tool.chmod(0o755)
    bench.environment["PATH"] = f"{tool.parent}:{bench.environment['PATH']}"
    run = bench.json("run", "--plugin", "steady", "--plugin-dir", STEADY, "--dataset", make_dataset(4), "--gpus", 2,
                     "--engine", "local")  # fmt: skip
    for document in (run, bench.json("results", "show", run["run"])):
        timing = document["timing"]
        assert tuple(timing["by_hardware"]) == KINDS
        assert all(timing[name] is None for name in APART)
        assert all(costs[name] is not None for costs in timing["by_hardware"].values() for name in APART)
    shown = bench("results", "show", run["run"]).stdout
    rows = [line for line in shown.splitlines() if "steady" in line and " on " in line]
    assert [kind for row in rows for kind in KINDS if f"on {kind}" in row] == list(KINDS)
    bench("leaderboard", "build", "--out", tmp_path / "site")
    (page,) = [path for path in (tmp_path / "site").rglob("*.html") if run["run"] in path.as_posix()]
    text = page.read_text(encoding="utf-8")
    for kind in KINDS:
        assert f"a case by the model&#39;s events, median, {kind}" in text
        assert f"cases an hour, {kind}" in text
    assert f"1 x {KINDS[0]}; 1 x {KINDS[1]}" in text
