"""The resources of one container of a model, in the units that people use."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import Annotated, Any, Self, TypeVar

from harness.registry.constraints import FLAG, check, number, whole

_MIB_IN_GB = 1024
_S_IN_MINUTE = 60.0
#: A graphics card reports some per cent less than the gigabytes in its name, counted in 1,024 MiB each: 24,564 MiB or,
#: where memory is spent on error correction, 23,028 MiB for 24 GB.
_MIB_IN_GPU_GB = 1000

#: Fields of version 0.1, in MiB and seconds: each with today's field and how many of its units are one of that.
_EARLIER = {
    **{f"{name}_mb": (f"{name}_gb", _MIB_IN_GB) for name in ("memory", "shm", "tmp", "out")},
    **{f"{name}_timeout_s": (f"{name}_minutes", _S_IN_MINUTE) for name in ("start", "case", "stall")},
    "gpu_memory_mb": ("gpu_gb", _MIB_IN_GPU_GB),
}

_Kind = TypeVar("_Kind")


def _reads_earlier_fields(kind: type[_Kind]) -> type[_Kind]:
    """Let a declaration that was written for version 0.1 state its limits in the units of that time."""
    today = kind.__init__

    @functools.wraps(today)
    def init(self: _Kind, *values: Any, **fields: Any) -> None:
        for name in fields.keys() & _EARLIER.keys():
            now, units = _EARLIER[name]
            if now in fields:
                raise TypeError(f"{name} and {now} are the same limit in two units; state one of them")
            value = fields.pop(name)
            fields[now] = value / units if isinstance(value, int | float) else value
        today(self, *values, **fields)

    kind.__init__ = init  # type: ignore[method-assign, assignment]
    return kind


@_reads_earlier_fields
@dataclass(frozen=True)
class Resources:
    """The resources of one container of a model; the limits are absolute and enforced.

    Parameters
    ----------
    memory_gb
        Memory of the container, temporary files and shared memory included, in units of 1,024 MiB
        as engines count; so are the three other sizes.
    cpus
        CPU cores.
    pids
        Processes and threads.
    shm_gb
        Size of ``/dev/shm`` (data loaders need it).
    tmp_gb
        Size of ``/tmp``.
    gpus
        GPUs that one container needs; 0 for a model that runs on the CPU. A container that trains may get more: its
        memory, shared memory, cores and pids then grow in proportion.
    out_gb
        Size limit of the container's output folder.
    start_minutes
        From the container's ``started`` event until its model is loaded (imports and weights).
    case_minutes
        For one case.
    exec_tmp
        Whether files in ``/tmp`` may be executed (just-in-time compilers need it).
    gpu_gb
        Memory that each GPU must have, as in the names of cards: 1,000 MiB a gigabyte, because a card reports a little
        less than its name says. Checked before a run that uses GPUs; 0 for no requirement.
    stall_minutes
        Between two ``train`` events of a container that fine-tunes.
    """

    memory_gb: Annotated[float, number(1 / 16, 10**6)] = 4.0
    cpus: Annotated[float, number(0.01, 10**6)] = 2.0
    pids: Annotated[int, whole(1)] = 256
    shm_gb: Annotated[float, number(1 / 1024, 10**6)] = 1 / 16
    tmp_gb: Annotated[float, number(1 / 1024, 10**6)] = 0.5
    gpus: Annotated[int, whole(0, 64)] = 0
    out_gb: Annotated[float, number(1 / 1024, 10**6)] = 1.0
    start_minutes: Annotated[float, number(0.001, 10**6)] = 2.0
    case_minutes: Annotated[float, number(0.001, 10**6)] = 10.0
    exec_tmp: Annotated[bool, FLAG] = False
    gpu_gb: Annotated[float, number(0, 10**6)] = 0.0
    stall_minutes: Annotated[float, number(0.001, 10**6)] = 30.0

    def __post_init__(self) -> None:
        check(self, "resources.")

    @classmethod
    def training(cls, *, gpus: int = 1, stall_minutes: float = 240.0, **limits: Any) -> Self:
        """Return the limits of a container that fine-tunes, with the defaults of a training on GPUs.

        Parameters
        ----------
        gpus
            GPUs that one container needs.
        stall_minutes
            Between two ``train`` events: four hours, because a validation reports only when all its cases are done.
        limits
            The other fields.
        """
        return cls(gpus=gpus, stall_minutes=stall_minutes, **limits)

    def on(self, gpus: int) -> Self:
        """Return the limits of a container with so many GPUs.

        Parameters
        ----------
        gpus
            GPUs that it gets. For more than `gpus`, which these limits are for, memory, shared memory, cores, processes
            and threads grow in proportion: each GPU has a process of its own, with loaders of its own.
        """
        share = max(1.0, gpus / max(1, self.gpus))
        grown = {name: getattr(self, name) * share for name in ("memory_gb", "shm_gb", "cpus")}
        return replace(self, pids=math.ceil(self.pids * share), **grown) if share > 1 else self

    @property
    def memory_mb(self) -> int:
        """Memory in MiB."""
        return round(self.memory_gb * _MIB_IN_GB)

    @property
    def shm_mb(self) -> int:
        """Size of ``/dev/shm`` in MiB."""
        return round(self.shm_gb * _MIB_IN_GB)

    @property
    def tmp_mb(self) -> int:
        """Size of ``/tmp`` in MiB."""
        return round(self.tmp_gb * _MIB_IN_GB)

    @property
    def out_mb(self) -> int:
        """Size limit of the output folder, in MiB."""
        return round(self.out_gb * _MIB_IN_GB)

    @property
    def gpu_memory_mb(self) -> int:
        """Memory that each GPU must report, in MiB."""
        return round(self.gpu_gb * _MIB_IN_GPU_GB)

    @property
    def start_timeout_s(self) -> float:
        """Seconds until the model must be loaded."""
        return self.start_minutes * _S_IN_MINUTE

    @property
    def case_timeout_s(self) -> float:
        """Seconds for one case."""
        return self.case_minutes * _S_IN_MINUTE

    @property
    def stall_timeout_s(self) -> float:
        """Seconds between two ``train`` events."""
        return self.stall_minutes * _S_IN_MINUTE

    def limits(self) -> dict[str, Any]:
        """Return the limits as a run's record names them: MiB and seconds."""
        names = ("memory_mb", "cpus", "pids", "shm_mb", "tmp_mb", "gpus", "out_mb", "start_timeout_s", "case_timeout_s")
        limits = {name: getattr(self, name) for name in (*names, "exec_tmp", "gpu_memory_mb", "stall_timeout_s")}
        return {**limits, "cpus": float(self.cpus)}
