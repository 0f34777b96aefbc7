"""Sizes in words: the one unit, gigabytes, of everything that is printed for people."""

from __future__ import annotations

_MIB_IN_GPU_GB = 1000


def size(value: float) -> str:
    """Return a number of bytes in kB, MB or GB: powers of 1,000, as disks and downloads are counted."""
    if value < 1e6:
        return f"{value / 1e3:.0f} kB"
    return f"{value / 1e6:.0f} MB" if value < 1e9 else f"{value / 1e9:.1f} GB"


def gpu_size(mib: float) -> str:
    """Return the memory of a GPU, which drivers count in MiB, as the names of cards do: 1,000 MiB a gigabyte."""
    return f"{round(mib / _MIB_IN_GPU_GB, 1):g} GB"


def declared_size(mib: float) -> float:
    """Return a limit in MiB as a declaration states it, in its field that ends in ``_gb``: 1,024 MiB each."""
    return mib / 1024
