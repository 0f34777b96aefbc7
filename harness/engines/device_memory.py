"""Peak memory of the GPUs of a container, as the driver's library (NVML) counts it; unknown where there is none.

It is read from outside while the container runs. The GPUs are leased to it alone, so what was in use before it started
is not its own, and everything beyond that is.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable, Sequence
from functools import cache

#: NVML's name on Linux; the driver brings it.
_LIBRARY = "libnvidia-ml.so.1"


class _Memory(ctypes.Structure):
    """``nvmlMemory_t``: bytes."""

    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


class _Utilization(ctypes.Structure):
    """``nvmlUtilization_t``: per cent of the driver's last sample in which a kernel ran, and in which memory moved."""

    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


class DeviceMemory:
    """The peak use of the memory of some GPUs, and the share of the time in which they compute, from now on.

    Parameters
    ----------
    gpu_ids
        Their UUIDs, ``GPU-…`` or ``MIG-…``.
    used
        Returns the bytes of a GPU that are in use; None where the driver does not tell.
    busy
        Returns the share of the last moment in which a GPU computed; None where the driver does not tell.

    Attributes
    ----------
    peak_bytes
        The largest use so far of any one of them, beyond what was in use at the beginning; None where unknown.
    """

    def __init__(
        self,
        gpu_ids: Sequence[str],
        used: Callable[[str], int | None] | None = None,
        busy: Callable[[str], float | None] | None = None,
    ) -> None:
        self._used, self._busy = used or used_bytes, busy or busy_share
        self._seen: list[float] = []
        self._before = {gpu: self._used(gpu) for gpu in gpu_ids}
        self.peak_bytes: int | None = None

    def sample(self) -> None:
        """Read the use again."""
        for gpu, before in self._before.items():
            now = self._used(gpu)
            if before is not None and now is not None:
                self.peak_bytes = max(self.peak_bytes or 0, now - before)
            if (share := self._busy(gpu)) is not None:
                self._seen.append(share)

    @property
    def busy_share(self) -> float | None:
        """The mean share of the time in which the GPUs computed, from 0 to 1; None where unknown."""
        return sum(self._seen) / len(self._seen) if self._seen else None


def busy_share(gpu: str) -> float | None:
    """Return the share of the driver's last sample in which a GPU computed, from 0 to 1; None where NVML does not tell.

    Parameters
    ----------
    gpu
        Its UUID. Of a part of a GPU (MIG) the driver does not tell.
    """
    library, handle, rates = _nvml(), ctypes.c_void_p(), _Utilization()
    if library is None or library.nvmlDeviceGetHandleByUUID(gpu.encode(), ctypes.byref(handle)):
        return None
    return None if library.nvmlDeviceGetUtilizationRates(handle, ctypes.byref(rates)) else rates.gpu / 100


def used_bytes(gpu: str) -> int | None:
    """Return the bytes of a GPU's memory that are in use, by all programs; None where NVML does not tell.

    Parameters
    ----------
    gpu
        Its UUID.
    """
    library, handle, memory = _nvml(), ctypes.c_void_p(), _Memory()
    if library is None or library.nvmlDeviceGetHandleByUUID(gpu.encode(), ctypes.byref(handle)):
        return None
    return None if library.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)) else int(memory.used)


@cache
def _nvml() -> ctypes.CDLL | None:
    """Load and initialise NVML once; None where there is no driver."""
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(_LIBRARY)
        if library.nvmlInit_v2() == 0:
            return library
    return None
