"""What a job does: it runs a shard's file at the place that was given to it, or answers a question about its host.

What came of it is a file as well, ``reports/<number>.json`` in the run's folder, for the driver to read when the job
has ended. A job that is begun again, as after preemption, first removes the report of the time before. The host is
tried out before the first case of every shard, unless it just was: where that fails, nothing is said of the model.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from harness.cluster.config import scratch_folder
from harness.cluster.host import examine
from harness.cluster.sbatch import time_left
from harness.runs.outcome import cases_with_outcome
from harness.runs.place import Place, node, own_folder, take_place
from harness.runs.preflight import check_containers
from harness.runs.report import ShardReport
from harness.runs.shard import run_shard
from harness.runs.spec import ShardSpec
from harness.sandbox.stop import Stop

#: Seconds that the case in flight has when the job is asked to end; Slurm kills it after 30.
GRACE_S = 20.0

#: Seconds to wait for the GPUs: those of the job before may still be held by a container that is being removed.
_GPUS_WAIT_S = 60.0

#: Seconds for which a host that was tried out is believed: the shards of a plan begin soon after its question.
_PROVED_S = 300.0

#: Folders below that of a run, and below the shared one.
REPORTS, PROOFS, IMAGES = "reports", "proofs", "images"

#: Names of a question and of its answer.
QUESTION, ANSWER = "question.json", "answer.json"

Log = Callable[[str], None]


def report_file(folder: Path, shard: int) -> Path:
    """Return the path of a shard's report in its run's folder."""
    return folder / REPORTS / f"{shard}.json"


def proof_file(shared: Path, plan: str) -> Path:
    """Return the path of what a host's engine cannot do for a plan, by the first host that was tried out."""
    return shared / PROOFS / f"{plan}.json"


class Proof(BaseModel):
    """That a host was tried out for a plan.

    Attributes
    ----------
    host, at
        The host, and when by its own clock: seconds since the epoch.
    lacks
        What its engine cannot do for the plan.
    """

    model_config = ConfigDict(frozen=True)

    host: str
    at: float
    lacks: tuple[str, ...] = ()

    def holds_here(self) -> bool:
        """Whether it is of this host, and so new that a shard need not try it out again."""
        return self.host == node() and 0 <= time.time() - self.at < _PROVED_S


def read_proof(shared: Path, plan: str) -> Proof | None:
    """Return the proof of a plan; None where no host has been tried out for it."""
    try:
        return Proof.model_validate_json(proof_file(shared, plan).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def write_proof(shared: Path, plan: str, proof: Proof) -> None:
    """Write that a host was tried out for a plan."""
    path = proof_file(shared, plan)
    path.parent.mkdir(exist_ok=True)
    _write(path, proof.model_dump_json())


def answer_file(file: Path, *, shared: Path) -> None:
    """Answer the question in a file, beside it."""
    _write(file.with_name(ANSWER), examine(file.read_text(encoding="utf-8"), shared))


def run_file(file: Path, *, shared: Path, scratch: str, log: Log) -> ShardReport:
    """Run one shard's file at the place that this job was given, and write its report.

    Parameters
    ----------
    file
        The shard's file, ``runs/<run>/specs/<number>.json`` of the shared folder.
    shared
        The shared folder, where this host sees it.
    scratch
        The scratch folder, as in ``clusters.toml``: variables are expanded here.
    log
        Shows one line.

    Returns
    -------
    ShardReport
        What became of it; a failure is in it, and not raised.

    Raises
    ------
    OSError
        When the report cannot be written.
    """
    folder, number = file.parents[1], int(file.stem) if file.stem.isdigit() else -1
    path = report_file(folder, number)
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    stop = Stop()
    with _heeding(stop):
        try:
            report = _run(ShardSpec.from_json(file.read_text(encoding="utf-8"), shared), shared, scratch, stop, log)
        except BaseException as error:  # noqa: BLE001 - it is told by the report
            report = ShardReport.of(folder.name, number, node(), error)
    _write(path, report.to_json())
    return report


def _run(spec: ShardSpec, shared: Path, scratch: str, stop: Stop, log: Log) -> ShardReport:
    limits = [seconds for seconds in (spec.deadline_s, time_left()) if seconds is not None]
    with take_place(
        spec.engine,
        scratch_folder(scratch) / "groundbench",
        gpus=spec.gpus,
        wait_s=_GPUS_WAIT_S if spec.gpus else 0.0,
        deadline_s=min(limits, default=None),
    ) as place:
        image = place.engine.obtain(spec.plugin, spec.image, archives=shared / IMAGES, log=log)
        here = replace(spec, image=image)
        if {case.prompt.id for case in spec.cases} - cases_with_outcome(spec.folder):
            _try_out(here, place, shared, log)
        return run_shard(here, place, stop)


def _try_out(spec: ShardSpec, place: Place, shared: Path, log: Log) -> None:
    """Prove with one short container that those of the shard can work here; raises PrerequisiteError otherwise."""
    proved = read_proof(shared, spec.plan)
    if proved is not None and proved.holds_here():
        return
    with own_folder(place.scratch, "trial") as folder:
        check_containers(
            place.engine,
            spec.plugin,
            spec.image,
            resources=spec.plugin.model.resources,
            mounts=spec.mounts,
            files=[mount.source for case in spec.cases for mount in case.mounts],
            gpus=place.gpus,
            folder=folder,
            log=log,
        )
    if proved is None:
        lacks = tuple(place.engine.lacks(list(place.gpu_ids)))
        write_proof(shared, spec.plan, Proof(host=node(), at=time.time(), lacks=lacks))


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all; others of the same name may be written at the same time."""
    partial = path.with_name(f".{path.name}.{node()}-{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


@contextlib.contextmanager
def _heeding(stop: Stop) -> Iterator[None]:
    """Let the case in flight end when the job is asked to end, and end it too when that takes too long."""
    timers: list[threading.Timer] = []

    def ask(*_: object) -> None:
        if not stop.soon.is_set():
            stop.soon.set()
            timer = threading.Timer(GRACE_S, stop.now.set)
            timer.daemon = True
            timer.start()
            timers.append(timer)

    asked = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
    before = {number: signal.signal(number, ask) for number in asked}
    try:
        yield
    finally:
        for timer in timers:
            timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)
