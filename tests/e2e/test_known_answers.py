"""Models whose scores are known before they run, through the same containers as any other model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest

from harness.dataset import open_dataset

if TYPE_CHECKING:
    from conftest import Bench


def _dice(truth: np.ndarray, answer: np.ndarray) -> float:
    """The definition, nothing else: 2 |A and B| / (|A| + |B|)."""
    both = int((truth & answer).sum())
    return 2 * both / (int(truth.sum()) + int(answer.sum()))


def _shifted(truth: np.ndarray, voxels: int = 3) -> np.ndarray:
    moved = np.zeros_like(truth)
    moved[voxels:] = truth[:-voxels]
    return moved


ANSWERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "oracle": lambda truth: truth,
    "empty": np.zeros_like,
    "full": np.ones_like,
    "shifted": _shifted,
    "flipped": lambda truth: truth[::-1],
}


def _expected(dataset: Path, split: str, answer: Callable[[np.ndarray], np.ndarray]) -> dict[tuple[str, str], float]:
    scores = {}
    for case in open_dataset(dataset).split(split):
        labels = np.asarray(nib.load(case.truth).dataobj)
        for finding in case.findings:
            truth = labels[finding.index] > 0
            scores[case.id, finding.id] = _dice(truth, answer(truth))
    return scores


def _measured(bench: Bench, run: dict[str, Any]) -> dict[tuple[str, str], float]:
    return {(f["case_id"], f["finding"]): f["dice"] for f in bench.json("results", "show", run["run"])["findings"]}


@pytest.mark.parametrize("name", ANSWERS)
def test_score_is_the_one_known_in_advance(
    name: str, engine: str, bench: Bench, make_dataset: Callable[..., Path]
) -> None:
    """Every finding's Dice equals that of a ten-line oracle on the same arrays, and the run is never ranked."""
    dataset = make_dataset(2)
    run = bench.json("run", "--plugin", name, "--dataset", dataset, "--engine", engine)
    assert _measured(bench, run) == _expected(dataset, "test", ANSWERS[name])
    assert run["rankable"] is False
    assert any("known answer" in reason for reason in run["unrankable"])


@pytest.mark.parametrize("split", ["test", "val", "train"])
def test_real_data(split: str, engine: str, bench: Bench, real_data: Path) -> None:
    """On real CTs the oracle scores exactly 1, empty exactly 0, shifted and flipped what the definition gives."""
    dataset = real_data / "realct"
    for name, answer in ANSWERS.items():
        if name == "full":
            continue
        run = bench.json("run", "--plugin", name, "--dataset", dataset, "--split", split, "--engine", engine)
        assert _measured(bench, run) == _expected(dataset, split, answer)
        value = run["metrics"]["dice"]["all"]["value"]
        assert value == {"oracle": 1.0, "empty": 0.0}.get(name, value)


def test_flipped_is_flagged(bench: Bench, make_dataset: Callable[..., Path]) -> None:
    """A mask that misses but would fit if it were mirrored says so in its verdict."""
    run = bench.json("run", "--plugin", "flipped", "--dataset", make_dataset(1), "--engine", "local")
    missed, hit = bench.json("results", "show", run["run"])["findings"]
    assert missed["dice"] == 0
    assert [problem["code"] for problem in missed["verdict"]["problems"]] == ["mirrored"]
    assert hit["dice"] > 0.1  # its two boxes overlap with their mirror image: nothing to be seen
    assert hit["verdict"]["problems"] == []


def test_dropped_is_counted(bench: Bench, make_dataset: Callable[..., Path]) -> None:
    """A finding that is never delivered scores 0, is counted in n, and shown in the coverage."""
    result = bench("run", "--plugin", "dropped", "--dataset", make_dataset(2), "--engine", "local")
    assert "2 of 4 findings ok" in result.stderr
    run = bench.json("run", "--plugin", "dropped", "--dataset", make_dataset(2, name="same"), "--engine", "local")
    assert run["coverage"] == {"ok": 2, "missing_output": 2}
    assert run["metrics"]["dice"]["all"]["n"] == 4
    assert run["metrics"]["dice"]["all"]["value"] == 0.5
    bench(
        "run",
        "--plugin",
        "dropped",
        "--dataset",
        make_dataset(2, name="strict"),
        "--engine",
        "local",
        "--strict",
        code=1,
    )
