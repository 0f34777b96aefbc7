"""Tiny, whole: its image with a CPU build of torch, a short training in the wall, masks, scores, and what texts do.

A short training shows that everything is joined up and that something is learnt. How well tiny learns when it is given
its minutes is what ``make tiny-proof`` shows.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest

from harness.phantom.dataset import make_dataset as make_phantom

if TYPE_CHECKING:
    from conftest import Bench

pytestmark = pytest.mark.docker

#: Fewer steps than declared, on a smaller phantom: minutes become one.
SHORT = {"steps": 120, "warmup": 5, "validate_every": 60, "report_every": 10}


def _run(bench: Bench, variant: str, dataset: Path, *more: object) -> dict[str, Any]:
    command = ["run", "--plugin", "tiny", "--variant", variant, "--dataset", dataset, "--engine", "docker", *more]
    process = bench.popen(*command, "--json")
    out, err = process.communicate(timeout=1200)  # a busy machine is slow, not wrong
    assert process.returncode == 0, err
    return dict(json.loads(out))


@pytest.mark.timeout(2400)
def test_learns_in_the_wall(
    tiny_image: str, new_bench: Callable[[Path], Bench], tiny_home: Path, tmp_path: Path
) -> None:
    """Untrained it finds nothing; trained for a hundred steps it finds something, and other texts give other masks."""
    bench = new_bench(tiny_home)
    bench.environment.pop("BENCH_BASE_IMAGE", None)
    phantom = make_phantom(tmp_path / "phantom", cases=12, size="small", seed=11)
    untrained = _run(bench, "zero-shot", phantom)
    assert untrained["coverage"] == {"ok": untrained["n_findings"]}
    assert untrained["metrics"]["dice"]["all"]["value"] <= 0.05
    changes = [part for name, value in SHORT.items() for part in ("--param", f"{name}={value}")]
    trained = _run(bench, "fine-tuned", phantom, *changes)
    assert trained["coverage"] == {"ok": trained["n_findings"]}
    assert trained["metrics"]["dice"]["all"]["value"] >= 0.05
    assert any("changed parameters" in reason for reason in trained["unrankable"])
    (folder,) = (tiny_home / "checkpoints").iterdir()
    assert list(json.loads((folder / "record.json").read_text())["files"]) == ["model.pt"]
    apart = 0
    for case in sorted((tiny_home / "runs" / trained["run"] / "masks").iterdir()):
        masks = [np.asanyarray(nib.load(path).dataobj) for path in sorted(case.glob("*.nii.gz"))]
        apart += sum(not np.array_equal(a, b) for n, a in enumerate(masks) for b in masks[n + 1 :])
    assert apart > 0


@pytest.mark.timeout(1200)
def test_passes_the_check(tiny_image: str, new_bench: Callable[[Path], Bench], tiny_home: Path) -> None:
    """Untrained it finds nothing, and what cannot be seen of empty masks is skipped, with the reason."""
    bench = new_bench(tiny_home)
    bench.environment.pop("BENCH_BASE_IMAGE", None)
    process = bench.popen("plugin", "check", "tiny", "--engine", "docker", "--json")
    out, err = process.communicate(timeout=1000)
    assert process.returncode == 0, err
    lines = {line["name"]: line for line in json.loads(out)["checks"]}
    assert {name for name, line in lines.items() if line["outcome"] == "pass"} == {
        *("declares", "builds", "answers", "behaves"),
    }
    assert lines["heeds its prompt"]["found"] == "every mask is empty"
    assert lines["row"]["found"].endswith("; it has no weights and is not trained, as another variant is")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_fine_tuned_it_passes_the_check(tiny_image: str, new_bench: Callable[[Path], Bench], tiny_home: Path) -> None:
    """Its training is killed and taken up again; trained, it finds something in every form, and nothing is skipped."""
    bench = new_bench(tiny_home)
    bench.environment.pop("BENCH_BASE_IMAGE", None)
    process = bench.popen("plugin", "check", "tiny", "--variant", "fine-tuned", "--engine", "docker", "--json")
    out, err = process.communicate(timeout=3500)
    assert process.returncode == 0, err
    lines = {line["name"]: line for line in json.loads(out)["checks"]}
    assert {name for name, line in lines.items() if line["outcome"] == "skip"} == {"packs", "row"}
    assert "taken up again" in lines["trains"]["found"]
