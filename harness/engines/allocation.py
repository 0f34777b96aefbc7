"""Which GPUs of this host a run may use: what the scheduler and CUDA's variables grant, before what is there.

Each variable that is set grants some of the listed GPUs, and a GPU may be used if every one of them grants it. Numbers
of Slurm and of the container runtime count the GPUs of the host; inside a job or a container that sees only its own,
``nvidia-smi`` lists no more than were granted, and all that it lists are granted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.engines.nvidia import Gpu
from harness.errors import PrerequisiteError, UnknownName, UsageError

#: Variables with numbers of the host, the first that is set; then those that are read as CUDA reads its own.
_SLURM = ("SLURM_STEP_GPUS", "SLURM_JOB_GPUS")
_CUDA = ("CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL")
_RUNTIME = "NVIDIA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Allocation:
    """The GPUs that a run may use.

    Attributes
    ----------
    gpus
        Those granted, in the driver's order.
    listed
        All that the driver lists.
    by
        The variables that limit the choice, such as ``CUDA_VISIBLE_DEVICES=1``; empty where none does.
    problem
        The reason why none is granted; empty where some are.
    """

    gpus: tuple[Gpu, ...] = ()
    listed: tuple[Gpu, ...] = ()
    by: str = ""
    problem: str = ""


@dataclass(frozen=True)
class _Grant:
    by: str
    gpus: tuple[Gpu, ...] = ()
    problem: str = ""


def allocate(listed: Sequence[Gpu], environment: Mapping[str, str]) -> Allocation:
    """Return which of the listed GPUs the environment grants.

    Parameters
    ----------
    listed
        All that the driver lists.
    environment
        The variables of this process.
    """
    grants = list(_grants(listed, environment))
    problem = next((grant.problem for grant in grants if grant.problem), "")
    by = " and ".join(grant.by for grant in grants)
    if not grants and "SLURM_JOB_ID" in environment:
        problem = f"Slurm gave no GPU to this job ({environment['SLURM_JOB_ID']}): SLURM_JOB_GPUS is not set"
    gpus = tuple(gpu for gpu in listed if all(gpu in grant.gpus for grant in grants))
    if not problem and not gpus and grants:
        problem = f"{by} have no GPU in common" if len(grants) > 1 else f"{by} grants no GPU"
    return Allocation(() if problem else gpus, tuple(listed), by, problem)


def select(names: Iterable[str], allocation: Allocation) -> list[Gpu]:
    """Return the GPUs that a user names: by number as ``nvidia-smi`` counts, UUID, or a prefix that only one has.

    Raises
    ------
    UsageError
        When a name fits none or several, or two names fit the same.
    PrerequisiteError
        When one exists, but is not granted to this process.
    """
    chosen: dict[str, str] = {}
    for name in names:
        found = _named(name, allocation.listed)
        if not found:
            fix = f"this machine has {', '.join(map(str, allocation.listed))}"
            raise UnknownName("GPU", name, [gpu.id for gpu in allocation.listed], fix=fix)
        if len(found) > 1:
            kind = "is divided into" if found[0].whole and len({gpu.whole for gpu in found}) == 1 else "may be any of"
            raise UsageError(f"{name!r} {kind} {', '.join(map(str, found))}", fix="name one of them by its full id")
        (gpu,) = found
        if gpu.id in chosen:
            raise UsageError(f"{chosen[gpu.id]!r} and {name!r} are both {gpu}", fix="name each GPU once")
        if gpu not in allocation.gpus:
            reason = allocation.problem or allocation.by
            raise PrerequisiteError(
                f"{gpu} is not granted to this process: {reason}",
                fix="name a granted one, or change the allocation",
                lacking="gpu",
            )
        chosen[gpu.id] = name
    known = {gpu.id: gpu for gpu in allocation.listed}
    return [known[uuid] for uuid in chosen]


def _grants(listed: Sequence[Gpu], environment: Mapping[str, str]) -> Iterable[_Grant]:
    slurm = next((name for name in _SLURM if environment.get(name)), "")
    if slurm:
        numbers = _numbers(listed, environment.get("SLURM_JOB_GPUS", ""))
        yield _of_host(slurm, environment[slurm], listed, numbers)
    for name in _CUDA:
        value = environment.get(name)
        # The scheduler's own list says the same again, whatever the order in which CUDA would count.
        if value is not None and not (slurm and value == environment[slurm]):
            fastest_first = environment.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID"
            yield _of_cuda(name, value, listed, fastest_first=fastest_first)
    runtime = environment.get(_RUNTIME, "")
    # "all" limits nothing. "void" and a folder say that the container got its GPUs in another way.
    if runtime and runtime not in ("all", "void") and not runtime.startswith("/"):
        yield _of_host(_RUNTIME, runtime, listed, _numbers(listed, ""))


def _numbers(listed: Sequence[Gpu], job: str) -> dict[str, str]:
    """Return number of the host -> number in ``nvidia-smi``, which counts anew where it lists the job's GPUs only."""
    here = _wholes(listed)
    of_job = sorted(_entries(job), key=lambda entry: (len(entry), entry))
    return dict(zip(of_job, here, strict=True)) if len(of_job) == len(here) else {number: number for number in here}


def _of_host(name: str, value: str, listed: Sequence[Gpu], numbers: Mapping[str, str]) -> _Grant:
    """Return what a list with numbers of the host grants."""
    by = f"{name}={value}"
    if value == "none":
        return _Grant(by, problem=f"{by} grants no GPU")
    entries = _entries(value)
    counted = [entry for entry in entries if entry.isdigit()]
    if len(counted) == len(entries) and len(_wholes(listed)) <= len(set(entries)):
        return _Grant(by, tuple(listed))
    divided = any(gpu.whole for gpu in listed)
    if counted and divided and name in _SLURM:
        return _Grant(
            by,
            problem=f"{by} counts GPUs that are divided (MIG), in an order that is not known; "
            "name yours by their UUIDs in CUDA_VISIBLE_DEVICES, without it",
        )
    granted: list[Gpu] = []
    for entry in entries:
        found = _named(numbers.get(entry, entry) if entry.isdigit() else entry, listed)
        if not found or (entry.isdigit() and entry not in numbers):
            return _Grant(by, problem=f"{by} names {entry}, nvidia-smi lists {_list(listed)}")
        granted += found
    return _Grant(by, tuple(granted))


def _of_cuda(name: str, value: str, listed: Sequence[Gpu], *, fastest_first: bool) -> _Grant:
    """Return what CUDA would see: all before the first invalid entry, and nothing where one is repeated."""
    by = f"{name}={value}"
    if not value.strip():
        return _Grant(by, problem=f"{name} is set, but empty: it grants no GPU")
    granted: list[Gpu] = []
    kinds: set[str] = set()
    entries = [entry.strip() for entry in value.split(",")]
    for entry in entries:
        kind = "number" if entry.isdigit() else entry[:4].upper()
        found = _named(entry, listed) if kind in ("number", "GPU-", "MIG-") else []
        if not found or len({gpu.number for gpu in found}) > 1 or (kinds and kind not in kinds):
            break
        if kind == "MIG-" and len(found) > 1:
            break
        if any(gpu in granted for gpu in found):
            return _Grant(by, problem=f"{by} names {entry} twice, which grants no GPU to CUDA")
        granted += found
        kinds.add(kind)
    else:
        entry = ""
    if not granted:
        return _Grant(by, problem=f"{by} grants no GPU; nvidia-smi lists {_list(listed)}")
    if (
        fastest_first
        and kinds == {"number"}
        and len({gpu.name.partition(" MIG ")[0] for gpu in listed}) > 1
        and set(granted) != set(listed)
    ):
        return _Grant(
            by,
            problem=f"{by} counts unlike GPUs, the fastest first: their order is not known here; "
            "set CUDA_DEVICE_ORDER=PCI_BUS_ID, or name them by their UUIDs",
        )
    ignored = f" (nvidia-smi lists no {entry}: CUDA ignores it and what follows)" if entry else ""
    return _Grant(by + ignored, tuple(granted))


def _named(name: str, listed: Sequence[Gpu]) -> list[Gpu]:
    """Return the GPUs that a number or the beginning of a UUID fits; of a divided GPU its MIG devices."""
    if re.fullmatch(r"\d+(:\d+)?", name):
        return [gpu for gpu in listed if name in (gpu.index, gpu.number)]
    if not name:
        return []
    begin = name.casefold()
    ids = [(gpu, gpu.id.casefold(), gpu.whole.casefold()) for gpu in listed]
    exact = [gpu for gpu, uuid, whole in ids if begin in (uuid, whole)]
    return exact or [gpu for gpu, uuid, whole in ids if uuid.startswith(begin) or whole.startswith(begin)]


def _entries(value: str) -> list[str]:
    """Return the entries of a list; Slurm may write ranges such as ``0-3``."""
    entries: list[str] = []
    for entry in filter(None, (part.strip() for part in value.split(","))):
        if span := re.fullmatch(r"(\d+)-(\d+)", entry):
            entries += [str(number) for number in range(int(span[1]), min(int(span[2]), int(span[1]) + 1023) + 1)]
        else:
            entries.append(entry)
    return entries


def _wholes(listed: Sequence[Gpu]) -> list[str]:
    return list(dict.fromkeys(gpu.number for gpu in listed))


def _list(listed: Sequence[Gpu]) -> str:
    return ", ".join(gpu.index or gpu.id for gpu in listed) or "none"
