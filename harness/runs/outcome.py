"""The outcome of each case is one file, and each shard's figures another: written where it happened, read by the run.

``outcomes/<case>.json`` of a run's folder is written under a name of its own and then linked to its place, so it is
there as a whole or not at all, and of two workers who did the same case the first one wins. What the second one found
stays beside it where it differs. An outcome that says nothing of the model (``infra_error``) gives way to any other.
No time of one host is compared with that of another: files hold durations only.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from harness.errors import DataError
from harness.foreign.records import record
from harness.sandbox.evidence import PredictionEvidence
from harness.sandbox.masks import accept, drop
from harness.status import Status

#: Folders below that of a run.
OUTCOMES, FIGURES, MASKS = "outcomes", "figures", "masks"

#: Folder below that of the outcomes for those that came second and differ.
_SECOND = "second"

#: Errors of a file system that has no hard links.
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)


@dataclass(frozen=True)
class CaseOutcome:
    """The outcome of one case; its masks are in ``masks/<case>/`` of the run's folder.

    Attributes
    ----------
    case
        Name of the case.
    status, reason
        Its status and, unless ok, the reason.
    seconds, host_bytes, device_bytes
        Inference time and peak memory, where known.
    phases
        What the container tells of these seconds, by name; empty where it tells nothing that can be.
    attempts
        Containers that tried it.
    log
        Path of the container's log below the run's folder.
    evidence
        The evidence, where its container died.
    warnings
        The model's warnings about it.
    masks
        Finding -> SHA-256 of its mask, where masks were taken.
    collected
        The folder below ``masks/`` in which they were collected; empty where none were.
    figures
        Name of the file in ``figures/`` that tells where it happened and what that cost.
    """

    case: str
    status: Status
    reason: str = ""
    seconds: float | None = None
    host_bytes: int | None = None
    device_bytes: int | None = None
    attempts: int = 1
    log: str = ""
    evidence: PredictionEvidence | None = None
    warnings: tuple[str, ...] = ()
    masks: Mapping[str, str] = field(default_factory=dict)
    collected: str = ""
    figures: str = ""
    phases: Mapping[str, float] = field(default_factory=dict)

    def seen(self) -> dict[str, Any]:
        """Return evidence, warnings and phases as they are stored with the case; empty where there are none."""
        return {
            **({} if self.evidence is None else self.evidence.document()),
            **({"warnings": list(self.warnings)} if self.warnings else {}),
            **({"phases": dict(self.phases)} if self.phases else {}),
        }


@dataclass(frozen=True)
class ContainerFigures:
    """The cost of one container, apart from its cases."""

    shard: int
    start_s: float | None  #: from the request to the first event
    load_s: float | None  #: from the first event to the model being ready
    first_case_s: float | None
    peak_bytes: int | None
    wall_s: float | None = None  #: from the request to its end; of one that is still running, so far
    container: int = 1  #: its number within the shard
    device_bytes: int | None = None  #: peak memory of one of its GPUs, as the driver counts it
    gpu_busy: float | None = None  #: share of its life in which its GPUs computed, as the driver counts it
    load_device_bytes: int | None = None  #: peak memory of its GPUs while its model was loaded, by the model's word


@dataclass(frozen=True)
class Found:
    """An outcome's file.

    Attributes
    ----------
    plan, limits
        Key of the run's plan, and the limits of the model, under which it came about.
    outcome
        The outcome.
    """

    plan: str
    limits: Mapping[str, Any]
    outcome: CaseOutcome
    version: Literal[1] = 1


@dataclass(frozen=True)
class ShardFigures:
    """What one shard cost, and where.

    Attributes
    ----------
    node
        Name of the host.
    hardware, engine
        As in a run's record.
    containers
        One entry a container, in order.
    """

    node: str
    hardware: Mapping[str, Any]
    engine: Mapping[str, Any]
    containers: tuple[ContainerFigures, ...] = ()
    version: Literal[1] = 1


def put(folder: Path, found: Found) -> str:
    """Write the outcome of a case, and give its masks their name; of several the first one stays.

    Parameters
    ----------
    folder
        The run's folder.
    found
        The outcome, whose masks were collected.

    Returns
    -------
    str
        What differs from the outcome that was there before, in words; empty where nothing does, or none was there.

    Raises
    ------
    OSError
        When it cannot be written; then there is none.
    """
    outcome = found.outcome
    place = folder / OUTCOMES / f"{outcome.case}.json"
    ours = place.with_name(f".{outcome.case}.{secrets.token_hex(4)}")
    place.parent.mkdir(exist_ok=True)
    try:
        _write(ours, record(Found).dump_json(found, indent=1))
        while True:
            if _link(ours, place):
                if outcome.collected:
                    accept(folder / MASKS, outcome.case, outcome.collected)
                return ""
            first = read(folder, outcome.case)
            if first is None:
                continue  # it was withdrawn just now
            if first.outcome.status is Status.INFRA_ERROR and outcome.status is not Status.INFRA_ERROR:
                _set_aside(place)
                continue
            drop_collected(folder, outcome)
            difference = _difference(first.outcome, outcome)
            if difference:
                aside = place.parent / _SECOND
                aside.mkdir(exist_ok=True)
                ours.replace(aside / f"{outcome.case}{ours.suffix}")
            return difference
    finally:
        ours.unlink(missing_ok=True)


def _set_aside(place: Path) -> None:
    """Remove an outcome that says nothing of the model; another one that has taken its place meanwhile stays."""
    aside = place.with_name(f".{place.stem}.{secrets.token_hex(4)}")
    with contextlib.suppress(FileNotFoundError):
        place.rename(aside)
        try:
            if record(Found).validate_json(aside.read_bytes()).outcome.status is not Status.INFRA_ERROR:
                _link(aside, place)
        finally:
            aside.unlink()


def read(folder: Path, case: str) -> Found | None:
    """Return the outcome of a case; None while there is none.

    Raises
    ------
    DataError
        When the file is not one that this version can read.
    """
    path = folder / OUTCOMES / f"{case}.json"
    try:
        found = record(Found).validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise _unreadable(path, error) from error
    if found.outcome.case != case:
        raise DataError(f"{path} holds the outcome of {found.outcome.case!r}", fix=_FIX, path=path)
    return found


def cases_with_outcome(folder: Path) -> set[str]:
    """Return the names of the cases that have an outcome."""
    with contextlib.suppress(FileNotFoundError), os.scandir(folder / OUTCOMES) as entries:
        names = [entry.name for entry in entries]
        return {name.removesuffix(".json") for name in names if name.endswith(".json") and not name.startswith(".")}
    return set()


def second_outcomes(folder: Path) -> Iterator[str]:
    """Yield in words every outcome that differs from the first one of its case, and was kept aside."""
    for path in sorted((folder / OUTCOMES / _SECOND).glob("*")):
        first = read(folder, path.stem)
        try:
            second = record(Found).validate_json(path.read_bytes())
        except (OSError, ValidationError):
            continue
        if first is not None and (difference := _difference(first.outcome, second.outcome)):
            yield difference


def withdraw(folder: Path, case: str) -> None:
    """Remove the outcome and the masks of a case that is done again."""
    (folder / OUTCOMES / f"{case}.json").unlink(missing_ok=True)
    drop(folder / MASKS, case)


def drop_collected(folder: Path, outcome: CaseOutcome) -> None:
    """Remove the masks that were collected for an outcome that is not used."""
    if outcome.collected:
        drop(folder / MASKS, outcome.collected)


def forget_collected(folder: Path) -> None:
    """Remove the masks that workers had collected and did not live to write an outcome for."""
    for path in (folder / MASKS).glob(".incoming-*"):
        drop(folder / MASKS, path.name)


def has_masks(folder: Path, outcome: CaseOutcome) -> bool:
    """Return whether the masks of an outcome are there, giving them their name where its worker did not live to."""
    return not outcome.collected or accept(folder / MASKS, outcome.case, outcome.collected)


def begin_figures(folder: Path, shard: int, figures: ShardFigures) -> str:
    """Write the first figures of a shard; return the name that its figures and logs have, which nobody else has.

    Parameters
    ----------
    folder
        The run's folder.
    shard
        Number of the shard: its name, unless it was begun before, as by a worker that died.
    figures
        Where it runs.
    """
    path = folder / FIGURES / f"{shard}.json"
    ours = path.with_name(f".{shard}.{secrets.token_hex(4)}")
    path.parent.mkdir(exist_ok=True)
    try:
        _write(ours, record(ShardFigures).dump_json(figures, indent=1))
        if _link(ours, path):
            return path.stem
        again = path.with_stem(f"{shard}-{ours.suffix[1:]}")
        ours.replace(again)
        return again.stem
    finally:
        ours.unlink(missing_ok=True)


def write_figures(folder: Path, name: str, figures: ShardFigures) -> None:
    """Replace the figures of a shard; `name` is that of :func:`begin_figures`."""
    partial = folder / FIGURES / f".{name}"
    partial.write_bytes(record(ShardFigures).dump_json(figures, indent=1))
    partial.replace(partial.with_name(f"{name}.json"))


def read_figures(folder: Path) -> dict[str, ShardFigures]:
    """Return the figures of every shard of a run, by the names of their files, in order.

    Raises
    ------
    DataError
        When a file is not one that this version can read.
    """
    found = {}
    for path in sorted((folder / FIGURES).glob("*.json")):
        try:
            found[path.stem] = record(ShardFigures).validate_json(path.read_bytes())
        except ValidationError as error:
            raise _unreadable(path, error) from error
    return found


_FIX = "remove the file; the same command runs what is missing again"


def _unreadable(path: Path, error: ValidationError) -> DataError:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    return DataError(f"{path} cannot be read: {where}: {first['msg']}", fix=_FIX, path=path)


def _difference(first: CaseOutcome, second: CaseOutcome) -> str:
    """Say in which digests two outcomes of one case differ, or in which status; empty where in neither."""
    if first.status != second.status:
        return f"case {first.case} ended twice, not in the same way: {first.status}, then {second.status}"
    differing = sorted(
        finding
        for finding in first.masks.keys() | second.masks.keys()
        if first.masks.get(finding) != second.masks.get(finding)
    )
    if not differing:
        return ""
    one = differing[0]
    digests = " and ".join(outcome.masks.get(one, "no mask")[:16] for outcome in (first, second))
    more = f" (and of {len(differing) - 1} more findings)" if len(differing) > 1 else ""
    return f"case {first.case} was done twice and is not deterministic: the masks of {one}{more} are {digests}"


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _link(ours: Path, place: Path) -> bool:
    """Give a file its place unless another one has it; return whether it was given."""
    try:
        os.link(ours, place)
    except FileExistsError:
        # Over a network the answer may be lost, and the request be repeated by the system.
        return os.path.samestat(ours.stat(), place.stat()) if place.exists() else False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # Without hard links: two who come at the very same moment both win, the later one in the end. Either is whole.
        if place.exists():
            return False
        ours.replace(place)
    return True
