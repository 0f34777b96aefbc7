"""What the driver's tool says is read as far as it is an answer, and a complaint is passed on word for word."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.engines import nvidia
from harness.engines.nvidia import Gpu, ask_driver, driver_cuda

UUID = "GPU-11111111-aaaa-bbbb-cccc-00000000000"
MIG = "MIG-99999999-aaaa-bbbb-cccc-00000000000"

#: Answers as the tool gives them: two GPUs, the second in use; asked for nothing, its table.
TWO = f"""
case "$*" in
  *query-gpu*)
    echo '0, {UUID}0, NVIDIA A100, 40960, 40500, 535.104.05'
    echo '1, {UUID}1, NVIDIA A100, 40960, 2000, 535.104.05';;
  -L) echo 'GPU 0: NVIDIA A100 (UUID: {UUID}0)'; echo 'GPU 1: NVIDIA A100 (UUID: {UUID}1)';;
  *) echo '| NVIDIA-SMI 535.104.05   Driver Version: 535.104.05   CUDA Version: 12.2 |';;
esac
"""


def test_the_list_is_the_drivers(driver: Callable[[str], Path]) -> None:
    """Number, UUID, name, all and free memory in MiB, in the order of the driver."""
    driver(TWO)
    answer = ask_driver()
    assert answer.gpus == (
        Gpu(f"{UUID}0", "NVIDIA A100", 40960, 40500, "0"),
        Gpu(f"{UUID}1", "NVIDIA A100", 40960, 2000, "1"),
    )
    assert [gpu.occupied for gpu in answer.gpus] == [False, True]
    assert (answer.problem, answer.version, driver_cuda()) == ("", "535.104.05", "12.2")


@pytest.mark.parametrize("word", ["[N/A]", "[Not Supported]", "N/A", "[Insufficient Permissions]"])
def test_memory_that_is_not_counted_is_unknown(driver: Callable[[str], Path], word: str) -> None:
    """One memory for processor and GPU: the GPU is good, and its memory is no number that we made up."""
    driver(f"echo '0, {UUID}0, NVIDIA GB10, {word}, {word}, 580.1'")
    (gpu,) = ask_driver().gpus
    assert (gpu.memory_mb, gpu.free_mb, gpu.said, gpu.broken, gpu.occupied) == (None, None, word, False, False)


@pytest.mark.parametrize("word", ["[GPU is lost]", "[GPU requires reset]", "[Unknown Error]", "ERR!"])
def test_a_fault_in_the_place_of_memory_is_a_broken_gpu(driver: Callable[[str], Path], word: str) -> None:
    """The others of the machine are as good as before."""
    driver(f"echo '0, {UUID}0, NVIDIA A100, {word}, {word}, 535.1'; echo '1, {UUID}1, NVIDIA A100, 40960, 40000, 535'")
    assert [(gpu.broken, gpu.said) for gpu in ask_driver().gpus] == [(True, word), (False, "")]


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (
            "echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18",
            "nvidia-smi says: Failed to initialize NVML: Driver/library version mismatch (exit code 18)",
        ),
        (
            "echo 'Unable to determine the device handle for GPU0: GPU is lost.' >&2; exit 15",
            "nvidia-smi says: Unable to determine the device handle for GPU0: GPU is lost. (exit code 15)",
        ),
        ("echo 'No devices were found'; exit 6", "nvidia-smi says: No devices were found (exit code 6)"),
        ("exit 9", "nvidia-smi says: nothing (exit code 9)"),
        ("echo 'what?, yes'", "nvidia-smi answers 'what?, yes', which is not a list of GPUs"),
        ("printf '\\377\\376 \\001'", "nvidia-smi answers '\ufffd\ufffd \\x01', which is not a list of GPUs"),
        ("exit 0", "nvidia-smi lists no GPU"),
        ("kill -SEGV $$", "nvidia-smi says: nothing (exit code -11)"),
    ],
)
def test_a_complaint_is_passed_on(driver: Callable[[str], Path], script: str, said: str) -> None:
    """In the tool's own words, from whichever stream, with its exit code."""
    driver(script)
    answer = ask_driver()
    assert (answer.gpus, answer.problem) == ((), said)


def test_rows_beside_a_complaint_are_kept(driver: Callable[[str], Path]) -> None:
    """One lost GPU does not hide the good one; the complaint is told with it."""
    driver(
        f"echo '1, {UUID}1, NVIDIA A100, 40960, 40000, 535.1'; echo 'Unable to determine GPU0: GPU is lost'; exit 15"
    )
    answer = ask_driver()
    assert [gpu.index for gpu in answer.gpus] == ["1"]
    assert "GPU is lost" in answer.problem


def test_a_tool_that_hangs_is_not_waited_for(driver: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is a child of it that holds its output open."""
    monkeypatch.setattr(nvidia, "TIMEOUT_S", 0.2)
    driver("sleep 60 & wait")
    began = time.monotonic()
    assert ask_driver().problem == "nvidia-smi does not answer within 0.2 s"
    assert time.monotonic() - began < 5


def test_a_tool_that_cannot_be_run_is_named(driver: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """One without permission, one that is no program, and none at all are three things."""
    tool = driver("exit 0")
    tool.chmod(0o644)
    assert ask_driver().problem == f"{tool} cannot be run: it may not be executed by this user"
    tool.write_bytes(b"\x00\x01")
    tool.chmod(0o755)
    assert ask_driver().problem == f"{tool} cannot be run: Exec format error"
    tool.unlink()
    monkeypatch.setenv("PATH", str(tool.parent))
    assert ask_driver().problem.startswith("nvidia-smi is not on PATH")


def test_a_divided_gpu_is_its_parts(driver: Callable[[str], Path]) -> None:
    """MIG devices stand in the place of their GPU, with the memory in the name of their profile."""
    driver(
        f"""case "$*" in
  *query*) echo '0, {UUID}0, NVIDIA A100, 40960, 40000, 535.1'; echo '1, {UUID}1, NVIDIA A100, 40960, 40000, 535.1';;
  -L) echo 'GPU 0: NVIDIA A100 (UUID: {UUID}0)'
      echo '  MIG 3g.20gb     Device  0: (UUID: {MIG}0)'
      echo '  MIG 1c.3g.20gb  Device  1: (UUID: {MIG}1)'
      echo 'GPU 1: NVIDIA A100 (UUID: {UUID}1)';;
esac"""
    )
    assert ask_driver().gpus == (
        Gpu(f"{MIG}0", "NVIDIA A100 MIG 3g.20gb", 20_000, None, "0:0", whole=f"{UUID}0"),
        Gpu(f"{MIG}1", "NVIDIA A100 MIG 1c.3g.20gb", 20_000, None, "0:1", whole=f"{UUID}0"),
        Gpu(f"{UUID}1", "NVIDIA A100", 40960, 40000, "1"),
    )


@pytest.mark.parametrize(
    ("header", "version", "cuda"),
    [
        ("| NVIDIA-SMI 470.57.02  Driver Version: 470.57.02  CUDA Version: 11.4 |", "470.57.02", "11.4"),
        ("| NVIDIA-SMI 590.44  KMD Version: 590.44  CUDA UMD Version: 13.1 |", "590.44", "13.1"),
        ("| NVIDIA-SMI 535.1   Driver Version: 535.1   CUDA Version: N/A |", "535.1", "12"),
        ("", "580.65.06", "13"),
        ("", "[N/A]", ""),
        ("", "390.1", ""),
    ],
)
def test_cuda_is_the_drivers_word_or_follows_from_its_version(
    driver: Callable[[str], Path], header: str, version: str, cuda: str
) -> None:
    """An unknown one stays unknown."""
    driver(f"case \"$*\" in *query*) echo '0, {UUID}0, A100, 1, 1, {version}';; -L) ;; *) echo '{header}';; esac")
    assert driver_cuda() == cuda
