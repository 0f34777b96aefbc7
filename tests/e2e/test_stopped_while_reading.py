"""What reads the whole data set before any case is under way ends at the first Ctrl-C: nothing is in flight."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from harness.cli import cli
from harness.dataset.fingerprint import fingerprint_of

PLUGINS = Path(__file__).parent / "plugins"


def _stop(*_: object, **__: object) -> Any:
    """Read for long, and be asked to stop meanwhile."""
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(30)
    pytest.fail("the signal was not received")


def _run(home: Path, plugin: str, variant: str, dataset: Path) -> None:
    options = ["--plugin", plugin, "--plugin-dir", str(PLUGINS / plugin), "--variant", variant, "--engine", "local"]
    with pytest.raises(click.Abort):
        cli.main(["--home", str(home), "run", *options, "--dataset", str(dataset)], standalone_mode=False)


def test_while_boxes_are_made(
    tmp_path: Path, make_dataset: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Box prompts read every mask of the split."""
    monkeypatch.setattr("harness.runs.boxes.simulate_boxes", _stop)
    _run(tmp_path / "home", "boxed", "box", make_dataset(1))
    assert not list((tmp_path / "home").glob("runs/*/boxes.jsonl"))


def test_while_the_training_data_are_read(
    tmp_path: Path, splits_writer: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The identity of a training covers every CT and mask of train and val."""
    monkeypatch.setattr(
        "harness.runs.training.finetune.fingerprint_of",
        lambda data, split: _stop() if split == "train" else fingerprint_of(data, split),
    )
    _run(tmp_path / "home", "learner", "none", splits_writer(tmp_path / "data"))
    assert not (tmp_path / "home" / "checkpoints").exists()


def test_while_boxes_of_a_training_are_made(
    tmp_path: Path, splits_writer: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variant that is trained with boxes has every mask of train and val read, too."""
    monkeypatch.setattr("harness.runs.boxes.simulate_boxes", _stop)
    _run(tmp_path / "home", "boxed", "tuned", splits_writer(tmp_path / "data"))
    assert not list((tmp_path / "home").glob("checkpoints/*/boxes.jsonl"))
