"""A pool whose shards are the jobs of Slurm: arrays that are handed in and looked at, and files for everything else.

There is no connection to a job, so the command that handed it in may end, die or leave on purpose, and the same
command later follows the jobs that are left. ``jobs.json`` in a run's folder names them. A name is written there
before Slurm is asked for anything, and jobs are found by it: whether an array exists is never a matter of the
command's having lived to read its number.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from harness.cluster import sbatch
from harness.cluster.config import SlurmCluster
from harness.cluster.host import asking, refuse_failures
from harness.cluster.job import Proof, read_proof, report_file, write_proof
from harness.cluster.probe import ask, last_words, options, require
from harness.errors import BenchError, DataError, PrerequisiteError
from harness.runs.pools import Seen, ShardId, Wake
from harness.runs.report import ShardReport
from harness.runs.spec import ShardSpec

#: Name of the file in a run's folder, and of the folder in it that receives what jobs print.
JOBS, LOGS = "jobs.json", "slurm"

#: Cases of a shard at most: what is lost with a host, and dealt again.
MAX_CASES = 50

#: Seconds for which the controller may be silent; its jobs go on meanwhile.
SILENCE_S = 900.0

#: Seconds for which the report of a job that ended well may not be seen here yet.
_UNSEEN_S = 120.0


@dataclass(frozen=True)
class Array:
    """An array of jobs that was handed in, or was about to be.

    Attributes
    ----------
    name
        Its unique name.
    shards
        The number of the shard that each element runs.
    job
        Its number; empty until Slurm has told it.
    """

    name: str
    shards: tuple[int, ...]
    job: str = ""


_ARRAYS = TypeAdapter(dict[str, Array])


class SlurmPool:
    """Shards as jobs of a Slurm cluster.

    Parameters
    ----------
    cluster
        The cluster, as ``clusters.toml`` describes it.
    gpus
        GPUs that the containers of a run may have together; 0: they compute on the CPU.
    detach
        Whether the command leaves when everything is handed in.
    log
        Shows one line.

    Raises
    ------
    BenchError
        When an option cannot be given, the shared folder is not there, or Slurm does not answer or would refuse.
    """

    redeals = 2

    def __init__(self, cluster: SlurmCluster, *, gpus: int, log: Callable[[str], None], detach: bool = False) -> None:
        self.name = f"slurm {cluster.name}"
        self.shared = cluster.shared.resolve()
        self.engine: str = cluster.engine
        self.detach = detach
        self._cluster, self._gpus, self._log = cluster, gpus, log
        self._arrays: dict[str, tuple[Path, Array]] | None = None  #: name -> the run's folder and the array
        self._open: frozenset[ShardId] = frozenset()
        self._ended: dict[ShardId, float] = {}  #: jobs that ended well without a report that is seen, and since when
        self._silent_since: float | None = None
        self._waits = ""
        self._now = False
        self._began = time.monotonic()
        self.look_s = 1.0
        require(cluster, gpus=min(gpus, 1), log=log)

    def prove(self, shard: ShardSpec, *, gpu_memory_mb: int) -> tuple[str, ...]:
        """Prove with a small job that a node can run shards like this one; return what its engine cannot do.

        A plan for which a node was tried out is believed. A command that leaves does not wait for a job: every job
        tries its host out before its first case, and a row says what the hosts that ran it could not do.

        Raises
        ------
        PrerequisiteError
            What is wrong, and the fix.
        """
        require(self._cluster, gpus=shard.gpus, log=self._log)
        proved = read_proof(self.shared, shard.plan)
        if proved is not None:
            return proved.lacks
        if self.detach:
            return ()
        with asking(self._cluster, gpus=shard.gpus, gpu_memory_mb=gpu_memory_mb, shard=shard) as question:
            checks, answer = ask(self._cluster, question, self._log)
        refuse_failures(checks, self._cluster.name)
        write_proof(self.shared, shard.plan, Proof(host=checks[-1].host, at=answer.ended, lacks=answer.lacks))
        return answer.lacks

    def parts(self, cases: int, gpus: int) -> int:
        """Return one part for each job that may run at once, and more where they would be large."""
        return min(cases, max(self._at_once(gpus), math.ceil(cases / MAX_CASES)))

    def _at_once(self, gpus: int) -> int:
        return min(self._cluster.max_jobs, max(1, self._gpus // gpus) if gpus else self._cluster.max_jobs)

    # -- handing in ---------------------------------------------------------------------------------------------------

    def start(self, specs: Sequence[ShardSpec], wake: Wake) -> None:  # noqa: ARG002 - a job cannot call
        """Hand in an array for the shards of each run.

        Raises
        ------
        BenchError
            When Slurm refuses. Where it does not answer, the array is looked for later: it may have been handed in.
        """
        for folder, group in groupby(specs, key=lambda spec: spec.folder):
            mine = [self._timed(spec) for spec in group]
            for first in range(0, len(mine), sbatch.MAX_ELEMENTS):
                self._hand_in(folder, mine[first : first + sbatch.MAX_ELEMENTS])

    def _timed(self, spec: ShardSpec) -> ShardSpec:
        """Return a shard with the time that one should take, and at least that of a case, in its file."""
        timed = spec.within(self._cluster.shard_minutes)
        timed.write(self.shared)
        return timed

    def _hand_in(self, folder: Path, specs: Sequence[ShardSpec]) -> None:
        gpus = specs[0].gpus
        array = Array(f"groundbench-{folder.name}-{secrets.token_hex(4)}", tuple(spec.number for spec in specs))
        self._keep(folder, array)
        where = ["--shared", str(self.shared), "--scratch", self._cluster.scratch]
        calls = [["shard", *where, str(spec.file)] for spec in specs]
        try:
            number = sbatch.hand_in(
                sbatch.job_script(calls, setup=self._cluster.setup),
                name=array.name,
                count=len(specs),
                at_once=self._at_once(gpus),
                folder=self.shared,
                logs=folder / LOGS,
                options=options(self._cluster, gpus=gpus),
            )
        except sbatch.SlurmSilentError as error:
            self._log(f"warning: {error.message}; whether the jobs were handed in is looked up as soon as it answers")
            return
        except BenchError:
            self._forget(folder, array)
            raise
        self._keep(folder, replace(array, job=number))
        self._log(f"{folder.name}: handed in as job {number} of {self.name}, {len(specs)} shards")

    # -- looking ------------------------------------------------------------------------------------------------------

    def poll(self) -> Seen:
        """Ask the queue, and read the reports of the jobs that have ended.

        Raises
        ------
        BenchError
            When Slurm refuses to tell, or has not answered for too long.
        """
        # Many share the queue: the longer a run takes, the fewer looks; its end is seen a hundredth of its time late.
        self.look_s = max(1.0, min(30.0, (time.monotonic() - self._began) / 100))
        arrays = self._known()
        if not arrays:
            return Seen(frozenset())
        try:
            elements = {(found.name, found.index): found for found in sbatch.look(list(arrays))}
        except sbatch.SlurmSilentError as error:
            return self._silent(error)
        self._silent_since = None
        self._tell_waiting(list(elements.values()))
        open_: set[ShardId] = set()
        reports: list[ShardReport] = []
        for folder, array in list(arrays.values()):
            for index, number in enumerate(array.shards):
                shard, element = ShardId(folder.name, number), elements.get((array.name, index))
                report = None if element is not None and element.lives else self._report(folder, shard, array, element)
                if report is None:
                    open_.add(shard)
                else:
                    reports.append(report)
            if not any(ShardId(folder.name, number) in open_ for number in array.shards):
                self._forget(folder, array)
        self._open = frozenset(open_)
        return Seen(self._open, tuple(reports))

    def _report(self, folder: Path, shard: ShardId, array: Array, element: sbatch.Element | None) -> ShardReport | None:
        """Return the report of a job that has ended; None where it may still come."""
        try:
            return ShardReport.from_json(report_file(folder, shard.number).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            pass
        state = element.state if element else ""
        if state == "COMPLETED" and time.monotonic() - self._ended.setdefault(shard, time.monotonic()) < _UNSEEN_S:
            return None
        if not array.job and element is None:
            return ShardReport(*shard, "lost", reason="it was not handed in")
        reason = f"its job {array.job} has ended: {state or 'it is no longer in the queue'}"
        if element is not None and element.reason:
            reason += f", {element.reason}"
        said = last_words(folder / LOGS, f"{array.job}_{array.shards.index(shard.number)}")
        said = f"it printed last: {said}" if said else f"it printed nothing: does the node see {self.shared}?"
        return ShardReport(*shard, "lost", element.node if element else "", f"{reason}; {said}")

    def _silent(self, error: sbatch.SlurmSilentError) -> Seen:
        """Bear the controller's silence for a while: nothing is known to have changed."""
        now = time.monotonic()
        if self._silent_since is None:
            self._silent_since = now
            self._log(f"warning: {error.message}; its jobs go on, and what they finish is taken")
        if now - self._silent_since > SILENCE_S:
            raise PrerequisiteError(
                f"{self.name} has not answered for {SILENCE_S / 60:.0f} minutes: {error.message}",
                fix="the jobs go on; the same command follows them when Slurm answers again",
            ) from error
        known = self._known()
        handed_in = (ShardId(folder.name, number) for folder, array in known.values() for number in array.shards)
        return Seen(self._open or frozenset(handed_in))

    def _tell_waiting(self, elements: Sequence[sbatch.Element]) -> None:
        """Show why jobs wait, whenever that changes."""
        reasons = sorted({found.reason for found in elements if found.state != "RUNNING" and found.lives} - {""})
        waits = "; ".join(reasons)
        if waits and waits != self._waits:
            self._log(f"{self.name}: jobs wait: {waits}")
        self._waits = waits

    # -- ending -------------------------------------------------------------------------------------------------------

    def stop(self, *, now: bool) -> None:
        """Cancel the jobs that wait; those that run look at the run's stop file."""
        self._now = self._now or now
        self._cancel(waiting=True)

    def close(self) -> None:
        """Cancel what still lives after it had to end now; otherwise jobs go on without this command."""
        if self._now and self._open:
            self._cancel(waiting=False)

    def _cancel(self, *, waiting: bool) -> None:
        try:
            sbatch.cancel(list(self._known()), waiting=waiting)
        except BenchError as error:
            self._log(f"warning: jobs could not be cancelled: {error.message}")

    # -- what is kept -------------------------------------------------------------------------------------------------

    def _known(self) -> dict[str, tuple[Path, Array]]:
        """Return every array that is handed in, also by an earlier command."""
        if self._arrays is None:
            found = [(path.parent, _read(path)) for path in sorted((self.shared / "runs").glob(f"*/{JOBS}"))]
            self._arrays = {name: (folder, array) for folder, arrays in found for name, array in arrays.items()}
        return self._arrays

    def _keep(self, folder: Path, array: Array) -> None:
        self._known()[array.name] = (folder, array)
        self._write(folder)

    def _forget(self, folder: Path, array: Array) -> None:
        del self._known()[array.name]
        self._write(folder)

    def _write(self, folder: Path) -> None:
        arrays = {name: array for name, (of, array) in self._known().items() if of == folder}
        path = folder / JOBS
        if not arrays:
            path.unlink(missing_ok=True)
            return
        partial = path.with_name(f".{path.name}")
        partial.write_bytes(_ARRAYS.dump_json(arrays, indent=1))
        partial.replace(path)


def _read(path: Path) -> dict[str, Array]:
    try:
        return _ARRAYS.validate_json(path.read_bytes())
    except ValidationError as error:
        raise DataError(
            f"{path} cannot be read: {error.errors()[0]['msg']}",
            fix="`squeue --me` shows the jobs; cancel them and remove the file",
            path=path,
        ) from error
