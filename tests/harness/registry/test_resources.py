"""Resources are declared in people's units, enforced and recorded in MiB and seconds."""

from __future__ import annotations

import pytest

from harness import Resources


def test_limits_are_recorded_in_mib_and_seconds() -> None:
    """A gigabyte of memory has 1,024 MiB, one in the name of a card 1,000."""
    resources = Resources(memory_gb=20, cpus=4, shm_gb=0.25, gpus=1, gpu_gb=24, start_minutes=15, case_minutes=60)
    assert resources.limits() == {
        "memory_mb": 20480,
        "cpus": 4.0,
        "pids": 256,
        "shm_mb": 256,
        "tmp_mb": 512,
        "gpus": 1,
        "out_mb": 1024,
        "start_timeout_s": 900.0,
        "case_timeout_s": 3600.0,
        "exec_tmp": False,
        "gpu_memory_mb": 24000,
        "stall_timeout_s": 1800.0,
    }


def test_a_training_may_be_silent_for_hours_and_needs_a_gpu() -> None:
    """The defaults of a training are its own."""
    training = Resources.training(memory_gb=64)
    assert (training.memory_mb, training.gpus, training.stall_timeout_s) == (65_536, 1, 14_400.0)
    assert Resources.training(gpus=0, stall_minutes=5).limits() == Resources(stall_minutes=5).limits()


def test_the_limits_of_a_training_grow_with_its_gpus() -> None:
    """Memory, shared memory, cores and pids, since each GPU has a process; what it may write and its silence do not."""
    one = Resources.training(memory_gb=64, cpus=12, shm_gb=8, out_gb=50)
    assert one.on(0) == one.on(1) == one
    four = one.on(4)
    assert (four.memory_gb, four.cpus, four.shm_gb, four.pids) == (256, 48, 32, 1024)
    assert (four.out_gb, four.stall_minutes, four.gpu_gb, four.gpus) == (50, 240, 0, 1)
    assert Resources(gpus=2, pids=255).on(3).pids == 383
    assert Resources(gpus=2).on(2) == Resources(gpus=2)


def test_the_units_of_version_0_1_are_read() -> None:
    """A declaration from then states MiB and seconds; the same limit in both units is refused."""
    earlier = Resources(memory_mb=1536, case_timeout_s=90, gpu_memory_mb=24_000)  # type: ignore[call-arg]
    assert earlier == Resources(memory_gb=1.5, case_minutes=1.5, gpu_gb=24)
    assert Resources.training(out_mb=2048) == Resources.training(out_gb=2)
    with pytest.raises(TypeError, match="memory_mb and memory_gb are the same limit"):
        Resources(memory_mb=1024, memory_gb=1)  # type: ignore[call-arg]
