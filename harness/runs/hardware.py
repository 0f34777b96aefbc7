"""The machine of a run: hardware, system, versions, and the harness's own commit."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.engines.nvidia import Gpu
from harness.host.capacity import usable_cores, usable_memory


def describe_hardware(gpus: Sequence[Gpu]) -> dict[str, Any]:
    """Return processor, usable cores and memory (bytes), system, and the GPUs used with the driver's version."""
    record: dict[str, Any] = {
        "cpu": _cpu_name(),
        "cores": usable_cores(),
        "memory_bytes": usable_memory(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
    }
    if gpus:
        record["gpus"] = [{"id": gpu.id, "name": gpu.name, "memory_mb": gpu.memory_mb} for gpu in gpus]
        record["driver"] = _first_line("/proc/driver/nvidia/version")
    return record


def describe_harness() -> dict[str, Any]:
    """Return the versions of groundbench and of the libraries its numbers depend on, and its git commit if any."""
    names = ("groundbench", "numpy", "scipy", "nibabel", "zlib-ng")
    record: dict[str, Any] = {"python": platform.python_version()}
    record.update({name: importlib.metadata.version(name) for name in names})
    commit = _git("rev-parse", "HEAD")
    if commit:
        record["commit"] = commit
        record["modified"] = bool(_git("status", "--porcelain", "--untracked-files=no"))
    return record


def _git(*arguments: str) -> str:
    """Return git's answer about the checkout of this code; empty outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return ""
    try:
        answer = subprocess.run(
            ["git", "-C", str(root), *arguments],  # noqa: S607 - git is found on PATH
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.strip()


def _cpu_name() -> str:
    for line in _lines("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def _first_line(path: str) -> str:
    return next(iter(_lines(path)), "")


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
