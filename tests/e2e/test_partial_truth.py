"""Runs on the training split, whose masks hold at most three entities a finding."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from harness.store.database import Store

if TYPE_CHECKING:
    from conftest import Bench


def test_instances_are_neither_shown_nor_kept(bench: Bench, make_dataset: Callable[..., Path]) -> None:
    """The profile that counts instances is refused before anything runs; without it, no such metric is stored."""
    dataset = make_dataset(1)
    index = json.loads((dataset / "dataset.json").read_text())
    (dataset / "dataset.json").write_text(json.dumps(index | {"train": index["test"], "test": []}))
    command = ("run", "--plugin", "oracle", "--dataset", dataset, "--split", "train", "--engine", "local")
    assert "at most three entities" in bench(*command, "--profile", "miccai2026", code=2).stderr
    run = bench.json(*command)
    assert run["metrics"]["dice"]["all"]["value"] == 1.0
    with Store(bench.home / "results.db", readonly=True) as store:
        assert store.metrics(run["run"], "miccai2026") == {}
        assert store.metrics(run["run"], "mlhc2025")
