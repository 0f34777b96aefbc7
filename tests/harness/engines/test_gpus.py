"""GPUs that are granted, work and have room are leased, and nobody shares them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.engines.gpus import lease, require_gpus
from harness.errors import PrerequisiteError, UsageError

TWO = "echo '0, GPU-a, H100, 81559, 81000, 580.1'; echo '1, GPU-b, RTX 4090, 24564, 24000, 580.1'"
BUSY = "echo '0, GPU-a, H100, 81559, 3000, 580.1'; echo '1, GPU-b, RTX 4090, 24564, 24000, 580.1'"


def test_too_many_and_unknown_ones_are_refused(driver: Callable[[str], Path]) -> None:
    """The one is a lack of the machine, the other a slip of the user's."""
    driver(TWO)
    with pytest.raises(PrerequisiteError, match="3 GPUs requested: this machine has 2 GPUs"):
        require_gpus(3)
    with pytest.raises(UsageError, match="GPU-c"):
        require_gpus(1, ["GPU-c"])


def test_fewer_granted_than_asked_names_the_variable(
    driver: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the machine has besides is somebody else's."""
    driver(TWO)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-b")
    assert [gpu.id for gpu in require_gpus(1)] == ["GPU-b"]
    with pytest.raises(PrerequisiteError, match="CUDA_VISIBLE_DEVICES=GPU-b grants 1 of this machine's 2 GPUs"):
        require_gpus(2)


def test_the_drivers_words_are_the_refusal(driver: Callable[[str], Path]) -> None:
    """A broken driver is not a machine without GPUs."""
    driver("echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18")
    with pytest.raises(PrerequisiteError, match="1 GPU requested: nvidia-smi says: Failed to initialize NVML: Driver"):
        require_gpus(1)


def test_without_gpus_the_driver_is_not_asked(driver: Callable[[str], Path], tmp_path: Path) -> None:
    """A run on the CPU has nothing to do with it."""
    driver(f"touch {tmp_path}/asked")
    assert require_gpus(0) == []
    assert not (tmp_path / "asked").exists()


def test_an_idle_gpu_comes_before_one_in_use(driver: Callable[[str], Path]) -> None:
    """Whose memory is taken is known from the free memory, not from the total."""
    driver(BUSY)
    assert [gpu.id for gpu in require_gpus(1)] == ["GPU-b", "GPU-a"]
    with lease(1) as leased:
        assert leased[0].id == "GPU-b"


def test_memory_that_others_use_is_not_there(driver: Callable[[str], Path]) -> None:
    """Both numbers are told; an idle card is held to its total, of which the driver takes a little."""
    driver(BUSY)
    assert [gpu.id for gpu in require_gpus(1, memory_mb=24_500)] == ["GPU-b"]
    with pytest.raises(PrerequisiteError) as raised:
        require_gpus(1, memory_mb=30_000)
    assert raised.value.message == (
        "1 GPU requested, with at least 30 GB as the model needs: 0 of 2 can be used: GPU 0 (H100, GPU-a) has "
        "3 GB of 81.6 GB free, other programs use the rest; GPU 1 (RTX 4090, GPU-b) has 24.6 GB"
    )


def test_memory_that_is_unknown_does_not_refuse(driver: Callable[[str], Path]) -> None:
    """One memory for processor and GPU cannot be compared with a need."""
    driver("echo '0, GPU-a, NVIDIA GB10, [N/A], [N/A], 580.1'")
    assert [gpu.id for gpu in require_gpus(1, memory_mb=24_000)] == ["GPU-a"]


def test_a_broken_gpu_is_not_leased(driver: Callable[[str], Path]) -> None:
    """The good one is taken; where it does not suffice, the refusal has the driver's word for the other."""
    driver("echo '0, GPU-a, H100, [GPU is lost], [GPU is lost], 580.1'; echo '1, GPU-b, H100, 81559, 81000, 580.1'")
    assert [gpu.id for gpu in require_gpus(1)] == ["GPU-b"]
    with pytest.raises(PrerequisiteError, match=r"GPU 0 \(H100, GPU-a\): nvidia-smi says \[GPU is lost\]"):
        require_gpus(2)


def test_a_leased_gpu_is_nobody_elses(driver: Callable[[str], Path]) -> None:
    """The second lease gets the other GPU, the third none, and all are free afterwards."""
    driver(TWO)
    with lease(1) as first, lease(1) as second:
        assert {first[0].id, second[0].id} == {"GPU-a", "GPU-b"}
        with pytest.raises(PrerequisiteError), lease(1):
            pass
    with lease(2) as both:
        assert len(both) == 2
