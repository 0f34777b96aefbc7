"""Where the shards of runs are carried out: a pool takes them, and reports plainly what became of each.

What a backend must do
----------------------
A backend is a class with the methods of :class:`Pool`. It moves nothing but the JSON of a shard
(:meth:`harness.runs.spec.ShardSpec.to_json`) and, back, that of a report (:class:`harness.runs.report.ShardReport`):

* On the host that runs a shard it calls, with the shared folder as that host sees it::

      spec = ShardSpec.from_json(text, shared)
      with take_place(spec.engine, scratch, gpus=spec.gpus, deadline_s=spec.deadline_s) as place:
          report = run_shard(spec, place, Stop())

  ``run_shard`` never raises; what ``from_json`` and ``take_place`` raise becomes a report by ``ShardReport.of``. On
  SIGTERM the worker sets ``soon`` of the ``Stop`` that it passed, and ``now`` half a minute later.
* Outcomes, masks, logs and figures are files below the run's folder, which ``run_shard`` writes and the driver reads:
  a backend neither carries nor looks at them. A shard may be handed in twice, also while its first worker still runs.
* :meth:`Pool.poll` says which shards wait or run (also those that an earlier command handed in, where the backend
  knows them), and brings the new reports. It returns at once. A shard that has neither a report nor a place among
  them counts as lost, so a report may come late, twice, in any order, or not at all.
* Whatever the backend waits for has a limit, and what cannot be reached raises a ``BenchError``.
* A backend of other hosts is an :class:`Elsewhere`: it also lets them try out a run before anything is recorded.
* A worker writes only below the shared folder and its own scratch. The database and the home belong to the driver.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from harness.engines.base import Engine
from harness.engines.nvidia import Gpu
from harness.runs.place import offer
from harness.runs.report import ShardReport
from harness.sandbox.stop import Stop

if TYPE_CHECKING:
    from harness.runs.spec import ShardSpec

#: Folder below that of a run in which the containers of this host have theirs.
SCRATCH = "shards"


class ShardId(NamedTuple):
    """A shard of a run: the run's id, and the shard's number."""

    run: str
    number: int


@dataclass(frozen=True)
class Seen:
    """What a pool knows now.

    Attributes
    ----------
    open
        The shards that wait or run.
    reports
        Those of shards that have ended, each at least once since it ended.
    """

    open: frozenset[ShardId]
    reports: tuple[ShardReport, ...] = ()


#: Called from any thread: look now. With the run and the case where the outcome of a case has been written.
Wake = Callable[[str, str], None]


class Pool(Protocol):
    """Where shards are carried out; its methods are called by one thread.

    Attributes
    ----------
    name
        For people and records: ``"this host"``, ``"dask lab"``.
    shared
        The folder that the driver and all hosts see; ``runs/`` lies below it. For the driver's own host, the home.
    look_s
        Seconds between two looks at the files and :meth:`poll` where nothing called `wake`.
    redeals
        How often the cases of a shard that was lost, stopped or failed without bringing any further are dealt again.
    """

    name: str
    shared: Path
    look_s: float
    redeals: int

    def parts(self, cases: int, gpus: int) -> int:
        """Return the number of shards that `cases` cases shall be dealt to, whose containers get `gpus` GPUs each."""

    def start(self, specs: Sequence[ShardSpec], wake: Wake) -> None:
        """Take shards, in order of their urgency, and return at once; may be called again at any time."""

    def poll(self) -> Seen:
        """Return what waits or runs, and what has ended."""

    def stop(self, *, now: bool) -> None:
        """Withdraw what has not begun, and end what runs: after its case, or now. The runs' stop files are written."""

    def close(self) -> None:
        """Let go of everything; called at the end, whatever happened."""


class Elsewhere(Pool, Protocol):
    """A pool of other hosts, on which a run is planned although this host may have neither engine nor GPU.

    Attributes
    ----------
    engine
        Name of the engine on its hosts, which isolates; never ``auto``.
    detach
        Whether the command leaves when its shards are handed in; the same command follows them later.
    """

    engine: str
    detach: bool

    def prove(self, shard: ShardSpec, *, gpu_memory_mb: int) -> tuple[str, ...]:
        """Prove that the hosts can run shards like this one.

        Parameters
        ----------
        shard
            One without cases, with everything that those of the run may read among its mounts.
        gpu_memory_mb
            Memory that each GPU must have, MiB.

        Returns
        -------
        tuple of str
            What their engines cannot do, as :meth:`harness.engines.base.Engine.lacks` says it.

        Raises
        ------
        PrerequisiteError
            What is wrong, on which host, and the fix.
        """


class LocalPool:
    """Shards as threads of this process, each with as many of the held GPUs as its containers get.

    Parameters
    ----------
    home
        The home.
    engines
        Engines by their names.
    gpus
        The GPUs that are held. Of shards that get none, one at a time computes on the CPU.
    stop
        The request to end, which shards look at themselves.
    per_gpu
        Shards that share each GPU at once; with several, each shard gets one GPU.
    """

    name = "this host"
    look_s = 1.0
    redeals = 0

    def __init__(
        self, home: Path, engines: Mapping[str, Engine], gpus: Sequence[Gpu], stop: Stop, per_gpu: int = 1
    ) -> None:
        self.shared = home
        self._engines, self._stop = engines, stop
        self._per_gpu = per_gpu
        self._free = list(gpus) * per_gpu
        self._slots = 1  #: places for shards without GPUs
        self._all = len(self._free)
        self._waiting: deque[tuple[ShardSpec, Wake]] = deque()
        self._running: dict[ShardId, threading.Thread] = {}
        self._ended: list[ShardReport] = []
        self._lock = threading.Lock()

    def parts(self, cases: int, gpus: int) -> int:
        """Return one part for every set of GPUs; what is left of them for less than a container is not used."""
        return min(cases, max(1, self._all // gpus)) if gpus else 1

    def start(self, specs: Sequence[ShardSpec], wake: Wake) -> None:
        """Take shards; each begins as soon as it has its GPUs, those that were taken first before the others."""
        with self._lock:
            self._waiting.extend((spec, wake) for spec in specs)
            self._begin()

    def poll(self) -> Seen:
        """Return what waits or runs, and the reports since the last call."""
        with self._lock:
            ended, self._ended = tuple(self._ended), []
            waiting = {ShardId(spec.run, spec.number) for spec, _ in self._waiting}
            return Seen(frozenset(waiting | self._running.keys()), ended)

    def stop(self, *, now: bool) -> None:
        """Withdraw what has not begun; what runs looks at the request itself."""
        if now:
            self._stop.now.set()
        self._stop.soon.set()
        with self._lock:
            self._waiting.clear()

    def close(self) -> None:
        """End what runs, and wait for it."""
        with self._lock:
            running = list(self._running.values())
        if running:
            self.stop(now=True)
        for thread in running:
            thread.join()

    def _begin(self) -> None:
        """Begin the shards that have their GPUs, in order; the lock is held."""
        while self._waiting:
            spec, wake = self._waiting[0]
            if len(self._free) < spec.gpus or (not spec.gpus and not self._slots):
                return
            self._waiting.popleft()
            held, self._free = self._free[: spec.gpus], self._free[spec.gpus :]
            self._slots -= not spec.gpus
            name = f"shard-{spec.number}"
            thread = threading.Thread(target=self._run, args=(spec, held, wake), name=name)
            self._running[ShardId(spec.run, spec.number)] = thread
            thread.start()

    def _run(self, spec: ShardSpec, held: Sequence[Gpu], wake: Wake) -> None:
        from harness.runs.shard import run_shard  # a run that is finished starts none

        place = offer(
            self._engines[spec.engine],
            spec.folder / SCRATCH,
            gpus=held,
            per_gpu=self._per_gpu,
            deadline_s=spec.deadline_s,
        )
        report = run_shard(spec, place, self._stop, lambda case: wake(spec.run, case))
        with self._lock:
            self._ended.append(report)
            del self._running[ShardId(spec.run, spec.number)]
            self._free.extend(held)
            self._slots += not spec.gpus
            self._begin()
        wake(spec.run, "")
