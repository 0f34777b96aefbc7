"""A pool whose shards are carried out by the workers of a running Dask scheduler.

Dask finds a free worker with the right GPUs and tells when one is lost; nothing else of it is relied on. What counts
are the files in the shared folder: a scheduler, a worker or this driver may die at any time, and what has an outcome
is not done again.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from harness.cluster.config import DaskCluster
from harness.cluster.host import HostAnswer, HostCheck, HostQuestion, asking, clock_check, refuse_failures
from harness.cluster.session import Session
from harness.cluster.tasks import answer, carry_out, running, task
from harness.cluster.worker import GPU, SLOT
from harness.errors import BenchError, PrerequisiteError
from harness.foreign import parse_json
from harness.runs.pools import Elsewhere, Seen, ShardId, Wake
from harness.runs.report import ShardReport
from harness.runs.spec import ShardSpec

if TYPE_CHECKING:
    from distributed import Future

#: Cases of one shard, at most.
MAX_CASES = 50

#: Seconds between two looks at the workers, and for which a run waits for one when none is left.
_LOOK_AT_WORKERS_S, _WORKERLESS_S = 5.0, 600.0

#: Seconds for what a worker is asked to try out: an image may have to be loaded first.
_EXAMINE_S = 1800.0


class DaskPool:
    """Shards on the workers of a Dask scheduler.

    Parameters
    ----------
    cluster
        The cluster.
    gpus
        GPUs to use at once; 0: all workers.
    log
        Shows one line.

    Raises
    ------
    PrerequisiteError
        When Dask is not installed, or the scheduler does not answer or is another one.
    """

    look_s = 1.0
    detach = False
    redeals = 3

    def __init__(self, cluster: DaskCluster, *, gpus: int, log: Callable[[str], None]) -> None:
        self.name = f"dask {cluster.name}"
        self.engine: str = cluster.engine
        self.shared = cluster.shared
        self._cluster, self._log = cluster, log
        self._gpus = gpus
        self._session = Session(cluster)
        self._waiting: deque[tuple[ShardSpec, Wake]] = deque()
        self._open: dict[ShardId, tuple[Future, int]] = {}  #: what was handed in, and the GPUs that it takes
        self._earlier: frozenset[ShardId] = self._running()  #: shards that an earlier command handed in
        self._ended: list[ShardReport] = []
        self._lock = threading.Lock()
        self._looked = self._workers_seen = time.monotonic()
        self._told = False  #: whether it was said that no worker is left

    # -- workers ------------------------------------------------------------------------------------------------------

    def workers(self, gpus: int) -> list[str]:
        """Return the addresses of the workers whose shards may have so many GPUs; 0: those of ``bench worker``."""
        return [address for address, one in self._session.workers().items() if _offers(one, gpus)]

    def require_workers(self, gpus: int) -> list[str]:
        """Return what :meth:`workers` does; raise PrerequisiteError where there is none.

        Parameters
        ----------
        gpus
            Number of GPUs that a container gets.
        """
        known = self._session.workers()
        able = [address for address, one in known.items() if _offers(one, gpus)]
        if able:
            return able
        start = f"start one for each GPU: bench worker --address {self._session.address} --shared {self.shared}"
        if not known:
            raise PrerequisiteError(f"cluster {self._cluster.name!r} has no workers", fix=start)
        ours = [one for one in known.values() if _offers(one, 0)]
        if not ours:
            raise PrerequisiteError(
                f"none of the {len(known)} workers of cluster {self._cluster.name!r} was started by bench", fix=start
            )
        offered = ", ".join(f"{one['name']} {_count(one, GPU):g}" for one in ours)
        raise PrerequisiteError(
            f"a container of this model needs {gpus} GPU{'s' if gpus > 1 else ''}, and no worker of cluster "
            f"{self._cluster.name!r} has as many: {offered}",
            fix=f"{start} --gpu-ids 0{''.join(f',{number}' for number in range(1, gpus))}",
            lacking="gpu",
        )

    def prove(self, shard: ShardSpec, *, gpu_memory_mb: int) -> tuple[str, ...]:
        """Prove that every worker that could run shards like this one can; return what their engines cannot do.

        Raises
        ------
        PrerequisiteError
            What is wrong, on which host, and the fix.
        """
        with asking(self._cluster, gpus=shard.gpus, gpu_memory_mb=gpu_memory_mb, shard=shard) as question:
            answers = self.examine(question)
        refuse_failures([check for checks, _ in answers for check in checks], self._cluster.name)
        return tuple(dict.fromkeys(lack for _, lacks in answers for lack in lacks))

    def examine(self, question: HostQuestion) -> list[tuple[list[HostCheck], tuple[str, ...]]]:
        """Return what each worker that could run a shard says of its host, and what its engine cannot do.

        Parameters
        ----------
        question
            The question, with the GPUs of a container.
        """
        known = self._session.workers()
        addresses = self.require_workers(question.gpus)
        asked = time.time()
        texts = self._session.ask(answer, question.model_dump_json(), workers=addresses, seconds=_EXAMINE_S)
        answered = time.time()
        found: list[tuple[list[HostCheck], tuple[str, ...]]] = []
        for address in addresses:
            name = str(known.get(address, {}).get("name", address))
            try:
                said = HostAnswer.model_validate_json(texts.get(address, ""))
            except ValueError:
                heard = texts.get(address) or "it did not answer"
                fix = "install the same version of groundbench there, and start `bench worker` again"
                line = HostCheck(host=name, subject="worker", verdict="failed", found=heard, fix=fix)
                found.append(([line], ()))
                continue
            clock = clock_check(said.checks[0].host, asked, said, answered)
            found.append(([*said.checks, clock], said.lacks))
        return found

    def secure(self) -> HostCheck:
        """Return the line about the scheduler: where it is, and who can use it."""
        address = self._session.address
        found = f"{address} answers, {len(self._session.workers())} workers"
        if address.startswith("tls:"):
            found += f"; encrypted, only for those who can read {self.shared / 'tls'}"
            return HostCheck(host="driver", subject="scheduler", verdict="ok", found=found)
        return HostCheck(
            host="driver",
            subject="scheduler",
            verdict="warning",
            found=f"{found}; not encrypted: everybody who reaches this port runs code as you",
            fix="use a tls:// address where other people have access to this machine or network",
        )

    def _running(self) -> frozenset[ShardId]:
        """Return the shards that run on workers, whoever handed them in."""
        addresses = self.workers(0)
        found: set[ShardId] = set()
        if addresses:
            for text in self._session.ask(running, workers=addresses, seconds=30).values():
                with contextlib.suppress(ValueError, TypeError):  # an answer that is not ours
                    run, number = parse_json(text)
                    found.add(ShardId(str(run), int(number)))
        return frozenset(found)

    # -- the pool -----------------------------------------------------------------------------------------------------

    def parts(self, cases: int, gpus: int) -> int:
        """Return one part a worker, or as many more as are needed for parts of a moderate size."""
        at_once = len(self.workers(gpus))
        if self._gpus and gpus:
            at_once = min(at_once, self._gpus // gpus)
        return min(cases, max(1, at_once, math.ceil(cases / MAX_CASES)))

    def start(self, specs: Sequence[ShardSpec], wake: Wake) -> None:
        """Hand in shards; each has the time that a shard should take, and at least that of a case."""
        for spec in specs:
            self._waiting.append((spec.within(self._cluster.shard_minutes), wake))
        self._hand_in()

    def poll(self) -> Seen:
        """Return what waits or runs, and the new reports; raises BenchError where scheduler or workers are gone."""
        if self._session.lost:
            raise self._session.gone("the connection broke off")
        if time.monotonic() - self._looked > _LOOK_AT_WORKERS_S:
            self._look_at_workers()
            self._looked = time.monotonic()
        self._hand_in()
        with self._lock:
            ended, self._ended = tuple(self._ended), []
            waiting = {ShardId(spec.run, spec.number) for spec, _ in self._waiting}
            return Seen(frozenset(waiting | self._open.keys() | self._earlier), ended)

    def stop(self, *, now: bool) -> None:  # noqa: ARG002 - the stop file of the run tells the shards which it is
        """Withdraw what has not begun; what runs looks at the run's stop file."""
        self._waiting.clear()
        begun = self._running()
        with self._lock:
            withdrawn = [future for shard, (future, _) in self._open.items() if shard not in begun]
        if withdrawn:
            self._session.call(lambda: self._session.client.cancel(withdrawn))

    def close(self) -> None:
        """Let go of the scheduler, which then forgets what has not begun."""
        self._session.close()

    def _hand_in(self) -> None:
        """Hand in what waits, as far as it keeps within the GPUs to use."""
        while self._waiting:
            spec, wake = self._waiting[0]
            with self._lock:
                taken = sum(gpus for _, gpus in self._open.values())
            if self._gpus and self._open and taken + spec.gpus > self._gpus:
                return
            self._waiting.popleft()
            self._session.call(partial(self._submit, spec, wake))

    async def _submit(self, spec: ShardSpec, wake: Wake) -> None:
        shard = ShardId(spec.run, spec.number)
        future = self._session.client.submit(
            carry_out,
            task(spec, self.shared, self._cluster.scratch),
            key=f"{spec.run}-{spec.number}-{secrets.token_hex(4)}",
            resources={GPU: spec.gpus} if spec.gpus else {SLOT: 1},
            retries=0,
            pure=False,
        )
        with self._lock:
            self._open[shard] = future, spec.gpus
        follower = asyncio.get_running_loop().create_task(self._follow(shard, future, wake))
        follower.add_done_callback(lambda ended: ended.cancelled() or ended.exception())

    async def _follow(self, shard: ShardId, future: Future, wake: Wake) -> None:
        """Wait for the end of a shard, whatever that is, and keep its report."""
        try:
            report = ShardReport.from_json(await future)
            if (report.run, report.shard) != shard:
                report = replace(report, run=shard.run, shard=shard.number, state="lost")
        except BaseException as error:  # noqa: BLE001 - also Dask's own for a worker that was lost
            report = ShardReport(
                shard.run, shard.number, "lost", reason=f"{type(error).__name__}: {error}".split("\n")[0]
            )
        with self._lock:
            self._open.pop(shard, None)
            self._ended.append(report)
        wake(shard.run, "")

    def _look_at_workers(self) -> None:
        """See which shards of earlier commands still run, and whether there is a worker for ours."""
        if self._earlier:
            self._earlier &= self._running()
        with self._lock:
            needed = max((gpus for _, gpus in self._open.values()), default=None)
        now = time.monotonic()
        if needed is None or self.workers(needed):
            if self._told:
                self._log("there is a worker again")
            self._workers_seen, self._told = now, False
            return
        if not self._told:
            self._told = True
            self._log(
                f"warning: {self.name} has no worker left for {needed} GPUs; waiting up to {_WORKERLESS_S / 60:.0f} "
                "minutes for one"
            )
        if now - self._workers_seen > _WORKERLESS_S:
            raise PrerequisiteError(
                f"{self.name} has had no worker for {_WORKERLESS_S / 60:.0f} minutes",
                fix="start workers; the same command goes on with what is left",
            )


def _offers(worker: Mapping[str, Any], gpus: int) -> bool:
    return _count(worker, SLOT) >= 1 and _count(worker, GPU) >= gpus


def _count(worker: Mapping[str, Any], resource: str) -> float:
    return float((worker.get("resources") or {}).get(resource, 0))


def check(
    cluster: DaskCluster, *, gpus: int, shard: Callable[[Elsewhere], ShardSpec] | None, log: Callable[[str], None]
) -> Iterator[HostCheck]:
    """Yield what is to be known of a cluster before it is used, each line as soon as it is known.

    Parameters
    ----------
    cluster
        The cluster.
    gpus
        GPUs that a container gets.
    shard
        Called for the shard of a model that the hosts try out; None: a container of the base image.
    log
        Shows one line.
    """
    try:
        pool = DaskPool(cluster, gpus=gpus, log=log)
    except BenchError as error:
        yield HostCheck(host="driver", subject="scheduler", verdict="failed", found=error.message, fix=error.fix)
        return
    try:
        yield pool.secure()
        tried = None if shard is None else shard(pool)
        with asking(cluster, gpus=gpus if tried is None else tried.gpus, shard=tried) as question:
            answers = pool.examine(question)
        for checks, _ in answers:
            yield from checks
    except BenchError as error:
        yield HostCheck(host="driver", subject="workers", verdict="failed", found=error.message, fix=error.fix)
    finally:
        pool.close()
