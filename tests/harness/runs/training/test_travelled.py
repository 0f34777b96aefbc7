"""A finished checkpoint serves where the files that it learnt from are not, and only there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Bench

LEARNER = Path(__file__).parents[3] / "e2e" / "plugins" / "learner"


def _command(data: Path, **options: object) -> list[object]:
    more = [part for name, value in options.items() for part in (f"--{name}", value)]
    fixed = ["--plugin", "learner", "--plugin-dir", LEARNER, "--variant", "none", "--engine", "local"]
    return ["run", *fixed, "--dataset", data, *more]


@pytest.mark.costly
def test_a_checkpoint_travels(bench: Bench, splits_writer: Callable[..., Path], tmp_path: Path) -> None:
    """Copied to another home, it predicts without the files of train and val; another seed or index is refused."""
    data = splits_writer(tmp_path / "data")
    here = bench.json(*_command(data))
    there = replace(bench, home=tmp_path / "there")
    shutil.copytree(bench.home / "checkpoints", there.home / "checkpoints")
    index = json.loads((data / "dataset.json").read_text())
    for case in [*index["train"], *index["val"]]:
        for folder in ("ct", "seg"):
            (data / folder / case["name"]).unlink()

    ended = there(*_command(data), "--json")
    assert "files of train and val are not here" in ended.stderr
    document = json.loads(ended.stdout)
    assert (document["run"], document["metrics"]) == (here["run"], here["metrics"])

    refused = there(*_command(data, seed=5), code=4)
    assert "another image, weight or seed" in refused.stderr

    (record,) = (there.home / "checkpoints").glob("*/record.json")
    (weights,) = (record.parent / "checkpoint").iterdir()
    weights.write_text("{}")
    assert "was changed since it was trained" in there(*_command(data), code=4).stderr

    index["train"].pop()
    (data / "dataset.json").write_text(json.dumps(index))
    unknown = there(*_command(data), code=4)
    assert "training needs the masks of train and val" in unknown.stderr
