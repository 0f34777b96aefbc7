"""A training as a shard: one attempt at it on the host that a pool has chosen, in files below a shared folder.

The container's folder lies on a local disk of that host, as that of a shard that predicts. What another attempt needs
is written to the shared folder as it comes about: the reports (``points/``), the state from which the next attempt
goes on (``states/``), and in the end what became of it (``ends/``), with the checkpoint where there is one
(``checkpoints/``). Every file has a name of its own, so attempts that do not know of each other do not touch.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import ValidationError

from harness.engines.base import container_user
from harness.foreign.records import record
from harness.runs.checkpoint import MAX_FILES, take_checkpoint
from harness.runs.outcome import ShardFigures, begin_figures
from harness.runs.place import Place, own_folder
from harness.runs.report import ShardReport
from harness.runs.spec import ShardSpec
from harness.runs.training.attempt import TrainingEnd, TrainingSpec, run_training
from harness.sandbox.folder import remove_tree
from harness.sandbox.safe_copy import RefusedCheckpoint, copy_folder
from harness.sandbox.stop import Stop
from harness.status import TrainingState
from harness.store.trainings import TrainingPoint

#: Folders below that of the training in the shared folder.
POINTS, STATES, ENDS, CHECKPOINTS = "points", "states", "ends", "checkpoints"

#: Seconds between two looks at the container's state, and the most that copying it may take of the time.
KEEP_EVERY_S, _SHARE = 2.0, 0.1


@dataclass(frozen=True)
class AttemptEnd:
    """The end of one attempt, as a file.

    Attributes
    ----------
    plan
        Key of the training's plan.
    name
        Name of the attempt, which its files have.
    end
        What became of it.
    trained_s
        Seconds of training, by this attempt and those before it.
    files
        The checkpoint's, as :func:`harness.runs.checkpoint.take_checkpoint` returns them; empty where there is none.
    """

    plan: str
    name: str
    end: TrainingEnd
    trained_s: float
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    version: Literal[1] = 1


def train_shard(spec: ShardSpec, place: Place, figures: ShardFigures, stop: Stop) -> ShardReport:
    """Carry out one attempt at a training; one that has its checkpoint is not tried again.

    Parameters
    ----------
    spec, place
        The training as a shard, and what this host offers.
    figures
        What is said of this host.
    stop
        `soon`: the container is asked to save its state and to end; `now`: it is ended.
    """
    if any(done.end.state is TrainingState.DONE for done in read_ends(spec.folder, spec.plan)):
        return ShardReport(spec.run, spec.number, "done", place.node)
    if stop.soon.is_set():
        return ShardReport(spec.run, spec.number, "stopped", place.node, "it was requested to stop")
    name = begin_figures(spec.folder, spec.number, figures)
    before_s = _trained_before(spec)
    with own_folder(place.scratch, f"{spec.run}-{name}") as root:
        asked = _asked(spec, place, root.resolve())
        began_from = _fetch_state(spec.folder / STATES, asked.state)
        keeping = _Keeper(asked, spec.folder / STATES, name, began_from)
        with _Points(spec.folder, name) as points, keeping as keeper:

            def emit(said: Sequence[TrainingPoint]) -> None:
                points.write(said)
                keeper.step = said[-1].step

            end = run_training(place.engine, asked, emit, stop, before_s=before_s)
        about = {"engine": dict(figures.engine), "hardware": dict(figures.hardware), "node": figures.node}
        end = replace(end, about=about, warnings=(*end.warnings, *keeper.problems))
        files: Mapping[str, Mapping[str, Any]] = {}
        if end.state is TrainingState.DONE:
            try:
                limit = asked.resources.out_mb * 2**20
                files = take_checkpoint(asked.root / "out", spec.folder / CHECKPOINTS / name, limit=limit)
            except RefusedCheckpoint as reason:
                end = replace(end, state=TrainingState.INVALID_CHECKPOINT, reason=f"out/checkpoint {reason}")
    _write_end(spec.folder, AttemptEnd(spec.plan, name, end, before_s + end.seconds, files))
    if end.state is TrainingState.INTERRUPTED:
        return ShardReport(spec.run, spec.number, "stopped", place.node, end.reason)
    if end.state is TrainingState.INFRA_ERROR:
        fault = {"kind": "PrerequisiteError", "fix": "see the host's engine and disks", "lacking": ""}
        return ShardReport(spec.run, spec.number, "failed", place.node, end.reason, fault)
    return ShardReport(spec.run, spec.number, "done", place.node)


def read_ends(folder: Path, plan: str) -> list[AttemptEnd]:
    """Return the ends of the attempts at a plan, in the order of their names; what cannot be read is none."""
    found = []
    for path in sorted((folder / ENDS).glob("*.json")):
        with contextlib.suppress(FileNotFoundError, ValidationError):
            end = record(AttemptEnd).validate_json(path.read_bytes())
            if end.plan == plan:
                found.append(end)
    return found


class PointReader:
    """Reads the reports of all attempts at a training, each once.

    Parameters
    ----------
    folder
        The training's folder in the shared one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / POINTS
        self._read: dict[str, int] = {}  #: file -> bytes that were read

    def new(self) -> Iterator[TrainingPoint]:
        """Yield what has come since the last call, attempt by attempt."""
        for path in sorted(self._folder.glob("*.jsonl"), key=_number):
            with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                file.seek(self._read.get(path.name, 0))
                for line in file:
                    if not line.endswith(b"\n"):
                        break  # the rest of it comes later
                    self._read[path.name] = self._read.get(path.name, 0) + len(line)
                    with contextlib.suppress(ValidationError):  # torn by a host that died
                        yield record(TrainingPoint).validate_json(line)


def furthest(folder: Path) -> int:
    """Return how far a training has come: the last step that an attempt has reported; -1 for none."""
    return max((point.step for point in PointReader(folder).new()), default=-1)


def _asked(spec: ShardSpec, place: Place, scratch: Path) -> TrainingSpec:
    resources = spec.plugin.model.resources
    resources = replace(resources, cpus=min(resources.cpus, place.cores))
    return TrainingSpec(
        name=spec.run,
        folder=spec.folder,
        plugin=spec.plugin,
        image=spec.image,
        job=spec.job.model_copy(update={"threads": max(1, math.ceil(resources.cpus))}),
        resources=resources,
        cases=spec.cases,
        mounts=spec.mounts,
        gpu_ids=place.gpu_ids,
        scratch=scratch,
    )


def _trained_before(spec: ShardSpec) -> float:
    """Return for how many seconds earlier attempts have trained, as far as they have told."""
    told = [point.seconds for point in PointReader(spec.folder).new()]
    return max([*told, *(end.trained_s for end in read_ends(spec.folder, spec.plan))], default=0.0)


def _write_end(folder: Path, end: AttemptEnd) -> None:
    path = folder / ENDS / f"{end.name}.json"
    path.parent.mkdir(exist_ok=True)
    partial = path.with_name(f".{path.name}")
    partial.write_bytes(record(AttemptEnd).dump_json(end, indent=1))
    partial.replace(path)


def _number(path: Path) -> tuple[int, str]:
    """Return what sorts files by the numbers of their attempts."""
    number = path.name.partition(".")[0].partition("-")[0]
    return int(number) if number.isdigit() else -1, path.name


class _Points:
    """Writes the reports of one attempt, each as a line as it comes."""

    def __init__(self, folder: Path, name: str) -> None:
        path = folder / POINTS / f"{name}.jsonl"
        path.parent.mkdir(exist_ok=True)
        self._file = path.open("ab")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, points: Sequence[TrainingPoint]) -> None:
        """Write reports."""
        self._file.write(b"".join(record(TrainingPoint).dump_json(point) + b"\n" for point in points))
        self._file.flush()


# -- the state --------------------------------------------------------------------------------------------------------


def _states(folder: Path) -> list[str]:
    """Return the names of the states that were kept whole; the largest name is that of the furthest one."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    return []


def _fetch_state(states: Path, target: Path) -> str:
    """Copy the furthest state for a container to go on from; return its name, empty where there is none."""
    while found := _states(states):
        try:
            shutil.copytree(states / found[-1], target)
        except (FileNotFoundError, shutil.Error):
            if _states(states)[-1:] == found[-1:]:
                raise
            remove_tree(target)  # another attempt has kept a later one meanwhile
            continue
        uid, gid = container_user()
        if uid != os.getuid():
            for path in (target, *target.rglob("*")):
                os.chown(path, uid, gid)
        return found[-1]
    return ""


class _Keeper:
    """Copies the state of a running container to the shared folder whenever it has changed, and at its end.

    A copy counts only where nothing changed while it was made: files of different moments are no state.
    """

    def __init__(self, spec: TrainingSpec, states: Path, name: str, began_from: str) -> None:
        step, copies = began_from.split(".")[:2] if began_from else ("0", "0")
        self.step = int(step)  #: the last step that was reported
        self.problems: tuple[str, ...] = ()  #: why it could not be kept
        self._out, self._limit = spec.root / "out", spec.resources.out_mb * 2**20
        self._states, self._name = states, name
        self._kept = _looks(spec.state)  #: how the state looks that was kept last
        self._copies = int(copies)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"keep-{name}", daemon=True)

    def __enter__(self) -> Self:
        self._states.mkdir(exist_ok=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._keep()

    def _run(self) -> None:
        pause = KEEP_EVERY_S
        while not self._over.wait(pause):
            began = time.monotonic()
            self._keep()
            pause = max(KEEP_EVERY_S, (time.monotonic() - began) * (1 - _SHARE) / _SHARE)

    def _keep(self) -> None:
        """Copy the state if it has changed; it is tried again later where it changes meanwhile."""
        looks = _looks(self._out / "state")
        if not looks or looks == self._kept:
            return
        partial = self._states / f".{self._name}"
        try:
            remove_tree(partial)
            partial.mkdir()
            copy_folder(self._out, "state", partial, limit=self._limit, max_files=MAX_FILES, hidden=False)
            if _looks(self._out / "state") == looks:
                self._copies += 1
                partial.rename(self._states / f"{self.step:012d}.{self._copies:06d}.{self._name}")
                self._kept, self.problems = looks, ()
                for name in _states(self._states)[:-1]:
                    remove_tree(self._states / name)
        except RefusedCheckpoint as reason:
            if _looks(self._out / "state") == looks:
                self.problems = (f"the state could not be kept for another host: out/state {reason}",)
        except OSError as error:
            self.problems = (f"the state could not be kept for another host: {error}",)
        finally:
            with contextlib.suppress(OSError):
                remove_tree(partial)


def _looks(state: Path) -> tuple[tuple[str, int, int, int], ...]:
    """Return what tells a state from a later one: names, sizes and times of its files; empty while there are none.

    Times are those of one file system, and are compared with each other only.
    """
    seen = []
    for folder, folders, files in os.walk(state):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if not name.startswith("."):
                path = os.path.join(folder, name)  # noqa: PTH118 - as os.walk has it
                with contextlib.suppress(OSError):
                    status = os.lstat(path)
                    seen.append((os.path.relpath(path, state), status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(sorted(seen))
