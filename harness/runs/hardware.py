"""The machine of a run: hardware, system, versions, and the harness's own commit."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.engines.nvidia import Gpu
from harness.host.capacity import usable_cores, usable_memory

if TYPE_CHECKING:
    from harness.runs.outcome import ShardFigures


def describe_hardware(gpus: Sequence[Gpu], per_gpu: int = 1) -> dict[str, Any]:
    """Return processor, usable cores and memory (bytes), system, and the GPUs used with the driver's version.

    Parameters
    ----------
    gpus
        The GPUs.
    per_gpu
        Containers that share each of them; ``containers_per_gpu`` where there are several.
    """
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
        if per_gpu > 1:
            record["containers_per_gpu"] = per_gpu
    return record


def hosts_of(shards: Mapping[str, ShardFigures]) -> dict[str, Any]:
    """Return what the record of a run says of the hosts that its shards ran on.

    Parameters
    ----------
    shards
        Their figures.

    Returns
    -------
    dict
        ``hardware``: that of one host, with the GPUs of all; ``engine``: that of all hosts, where it is the same; and
        ``hosts``, one entry a host, where there are several. Empty where no shard has run.
    """
    ran = [shard for shard in shards.values() if shard.containers]
    if not ran:
        return {}
    hosts: dict[str, dict[str, Any]] = {}
    for shard in ran:
        host = hosts.setdefault(
            shard.node, {"node": shard.node, "engine": dict(shard.engine), "hardware": {}, "shards": 0}
        )
        host["hardware"] = _with_gpus(host["hardware"] or shard.hardware, shard.hardware)
        host["shards"] += 1
    hardware: dict[str, Any] = {}
    for host in hosts.values():
        hardware = _with_gpus(hardware or host["hardware"], host["hardware"])
    engines = [host["engine"] for host in hosts.values()]
    return {
        "hardware": hardware,
        **({"engine": engines[0]} if len(hosts) > 1 and all(engine == engines[0] for engine in engines) else {}),
        **({"hosts": list(hosts.values())} if len(hosts) > 1 else {}),
    }


def _with_gpus(hardware: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return hardware with the GPUs of another description that it does not have yet."""
    gpus = {gpu["id"]: gpu for gpu in [*hardware.get("gpus", []), *other.get("gpus", [])]}
    return {**hardware, **({"gpus": list(gpus.values())} if gpus else {})}


def describe_harness() -> dict[str, Any]:
    """Return the versions of groundbench and of the libraries its numbers depend on, and its git commit if any."""
    names = ("groundbench", "numpy", "scipy", "nibabel", "zlib-ng", "connected-components-3d")
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
