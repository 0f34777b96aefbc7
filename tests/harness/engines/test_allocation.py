"""What a scheduler and CUDA's variables grant comes before what a machine has; what they contradict is refused."""

from __future__ import annotations

import pytest

from harness.engines.allocation import Allocation, allocate, select
from harness.engines.nvidia import Gpu
from harness.errors import PrerequisiteError, UsageError

WHOLE = tuple(
    Gpu(f"GPU-{number}{number}-{name}", "A100", 40_960, 40_000, str(number)) for number, name in enumerate("abcd")
)
UNLIKE = (WHOLE[0], Gpu("GPU-11-b", "T4", 15_360, 15_000, "1"))
PARTS = (
    Gpu("MIG-aa", "A100 MIG 3g.20gb", 20_000, None, "0:0", whole="GPU-00-a"),
    Gpu("MIG-ab", "A100 MIG 3g.20gb", 20_000, None, "0:1", whole="GPU-00-a"),
    WHOLE[1],
)


def _granted(listed: tuple[Gpu, ...], **environment: str) -> list[str]:
    allocation = allocate(listed, environment)
    assert bool(allocation.gpus) != bool(allocation.problem)
    return [gpu.index for gpu in allocation.gpus]


def test_without_a_variable_all_may_be_used() -> None:
    """Discovery is what is left when nothing was allocated."""
    assert allocate(WHOLE, {}) == Allocation(WHOLE, WHOLE)


@pytest.mark.parametrize(
    ("value", "granted"),
    [
        ("1", "1"),
        ("2,0", "02"),
        ("GPU-11-b", "1"),
        ("GPU-2", "2"),
        ("gpu-3", "3"),
        ("0,2,-1,1", "02"),
        ("0,9,1", "0"),
        ("0,GPU-11-b", "0"),
        ("GPU-11-b,0", "1"),
        ("GPU-11-b,MIG-aa", "1"),
        (" 1 , 2 ", "12"),
        ("", ""),
        ("-1", ""),
        ("NoDevFiles", ""),
        ("9", ""),
        ("0,0", ""),
        ("1,GPU-11-b,1", "1"),
        ("GPU-11-b,GPU-1", ""),
        ("GPU-", ""),
        ("none", ""),
    ],
)
def test_cuda_visible_devices_is_read_as_cuda_does(value: str, granted: str) -> None:
    """All before the first invalid entry; nothing where one is repeated, ambiguous, or nothing is named."""
    assert _granted(WHOLE, CUDA_VISIBLE_DEVICES=value) == list(granted)


def test_the_reason_names_variable_and_value() -> None:
    """Also where entries were ignored, and where the variable is empty."""
    assert allocate(WHOLE, {"CUDA_VISIBLE_DEVICES": ""}).problem == (
        "CUDA_VISIBLE_DEVICES is set, but empty: it grants no GPU"
    )
    assert allocate(WHOLE, {"CUDA_VISIBLE_DEVICES": "0,9,1"}).by == (
        "CUDA_VISIBLE_DEVICES=0,9,1 (nvidia-smi lists no 9: CUDA ignores it and what follows)"
    )
    assert allocate(WHOLE, {"CUDA_VISIBLE_DEVICES": "0,0"}).problem == (
        "CUDA_VISIBLE_DEVICES=0,0 names 0 twice, which grants no GPU to CUDA"
    )


@pytest.mark.parametrize(
    ("environment", "granted"),
    [
        ({"SLURM_JOB_GPUS": "1"}, "1"),
        ({"SLURM_JOB_GPUS": "1,2", "SLURM_STEP_GPUS": "2"}, "2"),
        ({"SLURM_JOB_GPUS": "1-3"}, "123"),
        ({"SLURM_JOB_GPUS": "1,2", "CUDA_VISIBLE_DEVICES": "1,2", "GPU_DEVICE_ORDINAL": "1,2"}, "12"),
        ({"SLURM_JOB_GPUS": "1,2", "CUDA_VISIBLE_DEVICES": "2"}, "2"),
        ({"GPU_DEVICE_ORDINAL": "3"}, "3"),
        ({"SLURM_JOB_ID": "7", "CUDA_VISIBLE_DEVICES": "3"}, "3"),
        ({"SLURM_JOB_ID": "7", "SLURM_JOB_GPUS": "0"}, "0"),
        ({"NVIDIA_VISIBLE_DEVICES": "all"}, "0123"),
        ({"NVIDIA_VISIBLE_DEVICES": "void"}, "0123"),
        ({"NVIDIA_VISIBLE_DEVICES": "/var/run/nvidia-container-devices"}, "0123"),
        ({"NVIDIA_VISIBLE_DEVICES": "2,GPU-00-a"}, "02"),
        ({"NVIDIA_VISIBLE_DEVICES": "none"}, ""),
        ({"SLURM_JOB_ID": "7"}, ""),
        ({"SLURM_JOB_ID": "7", "SLURM_JOB_GPUS": ""}, ""),
        ({"SLURM_JOB_GPUS": "7"}, ""),
    ],
)
def test_numbers_of_the_host(environment: dict[str, str], granted: str) -> None:
    """The step before the job; CUDA's variable narrows it; a job without GPUs takes none of the others'."""
    assert _granted(WHOLE, **environment) == list(granted)


@pytest.mark.parametrize(
    ("environment", "granted"),
    [
        ({"SLURM_JOB_GPUS": "2,3", "CUDA_VISIBLE_DEVICES": "0,1"}, "01"),
        ({"SLURM_JOB_GPUS": "2,3", "CUDA_VISIBLE_DEVICES": "1"}, "1"),
        ({"SLURM_JOB_GPUS": "2,3", "SLURM_STEP_GPUS": "3"}, "1"),
        ({"NVIDIA_VISIBLE_DEVICES": "4,5"}, "01"),
    ],
)
def test_a_job_that_sees_its_own_only_counts_anew(environment: dict[str, str], granted: str) -> None:
    """Where no more are listed than were granted, the list is the allocation, whatever the host's numbers."""
    assert _granted(WHOLE[:2], **environment) == list(granted)


def test_two_that_contradict_grant_nothing() -> None:
    """The refusal names both."""
    said = allocate(WHOLE, {"SLURM_JOB_GPUS": "1", "CUDA_VISIBLE_DEVICES": "0"})
    assert (said.gpus, said.problem) == ((), "SLURM_JOB_GPUS=1 and CUDA_VISIBLE_DEVICES=0 have no GPU in common")


def test_unlike_gpus_are_not_counted_the_fastest_first() -> None:
    """CUDA's own order is unknown here: a number is refused unless the order is the bus's, or all are named."""
    assert "CUDA_DEVICE_ORDER=PCI_BUS_ID" in allocate(UNLIKE, {"CUDA_VISIBLE_DEVICES": "1"}).problem
    assert _granted(UNLIKE, CUDA_VISIBLE_DEVICES="1", CUDA_DEVICE_ORDER="PCI_BUS_ID") == ["1"]
    assert _granted(UNLIKE, CUDA_VISIBLE_DEVICES="1,0") == ["0", "1"]
    assert _granted(UNLIKE, CUDA_VISIBLE_DEVICES="GPU-11-b") == ["1"]
    assert _granted(UNLIKE, CUDA_VISIBLE_DEVICES="1", SLURM_JOB_GPUS="1") == ["1"]


@pytest.mark.parametrize(
    ("environment", "granted"),
    [
        ({"CUDA_VISIBLE_DEVICES": "MIG-ab"}, ["0:1"]),
        ({"CUDA_VISIBLE_DEVICES": "MIG-aa,MIG-ab"}, ["0:0", "0:1"]),
        ({"CUDA_VISIBLE_DEVICES": "MIG-a"}, []),
        ({"CUDA_VISIBLE_DEVICES": "0"}, ["0:0", "0:1"]),
        ({"CUDA_VISIBLE_DEVICES": "GPU-00-a"}, ["0:0", "0:1"]),
        ({"NVIDIA_VISIBLE_DEVICES": "0:1"}, ["0:1"]),
        ({"SLURM_JOB_GPUS": "1"}, []),
    ],
)
def test_parts_of_a_gpu(environment: dict[str, str], granted: list[str]) -> None:
    """A MIG device by its UUID; the whole GPU grants its parts; Slurm's count of parts is not known."""
    assert _granted(PARTS, **environment) == granted


@pytest.mark.parametrize(
    ("name", "index"),
    [("1", "1"), ("GPU-11-b", "1"), ("GPU-1", "1"), ("MIG-ab", "0:1"), ("0:1", "0:1"), ("mig-aa", "0:0")],
)
def test_a_gpu_is_named_by_number_uuid_or_prefix(name: str, index: str) -> None:
    """As `nvidia-smi -L` prints them; a prefix must be of one only."""
    assert [gpu.index for gpu in select([name], allocate(PARTS, {}))] == [index]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["0"], "'0' is divided into GPU 0:0"),
        (["MIG-a"], "'MIG-a' is divided into GPU 0:0"),
        (["G"], "'G' may be any of GPU 0:0"),
        (["9"], "no GPU is named '9'"),
        (["GPU-9"], "no GPU is named 'GPU-9'"),
        (["1", "GPU-11-b"], "'1' and 'GPU-11-b' are both GPU 1"),
    ],
)
def test_a_name_that_fits_none_or_several_is_a_slip(names: list[str], said: str) -> None:
    """The candidates are listed."""
    with pytest.raises(UsageError, match=said):
        select(names, allocate(PARTS, {}))


def test_a_gpu_of_somebody_else_is_not_taken_by_its_name() -> None:
    """Naming it is no allocation."""
    with pytest.raises(PrerequisiteError, match=r"GPU 0 .* is not granted to this process: CUDA_VISIBLE_DEVICES=1"):
        select(["0"], allocate(WHOLE, {"CUDA_VISIBLE_DEVICES": "1"}))
