"""Cases are dealt to as many containers as the GPUs make, each with the GPUs that the model needs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import nibabel as nib
import numpy as np
import pytest

from harness.dataset import Dataset, Finding, RunnableCase
from harness.engines.base import Mount
from harness.images.build import Image
from harness.registry.declaration import Model, Prompt, Variant
from harness.registry.discovery import Plugin
from harness.runs.boxes import KeptBoxes
from harness.runs.deal import deal, trial
from harness.runs.plan import Plan, RunRequest
from harness.runs.run_weights import Loaded

if TYPE_CHECKING:
    from harness.runs.checkpoint import Checkpoint


@pytest.fixture
def cases(tmp_path: Path) -> tuple[RunnableCase, ...]:
    """Write five cases that share a CT."""
    ct = tmp_path / "ct.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros((2, 3, 4), np.int16), np.eye(4)), ct)  # type: ignore[no-untyped-call]
    findings = (Finding(0, "0", "A nodule."),)
    return tuple(RunnableCase(str(number), "test", findings, ct, ct) for number in range(5))


def _plan(cases: Sequence[RunnableCase], *, checkpoint: Path | None = None) -> Plan:
    variant = Variant("v", prompt=Prompt.BOX)
    model = Model("m", "M", "A model.", "1", Path("/"), variants=(variant,))
    dataset = Dataset(Path("/"), Path("/dataset.json"), "d", {"test": tuple(cases)})
    request = RunRequest(Plugin(model, "here"), variant, dataset, "test", "mlhc2025")
    trained = None if checkpoint is None else cast("Checkpoint", SimpleNamespace(folder=checkpoint, sha256="1"))
    weights = Loaded("pinned", (("w.pt", Path("/weights/w.pt"), "0"),))
    return Plan(request, tuple(cases), Image("i"), "f", "local", isolates=False, weights=weights, checkpoint=trained)


BOXES = KeptBoxes({str(number): {"0": [[number] * 6]} for number in range(5)}, {"prompts": {}})


@pytest.mark.parametrize(
    ("gpus", "parts", "dealt"),
    [
        (0, 1, ["01234"]),
        (1, 1, ["01234"]),
        (1, 2, ["024", "13"]),
        (2, 2, ["024", "13"]),
        (1, 7, ["0", "1", "2", "3", "4"]),
    ],
)
def test_every_case_is_dealt_once(
    gpus: int, parts: int, dealt: list[str], tmp_path: Path, cases: tuple[RunnableCase, ...]
) -> None:
    """In turn, in order, and no shard without a case; numbers go on where they are told to."""
    shards = deal(_plan(cases), "run", tmp_path, cases, boxes=BOXES, gpus=gpus, parts=parts, first=3)
    assert ["".join(case.prompt.id for case in shard.cases) for shard in shards] == dealt
    assert [shard.number for shard in shards] == list(range(3, 3 + len(dealt)))
    for shard in shards:
        assert (shard.gpus, shard.job.devices) == (gpus, [f"cuda:{i}" for i in range(gpus)] or ["cpu"])
        assert all(case.prompt.findings[0].boxes == [[int(case.prompt.id)] * 6] for case in shard.cases)


def test_without_a_case_there_is_no_shard(tmp_path: Path, cases: tuple[RunnableCase, ...]) -> None:
    """A run that has nothing left to predict starts no container."""
    assert deal(_plan(cases), "run", tmp_path, (), boxes=BOXES, gpus=1, parts=1) == []


def test_weights_and_checkpoint_are_mounted(tmp_path: Path, cases: tuple[RunnableCase, ...]) -> None:
    """Beside its cases a container reads the weights and, of a trained variant, the checkpoint."""
    weights = Mount(Path("/weights/w.pt"), "weights/w.pt")
    (shard,) = deal(_plan(cases), "run", tmp_path, cases, boxes=BOXES, gpus=0, parts=1)
    assert (shard.mounts, shard.job.checkpoint) == ((weights,), False)
    (shard,) = deal(_plan(cases, checkpoint=tmp_path), "run", tmp_path, cases, boxes=BOXES, gpus=0, parts=1)
    assert (shard.mounts, shard.job.checkpoint) == ((weights, Mount(tmp_path.resolve(), "checkpoint")), True)


def test_a_trial_mounts_what_the_shards_may_read(cases: Sequence[RunnableCase]) -> None:
    """It has no case, and the CTs beside the mounts of the plan."""
    plan = _plan(cases)
    shard = trial(plan, Path("/shared"), gpus=2, files=[case.ct for case in cases[:2]])
    assert (shard.cases, shard.gpus, shard.plan) == ((), 2, plan.key)
    ct = cases[0].ct.resolve()
    assert shard.mounts == (*plan.mounts, Mount(ct, "data/0"), Mount(ct, "data/1"))
