"""The memory of GPUs is read from outside, beyond what was in use before, and is unknown where nobody counts it."""

from __future__ import annotations

import ctypes
from typing import Any, cast

import pytest

from harness.engines import device_memory
from harness.engines.device_memory import DeviceMemory, busy_share, used_bytes


def test_the_peak_is_beyond_what_was_used_before() -> None:
    """Of several GPUs that of the hungriest; a later lower use changes nothing."""
    use: dict[str, int | None] = {"GPU-a": 100, "GPU-b": 500}
    memory = DeviceMemory(["GPU-a", "GPU-b"], use.get)
    assert memory.peak_bytes is None
    for a, b in [(100, 500), (900, 600), (200, None)]:
        use |= {"GPU-a": a, "GPU-b": b}
        memory.sample()
    assert memory.peak_bytes == 800


def test_the_share_of_computing_is_the_mean_of_what_was_seen() -> None:
    """Over all samples and GPUs; unknown where the driver never tells."""
    busy: dict[str, float | None] = {"GPU-a": 1.0, "GPU-b": None}
    memory = DeviceMemory(["GPU-a", "GPU-b"], lambda _: None, busy.get)
    assert memory.busy_share is None
    memory.sample()
    busy["GPU-a"] = 0.5
    memory.sample()
    assert (memory.busy_share, memory.peak_bytes) == (0.75, None)


def test_without_a_driver_it_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """No library, no GPU: None, never 0."""
    monkeypatch.setattr(device_memory, "_LIBRARY", "libgroundbench-has-no-such-library.so")
    device_memory._nvml.cache_clear()
    memory = DeviceMemory(["GPU-a"])
    memory.sample()
    assert (memory.peak_bytes, memory.busy_share) == (None, None)
    device_memory._nvml.cache_clear()


def test_nvml_is_asked_by_uuid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Handle, then memory; an error code of either is unknown."""

    class Library:
        handles = 0
        memories = 0

        def nvmlDeviceGetHandleByUUID(self, uuid: bytes, _handle: object) -> int:  # noqa: N802 - NVML's name
            assert uuid == b"GPU-a"
            return self.handles

        def nvmlDeviceGetMemoryInfo(self, _handle: object, memory: Any) -> int:  # noqa: N802 - NVML's name
            cast("Any", ctypes.cast(memory, ctypes.POINTER(device_memory._Memory))).contents.used = 7
            return self.memories

        def nvmlDeviceGetUtilizationRates(self, _handle: object, rates: Any) -> int:  # noqa: N802 - NVML's name
            cast("Any", ctypes.cast(rates, ctypes.POINTER(device_memory._Utilization))).contents.gpu = 40
            return self.memories

    library = Library()
    monkeypatch.setattr(device_memory, "_nvml", lambda: library)
    assert (used_bytes("GPU-a"), busy_share("GPU-a")) == (7, 0.4)
    library.memories = 3
    assert (used_bytes("GPU-a"), busy_share("GPU-a")) == (None, None)
    library.handles, library.memories = 6, 0
    assert used_bytes("GPU-a") is None
