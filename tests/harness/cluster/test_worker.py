"""A worker's GPUs, and its way of leaving."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.cluster import worker
from harness.cluster.tasks import Here
from harness.cluster.worker import GRACE_S, _Patience, choose_gpus
from harness.engines.allocation import Allocation
from harness.engines.nvidia import Gpu
from harness.errors import UsageError

A, B = (Gpu(f"GPU-{letter}", "H200", 1000, index=str(number)) for number, letter in enumerate("ab"))


def test_the_gpu_that_is_granted(monkeypatch: pytest.MonkeyPatch) -> None:
    """One is taken, none is fine, and of several one has to be named."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # so that it is as it was afterwards, also where it was not set
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(worker, "granted_gpus", lambda: Allocation((), (), "", "no driver"))
    assert choose_gpus(()) == []
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    monkeypatch.setattr(worker, "granted_gpus", lambda: Allocation((A, B), (A, B)))
    with pytest.raises(UsageError, match="2 GPUs are granted here"):
        choose_gpus(())
    monkeypatch.setattr(worker, "granted_gpus", lambda: Allocation((A,), (A, B), "SLURM_JOB_GPUS=0"))
    assert choose_gpus(()) == [A]


def test_a_named_gpu_hides_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards of this process take no other."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(worker, "require_gpus", lambda count, ids: [B] if (count, ids) == (1, ("1",)) else [])
    assert choose_gpus(("1",)) == [B]
    assert os.environ["CUDA_VISIBLE_DEVICES"] == B.id


def test_the_case_in_flight_has_half_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it must end now; before anybody asks nothing happens."""
    now = 1000.0
    monkeypatch.setattr(worker.time, "monotonic", lambda: now)
    here = Here(tmp_path, running=("r", 0))
    patience = _Patience(here)
    assert patience.tick()
    now += 1000
    here.stop.soon.set()
    assert patience.tick()
    now += GRACE_S
    assert patience.tick()
    assert not here.stop.now.is_set()
    now += 1
    assert patience.tick()
    assert here.stop.now.is_set()
    here.running = None
    assert not patience.tick()
