"""The SDK on the path, as in an image, and job folders as the harness writes them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from harness.sandbox.contract import CasePrompt, FindingPrompt, Job, parse_event, to_json_line


class Bench:
    """One container's ``/bench`` and what runs on it, without a container."""

    sdk = Path(__file__).resolve().parents[2] / "containers" / "sdk"
    #: A grid whose axes cannot be mistaken for one another, turned and moved in the world.
    shape = (5, 6, 7)
    affine = np.array([[-1.5, 0, 0, 10], [0, 0, 2.0, -20], [0, 0.75, 0, 30], [0, 0, 0, 1]])

    def __init__(self, folder: Path) -> None:
        self.root = folder / "bench"
        self.out = self.root / "out"
        self.plugin = folder / "plugin"
        self.plugin.mkdir()
        (self.root / "ct").mkdir(parents=True)
        self.out.mkdir()

    def ask(self, cases: Mapping[str, Sequence[str]], **params: str | float | bool | None) -> None:
        """Write the job: findings' ids by case."""
        job = Job(model="mine", variant="zero-shot", seed=7, devices=["cpu"], threads=1, params=params)
        (self.root / "job.json").write_text(job.model_dump_json(), encoding="utf-8")
        lines = []
        for number, (case, findings) in enumerate(cases.items()):
            volume = np.arange(np.prod(self.shape), dtype=np.int16).reshape(self.shape) - 1000 + number
            nib.save(nib.Nifti1Image(volume, self.affine), self.root / "ct" / f"{case}.nii.gz")
            prompts = [FindingPrompt(id=finding, text=f"nodule {finding}") for finding in findings]
            lines.append(
                CasePrompt(id=case, ct=f"ct/{case}.nii.gz", shape=self.shape, spacing=(1.5, 0.75, 2), findings=prompts)
            )
        (self.root / "cases.jsonl").write_text("".join(map(to_json_line, lines)), encoding="utf-8")

    @property
    def environment(self) -> dict[str, str]:
        """What an image sets, with this folder in the place of ``/bench``."""
        path = os.pathsep.join([str(self.sdk), str(self.plugin)])
        return {**os.environ, "BENCH_ROOT": str(self.root), "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}

    def run(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run what replaces a container's entry point."""
        return subprocess.run(
            command, env=self.environment, cwd=self.plugin, capture_output=True, text=True, timeout=60, check=False
        )

    def run_adapter(self, source: str) -> subprocess.CompletedProcess[str]:
        """Run `source`, which defines the adapter ``Mine``, as an image would."""
        (self.plugin / "adapter.py").write_text(source, encoding="utf-8")
        return self.run([sys.executable, "-m", "groundbench_sdk", "adapter:Mine"])

    def events(self) -> list[dict[str, object]]:
        """Return what was reported, read by the harness's parser; every line must be an event."""
        events = [parse_event(line) for line in (self.out / "events.jsonl").read_bytes().splitlines()]
        assert None not in events
        return [event.model_dump(exclude_none=True) for event in events if event is not None]

    def failures(self) -> dict[object, str]:
        """Return the reasons of the failed cases."""
        return {e["case"]: str(e["reason"]) for e in self.events() if e["event"] == "case_failed"}

    def mask(self, case: str, finding: str) -> nib.Nifti1Image:
        """Open one delivered mask."""
        return nib.load(self.out / case / f"{finding}.nii.gz")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return an empty ``/bench``."""
    return Bench(tmp_path)


@pytest.fixture(autouse=True)
def _sdk_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Bench.sdk))


def volume_of(array: np.ndarray, affine: np.ndarray) -> Callable[..., np.ndarray]:
    """Return what reads a CT as ``Case.volume`` does."""

    def volume(dtype: Any = np.int16, axes: str | None = None, order: str = "C") -> np.ndarray:
        from groundbench_sdk.grids import reorient_to

        found = array if axes is None else reorient_to(axes, affine).apply(array)
        return found.astype(dtype, order="C" if order == "C" else "K")

    return volume


class Toys:
    """Cases for the tests of the text models' bases; stored axes run towards the head, the right and the back."""

    affine = np.array([[0, 2.0, 0, 0], [0, 0, -3.0, 0], [4.0, 0, 0, 0], [0, 0, 0, 1]])

    @staticmethod
    def stored(ras: np.ndarray) -> np.ndarray:
        """Return an array along (right, front, head) as it is stored."""
        return ras.transpose(2, 0, 1)[:, :, ::-1]

    def case(self, name: str, ras: np.ndarray, *texts: str, labels: Sequence[np.ndarray] = ()) -> SimpleNamespace:
        """Return a case of a CT given along (right, front, head), with labels along the same axes."""
        array = self.stored(ras)
        return SimpleNamespace(
            id=name,
            affine=self.affine,
            shape=array.shape,
            spacing=(4.0, 2.0, 3.0),
            findings=[SimpleNamespace(id=str(number), text=text) for number, text in enumerate(texts)],
            volume=volume_of(array, self.affine),
            labels=lambda: np.stack([self.stored(label) for label in labels]),
        )


@pytest.fixture
def toys() -> Toys:
    """Return a maker of cases."""
    return Toys()
