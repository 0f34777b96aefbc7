"""Asks a node of Slurm about itself: one small job, whose answer is a file."""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.cluster import sbatch
from harness.cluster.config import SlurmCluster
from harness.cluster.host import HostAnswer, HostCheck, HostQuestion, clock_check
from harness.cluster.job import ANSWER, QUESTION
from harness.errors import PrerequisiteError

#: Folder below the shared one.
PROBES = "probes"

#: Seconds for which the job may wait in the queue, and between two questions to Slurm.
_QUEUE_S, _LOOK_S = 3600.0, 1.0

#: Seconds between two looks for the answer's file, which cost nothing.
_FILE_LOOK_S = 0.1

#: Seconds within which a node answers after a restart of Slurm.
_SETTLE_S = 60.0

#: Seconds for which the answer of a job that has ended may not be seen yet.
_UNSEEN_S = 30.0


def options(cluster: SlurmCluster, *, gpus: int) -> list[str]:
    """Return the options of ``sbatch``: the cluster's, and a container's GPUs unless these name some."""
    asked = [f"--gres=gpu:{gpus}"] if gpus and not sbatch.names_gpus(cluster.sbatch) else []
    return [*cluster.sbatch, *asked]


def require(cluster: SlurmCluster, *, gpus: int, log: Callable[[str], None]) -> str:
    """Return what Slurm says to a job of a cluster, without handing it in.

    Parameters
    ----------
    cluster
        The cluster.
    gpus
        GPUs of one job.
    log
        Shows why Slurm is asked again.

    Raises
    ------
    BenchError
        When an option cannot be given, the shared folder is not there, or Slurm does not answer or would refuse.
    """
    sbatch.check_options(cluster.sbatch, f"cluster {cluster.name!r}")
    if not cluster.shared.is_dir():
        raise PrerequisiteError(
            f"the shared folder of cluster {cluster.name!r} is not there: {cluster.shared}",
            fix="make it on a file system that this host and the nodes see under one path, or correct `shared`",
        )
    until, told = time.monotonic() + _SETTLE_S, False
    while True:
        try:
            return sbatch.test_only(options(cluster, gpus=gpus))
        except sbatch.SlurmSilentError:
            raise
        except PrerequisiteError:  # it may be refused only because no node has reported since a restart
            if time.monotonic() >= until or sbatch.any_node_answers():
                raise
        if not told:
            log(f"no node of Slurm answers, as after a restart; asking again for at most {_SETTLE_S:.0f} s")
            told = True
        time.sleep(_LOOK_S)


def ask(
    cluster: SlurmCluster, question: HostQuestion, log: Callable[[str], None]
) -> tuple[list[HostCheck], HostAnswer]:
    """Ask the node that Slurm chooses, and wait for its answer.

    Parameters
    ----------
    cluster, question
        The cluster and the question, with the GPUs of a container.
    log
        Shows why the job waits.

    Returns
    -------
    checks, answer
        What the node says of itself, with its clock beside this host's; and all of the answer.

    Raises
    ------
    PrerequisiteError
        When Slurm refuses, the job waits for too long, or ends without an answer.
    """
    folder = cluster.shared.resolve() / PROBES / secrets.token_hex(6)
    folder.mkdir(parents=True)
    name = f"groundbench-check-{folder.name}"
    try:
        (folder / QUESTION).write_text(question.model_dump_json(), encoding="utf-8")
        call = ["shard", "--shared", str(cluster.shared), str(folder / QUESTION)]
        asked = time.time()
        job = sbatch.hand_in(
            sbatch.job_script([call], setup=cluster.setup),
            name=name,
            count=1,
            at_once=1,
            folder=cluster.shared,
            logs=folder,
            options=options(cluster, gpus=question.gpus),
        )
        log(f"slurm {cluster.name}: job {job} asks a node")
        text = _wait(name, folder, cluster, log)
        answer = HostAnswer.model_validate_json(text)
        return [clock_check(answer.checks[0].host, asked, answer, time.time()), *answer.checks], answer
    finally:
        sbatch.cancel_quietly([name])
        shutil.rmtree(folder, ignore_errors=True)


def _wait(name: str, folder: Path, cluster: SlurmCluster, log: Callable[[str], None]) -> str:
    """Return the answer of a job."""
    began = asked = time.monotonic()
    ended: float | None = None
    told = ""
    while True:
        try:
            return (folder / ANSWER).read_text(encoding="utf-8")
        except FileNotFoundError:
            time.sleep(_FILE_LOOK_S)
        if time.monotonic() - asked < _LOOK_S:
            continue
        asked = time.monotonic()
        (element, *_) = [*sbatch.look([name]), sbatch.Element(name, "", 0, "COMPLETED")]
        now = time.monotonic()
        if element.lives:
            if element.reason not in ("", told):
                told = element.reason
                log(f"slurm {cluster.name}: the job waits: {told}")
            if element.state == "PENDING" and now - began > _QUEUE_S:
                raise PrerequisiteError(
                    f"a job has waited in the queue of cluster {cluster.name!r} for an hour: {told}",
                    fix="ask for less, or for another partition; with --detach nobody has to wait",
                )
        else:
            ended = ended or now
            # What the other host has written may be seen here a little later; not so where it failed.
            if element.state != "COMPLETED" or now - ended > _UNSEEN_S:
                said = last_words(folder)
                raise PrerequisiteError(
                    f"the job on {element.node or 'a node'} of cluster {cluster.name!r} ended without an answer "
                    f"({element.state}{f', {element.reason}' if element.reason else ''}): "
                    + (said or f"it left nothing in {cluster.shared}: does the node see that folder?"),
                    fix="a node needs the shared folder and groundbench; see `setup` in clusters.toml",
                )


def last_words(folder: Path, name: str = "*") -> str:
    """Return the last two lines of a job's log; empty where there is none.

    Parameters
    ----------
    folder
        The folder of the logs.
    name
        Beginning of its name.
    """
    for log in folder.glob(f"{name}.log"):
        lines = log.read_text(encoding="utf-8", errors="replace")[-2000:].splitlines()
        return " ".join([line.strip() for line in lines if line.strip()][-2:])[:500]
    return ""


def check(cluster: SlurmCluster, question: HostQuestion, log: Callable[[str], None]) -> Iterator[HostCheck]:
    """Yield the lines of ``bench cluster check``: what Slurm says, then what a node says.

    Raises
    ------
    BenchError
        As :func:`require` and :func:`ask` do.
    """
    said = require(cluster, gpus=question.gpus, log=log)
    yield HostCheck(host="", subject="Slurm", verdict="ok", found=said)
    yield from ask(cluster, question, log)[0]
