"""A Slurm of one node with two GPUs that do not exist, for tests and for trying out `docs/cluster.md`.

A job of the partition `urgent` takes the place of those of `main`, which are requeued, and of `spare`, which end.

``python -m tests.slurm_node FOLDER`` starts one and prints the variable by which Slurm's commands find it; Ctrl-C ends
it. Everything of it lies in one folder, and every process of it is known by the path of its configuration.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

#: What must be installed: Debian's packages `slurm-wlm` and `munge`.
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol")

_CONFIGURATION = """\
ClusterName=bench
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=10
CredType=cred/munge
SlurmUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SchedulerType=sched/backfill
SchedulerParameters=sched_min_interval=100000,sched_interval=1,batch_sched_delay=0,bf_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
SlurmdTimeout=30
KillWait=5
JobRequeue=1
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
DefMemPerCPU=1000
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=4000 Gres=gpu:2 State=UNKNOWN
PartitionName=DEFAULT Nodes={host} MaxTime=INFINITE DefaultTime=60 State=UP
PartitionName=main Default=YES PriorityTier=1 PreemptMode=REQUEUE
PartitionName=spare PriorityTier=1 PreemptMode=CANCEL
PartitionName=urgent PriorityTier=2 PreemptMode=OFF
"""


def problem() -> str:
    """Say why no Slurm can be started here; empty where one can."""
    if lacking := [name for name in PROGRAMS if not _program(name)]:
        return f"{', '.join(lacking)} is not installed (apt-get install slurm-wlm munge)"
    return "" if os.geteuid() == 0 else "a Slurm of one's own is started by root only"


def _program(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


@dataclass
class SlurmNode:
    """A controller and its only node; both, and what authenticates them, are processes of ours.

    Attributes
    ----------
    folder
        Configuration, state and logs; its path must be short, as a socket lies in it.
    cpus
        Jobs of one CPU that may run at once, whatever the machine has.
    """

    folder: Path
    cpus: int = 2
    _daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """The variable by which Slurm's commands find this one."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf")}

    def start(self) -> None:
        """Start everything, and wait until the node takes jobs."""
        host = socket.gethostname().split(".")[0]
        for name in ("state", "spool", "dev"):
            (self.folder / name).mkdir(exist_ok=True)
        for number in range(2):
            device = self.folder / "dev" / f"nvidia{number}"
            if not device.exists():  # of a device's kind: Slurm gives no numbers of ordinary files to a job
                os.mknod(device, 0o600 | stat.S_IFCHR, os.makedev(195, number))
        key = self.folder / "munge.key"
        if not key.exists():
            key.touch(mode=0o600)
            key.write_bytes(secrets.token_bytes(128))
        text = _CONFIGURATION.format(host=host, folder=self.folder, ports=_free_ports(2), cpus=self.cpus)
        (self.folder / "slurm.conf").write_text(text)
        gpus = f"NodeName={host} Name=gpu File={self.folder}/dev/nvidia[0-1] Flags=nvidia_gpu_env\n"
        (self.folder / "gres.conf").write_text(gpus)
        self._munge()
        self.controller()
        self.node()
        self.wait_for(lambda: self("sinfo", "--noheader", "--format=%T").strip() == "idle", "the node is not idle")

    def _munge(self) -> None:
        made = {"socket": "munge.socket", "pid-file": "munge.pid", "log-file": "munge.log", "seed-file": "munge.seed"}
        files = [f"--{name}={self.folder / file}" for name, file in made.items()]
        self._run("munged", "--foreground", "--force", f"--key-file={self.folder / 'munge.key'}", *files)
        self.wait_for((self.folder / "munge.socket").exists, "munge does not answer")

    def controller(self) -> None:
        """Start the controller, with the state that an earlier one left."""
        self._run("slurmctld", "-D")

        def up() -> bool:
            return "UP" in self._ask("scontrol", "ping").stdout

        self.wait_for(up, "the controller does not answer")

    def node(self) -> None:
        """Start the node's daemon."""
        self._run("slurmd", "-D")

    def _run(self, name: str, *arguments: str) -> None:
        program = _program(name)
        assert program, problem()
        with (self.folder / f"{name}.out").open("ab") as out:
            self._daemons[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", program, *arguments],  # not even a killed test leaves it
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def kill(self, name: str) -> None:
        """Kill ``slurmctld`` or ``slurmd``.

        A controller that is killed may give the number of a job again, and drains the node that knows it.
        """
        self._daemons[name].kill()
        self._daemons.pop(name).wait()

    def end(self, name: str) -> None:
        """Ask ``slurmctld`` or ``slurmd`` to end, as whoever restarts it does; its state is saved."""
        self._daemons[name].terminate()
        self._daemons.pop(name).wait(timeout=60)

    def die(self) -> None:
        """Kill the node: its daemon, and all that it runs. The controller does not hear of it."""
        self.kill("slurmd")
        self._end_jobs()

    def kill_watchers(self) -> None:
        """Kill what watches over jobs on the node, and leave the jobs alive."""
        self._end_jobs(only="slurmstepd")

    def settle(self) -> None:
        """Have the node tell what it runs: a controller that was killed may believe in a job that has ended."""
        self("scontrol", "reconfigure")

    def node_down(self) -> None:
        """Set the node down, as whoever runs the cluster does; its daemon brings it back as soon as it reports."""
        self("scontrol", "update", "NodeName=ALL", "State=DOWN", "Reason=test")

    def __call__(self, *command: str) -> str:
        """Run one of Slurm's commands; return what it prints."""
        ended = self._ask(*command)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def _ask(self, *command: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **self.environment}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)

    def jobs(self) -> dict[str, str]:
        """Return the state of every job and of every element of an array that has not ended."""
        lines = self("squeue", "--noheader", "--array", "--format=%i %T").splitlines()
        return dict(line.split() for line in lines)

    def wait_for(self, done: object, problem: str, seconds: float = 30) -> None:
        """Wait until `done()`; fail with the problem and the logs' last lines."""
        assert callable(done)
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                raise AssertionError(f"{problem}\n{self._said()}")
            time.sleep(0.05)

    def _said(self) -> str:
        logs = sorted(self.folder.glob("*.log")) + sorted(self.folder.glob("*.out"))
        return "\n".join(f"-- {log.name}\n{log.read_text(errors='replace')[-1500:]}" for log in logs)

    def clear(self) -> None:
        """Cancel every job, and wait until all have ended."""
        if "slurmctld" not in self._daemons:
            self.controller()
        if "slurmd" not in self._daemons:
            self.node()
        self("scancel", "--user=root")
        with contextlib.suppress(AssertionError):
            self.wait_for(lambda: not self.jobs(), "jobs do not end", seconds=20)
        self._end_jobs()
        self._ask("scontrol", "update", "NodeName=ALL", "State=RESUME")  # refused where nothing was drained

    def stop(self) -> None:
        """End every process of this Slurm, also those that a daemon left when it was killed."""
        for name in ("slurmctld", "slurmd", "munged"):
            if name in self._daemons:
                self.kill(name)
        self._end_jobs()

    def _end_jobs(self, only: str = "") -> None:
        """Kill what jobs have left, or what has this name; it is known by the configuration in its environment."""
        mark = f"SLURM_CONF={self.folder}/slurm.conf".encode()
        daemons = {process.pid for process in self._daemons.values()}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                pid, variables = int(folder.name), (folder / "environ").read_bytes().split(b"\0")
                # A command of a test has the configuration too, but no job's number.
                of_job = any(variable.startswith(b"SLURM_JOB_ID=") for variable in variables)
                name = (folder / "comm").read_text()
                chosen = name.startswith(only or "slurmstepd") or (of_job and not only)
                if mark in variables and chosen and pid not in daemons:
                    os.kill(pid, signal.SIGKILL)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        found = []
        for _ in range(count):
            listener = held.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            found.append(int(listener.getsockname()[1]))
        return found


def main() -> None:
    """Start a node in the folder that is named, until Ctrl-C or SIGTERM."""
    folder = Path(sys.argv[1]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if said := problem():
        sys.exit(said)
    node = SlurmNode(folder)
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background process would ignore Ctrl-C
        signal.signal(number, signal.default_int_handler)
    try:
        node.start()
        print(*(f"export {name}={value}" for name, value in node.environment.items()), flush=True)  # noqa: T201
        signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        node.stop()


if __name__ == "__main__":
    main()
