"""Slurm's commands: hand in an array of jobs, look at it, cancel it.

Nothing but what Slurm prints for programs (``--parsable``, ``--format``) is read, and neither ``sacct`` nor a database
of accounts is required: what a job has come to is told by files, the queue only tells whether it still lives. A job
is found by its name, which is unique, so that one that was handed in by a process that died before it learnt the
job's number is found as well.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import PrerequisiteError, UsageError

#: Elements of one array; Slurm's own default allows indices below 1001.
MAX_ELEMENTS = 1000

#: Seconds after which a command is given up; where no controller answers they give up themselves, after about ten.
_PATIENCE_S = 90.0

#: What becomes of a job that has ended; every other state is one of a job that lives.
ENDED = frozenset(
    {
        "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED",
        "REVOKED", "TIMEOUT",
    }
)  # fmt: skip

#: Options of ``sbatch`` that are ours, with the reason why nobody else can give them.
_OURS = {
    "--array": "the shards of a run are its elements",
    "--clusters": "jobs are looked for where they are handed in; log on to that cluster",
    "--chdir": "jobs start in the shared folder",
    "--error": "it goes to the shared folder",
    "--job-name": "jobs are found by it",
    "--output": "it goes to the shared folder",
    "--parsable": "the job's number is read",
    "--test-only": "`bench cluster check` does that",
    "--wait": "--detach is for not waiting",
    "--wrap": "jobs run `bench shard`",
}
_SHORT = {"-a": "--array", "-M": "--clusters", "-D": "--chdir", "-e": "--error", "-J": "--job-name", "-o": "--output"}
_SHORT |= {"-W": "--wait"}

#: Options that ask for GPUs.
_GPUS = ("--gres", "--gpus", "--gpus-per-node", "--gpus-per-task", "--gpus-per-socket", "--tres-per-task")


class SlurmSilentError(PrerequisiteError):
    """Slurm's controller did not answer, which says nothing about its jobs."""


@dataclass(frozen=True)
class Element:
    """One job of an array, as the queue shows it.

    Attributes
    ----------
    name, job
        Name and number of the array.
    index
        Its place in the array.
    state
        Slurm's word, such as ``PENDING``.
    node
        The node it runs on; empty while it waits.
    reason
        Why it waits, or how it ended, in Slurm's word; empty where there is none.
    """

    name: str
    job: str
    index: int
    state: str
    node: str = ""
    reason: str = ""

    @property
    def lives(self) -> bool:
        """Whether it waits or runs."""
        return self.state not in ENDED


def check_options(options: Sequence[str], where: str) -> None:
    """Raise UsageError where options of ``sbatch`` contain one that is ours, or none.

    Parameters
    ----------
    options
        As ``clusters.toml`` has them.
    where
        What they are a part of, for the message.
    """
    for option in options:
        name = option.partition("=")[0]
        ours = name if name in _OURS else "" if name.startswith("--") else _SHORT.get(option[:2], "")
        if ours:
            raise UsageError(f"{where}: sbatch option {option!r} cannot be given: {_OURS[ours]}", fix="remove it")


def names_gpus(options: Sequence[str]) -> bool:
    """Return whether options of ``sbatch`` ask for GPUs."""
    return any(option.partition("=")[0] in _GPUS or (option[:2] == "-G") for option in options)


def job_script(calls: Sequence[Sequence[str]], *, setup: str = "") -> str:
    """Return the script of an array whose elements call ``bench``, each in its own way.

    Parameters
    ----------
    calls
        Arguments of ``bench``, for each element.
    setup
        Shell commands before it. Where ``bench`` is on the PATH after them it is used, otherwise, and without them,
        the interpreter of this process, which the nodes must see under the same path.
    """
    lines = ["#!/bin/bash", *([setup.rstrip()] if setup.strip() else [])]
    # -P: a file named groundbench.py in the shared folder is none of ours.
    this = f"{shlex.quote(sys.executable)} -P -m groundbench"
    choice = f"if command -v bench >/dev/null; then bench=(bench); else bench=({this}); fi"
    lines.append(choice if setup.strip() else f"bench=({this})")
    lines.append('case "$SLURM_ARRAY_TASK_ID" in')
    # `exec`, so that the signals of Slurm reach bench itself.
    lines += [f'{index}) exec "${{bench[@]}}" {shlex.join(call)} ;;' for index, call in enumerate(calls)]
    return "\n".join([*lines, "esac", ""])


def hand_in(
    script: str, *, name: str, count: int, at_once: int, folder: Path, logs: Path, options: Sequence[str] = ()
) -> str:
    """Hand in an array of jobs; return its number.

    Parameters
    ----------
    script
        What each job runs.
    name
        The unique name.
    count
        Number of elements, at most `MAX_ELEMENTS`; their indices begin at 0.
    at_once
        How many may run at once.
    folder, logs
        Where jobs start, and the folder that receives what they print; both are seen by the nodes.
    options
        Further options of ``sbatch``.

    Raises
    ------
    SlurmSilentError
        When the controller does not answer: whether the array was handed in is not known.
    PrerequisiteError
        When Slurm refuses, with its own words.
    """
    logs.mkdir(exist_ok=True)
    said = _call(
        "sbatch",
        *options,
        "--parsable",
        f"--job-name={name}",
        f"--array=0-{count - 1}%{max(1, min(at_once, count))}",
        f"--chdir={folder}",
        f"--output={logs}/%A_%a.log",
        "--open-mode=append",
        stdin=script,
        environment=_outside(os.environ),
    )
    number = said.strip().partition(";")[0]
    if not number.isdigit():
        raise PrerequisiteError(
            f"sbatch printed {said.strip()[:200]!r}, not a job's number",
            fix=f"look whether {name} is in `squeue`; a wrapper around sbatch must pass --parsable on",
        )
    return number


def look(names: Sequence[str]) -> list[Element]:
    """Return the elements of the arrays with these names: those that live, and for a while those that have ended.

    Raises
    ------
    SlurmSilentError
        When the controller does not answer.
    """
    said = _call(
        "squeue",
        "--noheader",
        "--array",
        "--states=all",
        f"--user={os.getuid()}",
        f"--name={','.join(names)}",
        "--format=%j|%F|%K|%T|%N|%r",
    )
    found = []
    for line in said.splitlines():
        parts = line.strip().split("|", 5)
        if len(parts) == 6 and parts[0] in names and parts[1].isdigit() and parts[2].isdigit():
            name, job, index, state, node, reason = parts
            reason = "" if reason in ("None", "(null)") else reason
            found.append(Element(name, job, int(index), state, node, reason))
    return found


def cancel(names: Sequence[str], *, waiting: bool = False) -> None:
    """Cancel every job with one of these names, or only those that wait; what has ended is left alone."""
    for name in names:
        _call("scancel", f"--user={os.getuid()}", f"--name={name}", *(["--state=PENDING"] if waiting else []))


def cancel_quietly(names: Sequence[str]) -> None:
    """Cancel every job with one of these names, as far as Slurm lets us."""
    with contextlib.suppress(PrerequisiteError):
        cancel(names)


def test_only(options: Sequence[str]) -> str:
    """Return what Slurm says about a job with these options without queueing it; raises as :func:`hand_in` does."""
    said = _call("sbatch", *options, "--test-only", stdin="#!/bin/sh\n", environment=_outside(os.environ), errors=True)
    return " ".join(said.replace("sbatch:", "").split())


def any_node_answers() -> bool:
    """Return whether a node of any partition can take jobs now or after those that it has; True where nobody says.

    While a controller or all nodes have just been restarted, Slurm refuses what it would take a little later.
    """
    try:
        states = _call("sinfo", "--noheader", "--Node", "--format=%T").split()
    except PrerequisiteError:
        return True
    return any(state.rstrip("$") in _ANSWERING for state in states)


def time_left() -> float | None:
    """Return the seconds that are left to the job that this process is a part of; None where nothing limits it.

    Asked for relative to now: no clock of this host is compared with the controller's.
    """
    job = os.environ.get("SLURM_JOB_ID", "")
    if not job or not shutil.which("squeue"):
        return None
    try:
        said = _call("squeue", "--noheader", f"--jobs={job}", "--format=%A %L")
    except PrerequisiteError:
        return None
    # The number of an array is also that of one of its elements, and stands for all of them.
    return next((_seconds(left) for number, _, left in (line.partition(" ") for line in said.splitlines())
                 if number == job), None)  # fmt: skip


def _seconds(said: str) -> float | None:
    """Read ``days-hours:minutes:seconds``; None for a word such as UNLIMITED."""
    days, dash, clock = said.rpartition("-")
    parts = clock.split(":")
    if not all(part.isdigit() for part in parts) or (dash and not days.isdigit()):
        return None
    seconds = 0
    for part in parts:
        seconds = seconds * 60 + int(part)
    return float(seconds + 86400 * int(days or 0))


def _outside(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for handing in a job from within another one: what that one was given stays with it."""
    granted = ("CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "NVIDIA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
    inside = "SLURM_JOB_ID" in environment
    return {
        name: value
        for name, value in environment.items()
        if not inside or name == "SLURM_CONF" or not (name.startswith("SLURM") or name in granted)
    }


def _call(
    program: str, *arguments: str, stdin: str = "", environment: Mapping[str, str] | None = None, errors: bool = False
) -> str:
    """Run one of Slurm's commands; return what it prints, on standard error where `errors`."""
    try:
        ended = subprocess.run(
            [program, *arguments],
            input=stdin,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE_S,
            check=False,
        )
    except FileNotFoundError as error:
        raise PrerequisiteError(
            f"{program} is not installed here: jobs are handed in where Slurm's commands are",
            fix="log on to a login node of the cluster, and run the same command there",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise SlurmSilentError(
            f"{program} gave no answer within {_PATIENCE_S:.0f} s", fix="`scontrol ping` tells whether Slurm is up"
        ) from error
    if ended.returncode == 0:
        return ended.stderr if errors else ended.stdout
    said = " ".join(ended.stderr.split()) or f"exit code {ended.returncode}"
    if any(word in said for word in _SILENT):
        raise SlurmSilentError(
            f"Slurm does not answer: {said[:500]}", fix="`scontrol ping` tells whether its controller is up"
        )
    raise PrerequisiteError(
        f"Slurm refused: {said[:500]}",
        fix="see `sbatch` of this cluster in clusters.toml, and `sinfo` for what there is",
    )


#: States of nodes that have reported, as ``sinfo`` spells them; one that does not answer has an asterisk.
_ANSWERING = frozenset({"idle", "mixed", "allocated", "completing", "planned", "reserved"})

#: Parts of messages by which the commands say that nobody answered.
_SILENT = (
    "Unable to contact slurm controller",
    "Socket timed out",
    "Zero Bytes were transmitted",
    "Transport endpoint",
    "Connection refused",
    "connect failure",
)
