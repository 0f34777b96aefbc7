"""A run on GPUs of two kinds says so, and shows what it cost on each, wherever costs are shown."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conftest import Bench

STEADY = Path(__file__).parent / "plugins" / "steady"

#: The hardware of the run, and what depends on it.
KINDS, APART = ("Stand-in H200", "Stand-in T4"), ("case_median_s", "case_p95_s", "cases_per_hour", "model_load_s")


def _stand_in(bench: Bench, folder: Path, kinds: tuple[str, ...]) -> None:
    """Put GPUs of 8 GiB in the driver's place."""
    tool = folder / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    ids = [f"GPU-unlike-{os.getpid()}-{number}" for number in range(len(kinds))]
    lines = "".join(f"echo '{n}, {ids[n]}, {kind}, 8192'\n" for n, kind in enumerate(kinds))
    tool.write_text(f'#!/bin/sh\ncase "$*" in *query*) ;; *) exit 0 ;; esac\n{lines}')
    tool.chmod(0o755)
    bench.environment["PATH"] = f"{tool.parent}:{bench.environment['PATH']}"


def test_costs_are_shown_by_gpu(bench: Bench, make_dataset: Callable[..., Path], tmp_path: Path) -> None:
    """In the document, in the table of `results show` and on the board; there is no middle of two kinds."""
    _stand_in(bench, tmp_path, KINDS)
    run = bench.json("run", "--plugin", "steady", "--plugin-dir", STEADY, "--dataset", make_dataset(4), "--gpus", 2,
                     "--engine", "local")  # fmt: skip
    for document in (run, bench.json("results", "show", run["run"])):
        timing = document["timing"]
        assert tuple(timing["by_hardware"]) == KINDS
        assert all(timing[name] is None for name in APART)
        assert all(costs[name] is not None for costs in timing["by_hardware"].values() for name in APART)
    shown = bench("results", "show", run["run"]).stdout
    rows = [line for line in shown.splitlines() if "steady" in line and " on " in line]
    assert [kind for row in rows for kind in KINDS if f"on {kind}" in row] == 2 * list(
        KINDS
    )  # what was measured, and what the model reports
    bench("leaderboard", "build", "--out", tmp_path / "site")
    (page,) = [path for path in (tmp_path / "site").rglob("*.html") if run["run"] in path.as_posix()]
    text = page.read_text(encoding="utf-8")
    for kind in KINDS:
        assert f"a case by the model&#39;s events, median, {kind}" in text
        assert f"cases an hour, {kind}" in text
    assert f"1 x {KINDS[0]}; 1 x {KINDS[1]}" in text


def test_two_containers_share_a_gpu(bench: Bench, make_dataset: Callable[..., Path], tmp_path: Path) -> None:
    """The same masks, with what was shared in the record; a third does not fit and is refused with the numbers."""
    _stand_in(bench, tmp_path, KINDS[:1])
    plugin = tmp_path / "steady"
    shutil.copytree(STEADY, plugin)
    declared = (plugin / "__init__.py").read_text(encoding="utf-8")
    (plugin / "__init__.py").write_text(declared.replace("cpus=1,", "cpus=1, gpu_gb=3,"), encoding="utf-8")
    ask = ("run", "--plugin", "steady", "--plugin-dir", plugin, "--dataset", make_dataset(4), "--gpus", 1)
    ask += ("--engine", "local")
    alone, shared = bench.json(*ask), bench.json(*ask, "--fresh", "--per-gpu", 2)
    assert alone["run"] != shared["run"]
    runs = bench.home / "runs"
    masks = [
        {path.relative_to(runs / one["run"]): path.read_bytes() for path in (runs / one["run"]).rglob("*.nii.gz")}
        for one in (alone, shared)
    ]
    assert masks[0] == masks[1] != {}
    assert (len(alone["timing"]["containers"]), len(shared["timing"]["containers"])) == (1, 2)
    assert f"1 x {KINDS[0]}, 2 containers on each" in bench("results", "show", shared["run"]).stdout
    refused = bench(*ask, "--fresh", "--per-gpu", 3, code=3)
    assert "with at least 9 GB as the model needs" in refused.stderr
    refused = bench("run", "--plugin", "steady", "--plugin-dir", STEADY, "--per-gpu", 2, code=2)
    assert "--per-gpu is for GPUs of this machine" in refused.stderr
