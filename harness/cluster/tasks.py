"""What a Dask worker does for a driver: text in, text out. It is found by its name there, and nothing is pickled.

The functions never raise: an exception that cannot be unpickled would leave the driver waiting for ever.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.cluster.config import scratch_folder
from harness.cluster.host import examine
from harness.errors import PrerequisiteError
from harness.foreign import parse_json
from harness.runs.outcome import FIGURES, cases_with_outcome
from harness.runs.place import node, take_place
from harness.runs.report import ShardReport
from harness.runs.shard import run_shard
from harness.runs.spec import ShardSpec
from harness.sandbox.stop import Stop

#: Seconds that a shard waits for a GPU which another process of this host still holds.
_GPU_WAIT_S = 60.0


@dataclass
class Here:
    """A process that is a worker.

    Attributes
    ----------
    shared
        The shared folder as this host sees it.
    stop
        The request to end, which is also told to what runs.
    running
        Run and number of the shard that runs; None for none.
    """

    shared: Path
    stop: Stop = field(default_factory=Stop)
    running: tuple[str, int] | None = None
    _left: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, run: str, number: int) -> bool:
        """Begin a shard unless this process is leaving; return whether it was begun."""
        with self._lock:
            if self._left or self.stop.soon.is_set():
                return False
            self.running = run, number
            return True

    def leave(self) -> bool:
        """Return whether no shard runs; then none begins any more, also not one that had been received."""
        with self._lock:
            self._left = self.running is None
            return self._left


#: Seconds for which a leaving worker holds what it refuses: meanwhile another one takes what is dealt next.
_REFUSAL_S = 1.0

_here: Here | None = None


def begin(here: Here) -> None:
    """Make this process a worker: until then it refuses what it is asked."""
    global _here  # noqa: PLW0603 - Dask calls functions by their names, and gives them nothing of ours
    _here = here


def task(spec: ShardSpec, shared: Path, scratch: str) -> str:
    """Return what :func:`carry_out` needs of a shard."""
    return json.dumps({"run": spec.run, "number": spec.number, "scratch": scratch, "shard": spec.to_json(shared)})


def carry_out(text: str) -> str:
    """Run a shard, as :func:`task` made it; return its report as JSON."""
    run, number = "", -1
    try:
        asked = parse_json(text)
        run, number = str(asked["run"]), int(asked["number"])
        return _carry_out(run, number, str(asked["shard"]), str(asked["scratch"])).to_json()
    except BaseException as error:  # noqa: BLE001 - an exception may not travel; the record does
        return ShardReport.of(run, number, node(), error).to_json()


def _carry_out(run: str, number: int, shard: str, scratch: str) -> ShardReport:
    here = _here
    if here is None:
        raise PrerequisiteError(
            "this Dask worker was not started by bench", fix="start `bench worker` in the place of `dask worker`"
        )
    if not here.take(run, number):
        time.sleep(_REFUSAL_S)
        return ShardReport(run, number, "stopped", node(), "its worker is leaving")
    try:
        return _at(here, run, number, shard, scratch)
    finally:
        here.running = None


def _at(here: Here, run: str, number: int, shard: str, scratch: str) -> ShardReport:
    spec = ShardSpec.from_json(shard, here.shared)
    if not spec.folder.is_dir():
        raise PrerequisiteError(
            f"{spec.folder} does not exist on {node()}", fix="`bench cluster check` compares the shared folders"
        )
    begun = (spec.folder / FIGURES / f"{number}.json").exists()
    if begun and {case.prompt.id for case in spec.cases} - cases_with_outcome(spec.folder):
        # Dask gives what a lost worker had to another one; the driver knows which case was in flight, and deals anew.
        return ShardReport(run, number, "lost", reason="the worker that had begun it is gone")
    with take_place(
        spec.engine,
        scratch_folder(scratch) / "groundbench",
        gpus=spec.gpus,
        wait_s=_GPU_WAIT_S,
        deadline_s=spec.deadline_s,
    ) as place:
        image = place.engine.obtain(spec.plugin, spec.image, archives=here.shared / "images", log=lambda _: None)
        return run_shard(replace(spec, image=image), place, here.stop)


async def running() -> str:
    """Return run and number of the shard that runs here as JSON; ``null`` for none."""
    return json.dumps(None if _here is None else _here.running)


async def answer(text: str) -> str:
    """Return the answer to a question of a driver; the worker goes on with what it does meanwhile."""
    here = _here
    if here is None:
        return ""
    return await asyncio.to_thread(examine, text, here.shared, worker=f"worker {os.getpid()}")
