"""What ``nvidia-smi`` says about this host: its GPUs, their memory, the driver's CUDA; its complaints word for word."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

#: Seconds for one answer; without persistence mode the driver first wakes every GPU.
TIMEOUT_S = 30.0

#: In this order: a tool that knows fewer columns leaves the last ones unknown.
_COLUMNS = ("index", "uuid", "name", "memory.total", "memory.free", "driver_version")

#: In place of a number: the driver does not count this. Any other word in its place says that the GPU is broken.
_NOT_COUNTED = ("n/a", "not supported", "not available", "insufficient permissions")

#: A GPU with at least this share of its memory free is idle: the driver and a desktop take some of it.
_IDLE = 0.9

#: Gigabytes in the name of a MIG profile, counted as in the names of cards.
_PROFILE = re.compile(r"\d+g\.(\d+)gb")
_MIB_IN_NAMED_GB = 1000

_LISTED_GPU = re.compile(r"GPU (\d+): .*\(UUID: (\S+)\)")
_LISTED_MIG = re.compile(r"\s+MIG (\S+)\s+Device\s+(\d+): \(UUID: (\S+)\)")
_CUDA = re.compile(r"CUDA (?:UMD )?Version\s*:\s*(\d+(?:\.\d+)?)")

#: The first driver branch of each major version of CUDA (CUDA compatibility, "minor version compatibility").
FIRST_DRIVERS = {"13": 580, "12": 525, "11": 450}


@dataclass(frozen=True)
class Gpu:
    """One GPU, or one MIG device of a GPU that is divided.

    Attributes
    ----------
    id
        Its UUID, ``GPU-…`` or ``MIG-…``.
    name
        Its name; of a MIG device with the profile.
    memory_mb, free_mb
        All of its memory and what is free of it, MiB; None where the driver does not count it.
    index
        Its number in ``nvidia-smi``; ``0:1`` is MIG device 1 of GPU 0. Empty where unknown.
    said
        The driver's word in the place of its memory, such as ``[N/A]``; empty where it gave a number.
    whole
        UUID of the GPU that a MIG device is part of; empty for a whole GPU.
    """

    id: str
    name: str
    memory_mb: int | None
    free_mb: int | None = None
    index: str = ""
    said: str = ""
    whole: str = ""

    @property
    def number(self) -> str:
        """Number of the whole GPU in ``nvidia-smi``."""
        return self.index.partition(":")[0]

    @property
    def broken(self) -> bool:
        """Whether the driver reports a fault in the place of its memory: lost, in need of a reset."""
        return bool(self.said) and self.said.strip("[]").casefold() not in _NOT_COUNTED

    @property
    def occupied(self) -> bool:
        """Whether other programs are known to use more of its memory than a desktop does."""
        return self.memory_mb is not None and self.free_mb is not None and self.free_mb < _IDLE * self.memory_mb

    def __str__(self) -> str:
        place = f"GPU {self.index}" if self.index else "GPU"
        return f"{place} ({self.name}, {self.id})"


@dataclass(frozen=True)
class Driver:
    """The driver's answer.

    Attributes
    ----------
    gpus
        Its GPUs, in its order; of a divided one its MIG devices.
    problem
        The reason why there are none, or not all, in the driver's own words; empty where all is well.
    version
        Its version; empty where unknown.
    """

    gpus: tuple[Gpu, ...] = ()
    problem: str = ""
    version: str = ""


def ask_driver() -> Driver:
    """Return what the NVIDIA driver reports about this host; never raises: a complaint is an answer."""
    answer = _nvidia_smi(f"--query-gpu={','.join(_COLUMNS)}", "--format=csv,noheader,nounits")
    rows: list[list[str]] = []
    said: list[list[str]] = []
    for line in answer.lines:
        cells = [cell.strip() for cell in line.split(",")]
        (rows if len(cells) >= 3 and cells[0].isdigit() and cells[1][:1].isalpha() else said).append(cells)
    gpus = [_gpu(cells) for cells in rows]
    problem = answer.problem
    if not problem and not gpus:
        text = "; ".join(", ".join(cells) for cells in said)[:500]
        problem = f"nvidia-smi answers {text!r}, which is not a list of GPUs" if text else "nvidia-smi lists no GPU"
    versions = [cells[5] for cells in rows if len(cells) > 5]
    return Driver(tuple(_divided(gpus)) if gpus else (), problem, versions[0] if versions else "")


def driver_cuda() -> str:
    """Return the newest CUDA that the driver runs, such as ``12.4``; empty where it is unknown.

    Where ``nvidia-smi`` does not state it, the major version follows from that of the driver.
    """
    found = _CUDA.search("\n".join(_nvidia_smi().lines))
    if found:
        return found[1]
    branch = ask_driver().version.partition(".")[0]
    return next((cuda for cuda, first in FIRST_DRIVERS.items() if branch.isdigit() and int(branch) >= first), "")


def _gpu(cells: list[str]) -> Gpu:
    index, uuid, name, *rest = cells
    total, free = [*rest, "", ""][:2]
    memory_mb, free_mb = _mib(total), _mib(free)
    return Gpu(uuid, name, memory_mb, free_mb, index, said="" if memory_mb is not None or not total else total)


def _mib(cell: str) -> int | None:
    return int(float(cell)) if re.fullmatch(r"\d+(\.\d+)?", cell) else None


def _divided(gpus: list[Gpu]) -> list[Gpu]:
    """Return the list with the MIG devices of each divided GPU in its place."""
    parts: dict[str, list[Gpu]] = {}
    known = {gpu.id: gpu for gpu in gpus}
    whole = None
    for line in _nvidia_smi("-L").lines:
        if gpu := _LISTED_GPU.match(line):
            whole = known.get(gpu[2])
        elif (mig := _LISTED_MIG.match(line)) and whole is not None:
            profile = _PROFILE.search(mig[1])
            memory_mb = int(profile[1]) * _MIB_IN_NAMED_GB if profile else None
            parts.setdefault(whole.id, []).append(
                replace(
                    whole,
                    id=mig[3],
                    name=f"{whole.name} MIG {mig[1]}",
                    memory_mb=memory_mb,
                    free_mb=None,
                    index=f"{whole.index}:{mig[2]}",
                    whole=whole.id,
                )
            )
    return [part for gpu in gpus for part in parts.get(gpu.id, [gpu])]


@dataclass(frozen=True)
class _Answer:
    lines: tuple[str, ...] = ()
    problem: str = ""


def _nvidia_smi(*arguments: str) -> _Answer:
    """Ask the driver's tool; its output goes to a file, so that nothing that it leaves behind is waited for."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return _Answer(problem=_absent())
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                [tool, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            return _Answer(problem=f"{tool} cannot be run: {error.strerror or error}")
        try:
            code = process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1.0)  # one that the kernel holds does not end
            return _Answer(problem=f"nvidia-smi does not answer within {TIMEOUT_S:g} s")
        output.seek(0)
        text = output.read(1_000_000).decode("utf-8", "replace")
    lines = tuple(line.rstrip() for line in text.splitlines() if line.strip())
    if code == 0:
        return _Answer(lines)
    said = " ".join(" ".join(lines).split())[:500]
    return _Answer(lines, f"nvidia-smi says: {said or 'nothing'} (exit code {code})")


def _absent() -> str:
    """Return why there is no ``nvidia-smi``: one that may not be executed and a driver without the tool are named."""
    for folder in os.get_exec_path():
        if (found := Path(folder, "nvidia-smi")).is_file():
            return f"{found} cannot be run: it may not be executed by this user"
    loaded = Path("/proc/driver/nvidia/version").exists()
    return "nvidia-smi is not on PATH" + (", although the driver's kernel module is loaded" if loaded else "")
