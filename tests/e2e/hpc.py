"""A command line on a Slurm of one node, and what of it may not depend on the Slurm."""

from __future__ import annotations

import contextlib
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.conftest import processes
from tests.e2e.lab import content

if TYPE_CHECKING:
    from tests.conftest import Bench
    from tests.slurm_node import SlurmNode

STEADY = Path(__file__).parent / "plugins" / "steady"

#: Cases of the model that takes a while.
CASES = 8


@dataclass
class Cluster:
    """A command line whose clusters.toml describes the Slurm of the test.

    Attributes
    ----------
    slurm, bench, shared
        The Slurm, the driver's command line, and the folder that driver and node share.
    """

    slurm: SlurmNode
    bench: Bench
    shared: Path

    def describe(self, **keys: object) -> None:
        """Write clusters.toml."""
        told = {"kind": "slurm", "shared": str(self.shared), "max_jobs": 2, "sbatch": ["--time=30"], **keys}
        text = "\n".join(f"{key} = {json.dumps(value)}" for key, value in told.items())
        self.bench.home.mkdir(parents=True, exist_ok=True)
        (self.bench.home / "clusters.toml").write_text(f"[hpc]\n{text}\n")

    def run(self, *arguments: object) -> list[object]:
        """Return a command that runs on it."""
        return ["run", *arguments, "--cluster", "hpc"]

    def folder(self) -> Path | None:
        """Return the folder of the only run."""
        return next((self.shared / "runs").glob("*"), None)

    def outcomes(self) -> int:
        """Return how many cases have an outcome."""
        return len(list(self.shared.glob("runs/*/outcomes/*.json")))

    def wait_for_outcomes(self, count: int, seconds: float = 120) -> None:
        """Wait until so many cases have an outcome."""
        self.slurm.wait_for(lambda: self.outcomes() >= count, f"only {self.outcomes()} outcomes", seconds)

    def processes(self) -> dict[int, str]:
        """Return process -> element of every shard that runs: what Slurm's batch script has become."""
        found = {}
        for process in processes():
            if f"{self.shared}/runs/" in process.command and "/specs/" in process.command:
                with contextlib.suppress(OSError):
                    variables = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
                    told = dict(line.split(b"=", 1) for line in variables if b"=" in line)
                    job, index = told.get(b"SLURM_ARRAY_JOB_ID", b""), told.get(b"SLURM_ARRAY_TASK_ID", b"")
                    if job:
                        found[process.pid] = f"{job.decode()}_{index.decode()}"
        return found

    def shards(self) -> dict[str, int]:
        """Return element -> process of every shard that runs."""
        return {element: pid for pid, element in self.processes().items()}

    def wait_for_shard(self) -> tuple[str, int]:
        """Wait until a shard runs; return its element and its process."""
        self.slurm.wait_for(self.shards, "no shard runs", 60)
        return next(iter(self.shards().items()), ("", 0))

    def nothing_is_left(self, *, restarted: bool = False) -> None:
        """Check that no job lives, no array is kept, no case was done twice and no container is left.

        Parameters
        ----------
        restarted
            Whether the controller was killed. A command that ends while it still believes in a job that has ended keeps
            the name of its array, until the next command looks at the queue.

        A controller that was killed may begin a job again that it had not yet noted as ended: it finds nothing to do.
        """
        with contextlib.suppress(AssertionError):
            self.slurm.wait_for(lambda: self.slurm.jobs() == {}, "a job lives", 20)
        if self.slurm.jobs():
            self.slurm.settle()
        self.slurm.wait_for(lambda: self.slurm.jobs() == {}, "a job lives", 120)
        assert restarted or list(self.shared.glob("runs/*/jobs.json")) == []
        assert list(self.shared.glob("runs/*/outcomes/second/*")) == []
        folder = self.folder()
        assert folder is not None
        self.slurm.wait_for(lambda: self._swept(folder.name), "a container of the run is left", 60)

    def _swept(self, run: str) -> bool:
        """Return whether no container of a run is left, once those of shards that were killed are removed.

        A job that a killed controller has forgotten lives until its node hears of that.
        """
        if self._containers(run):
            self.bench("clean", "--yes")
        return self._containers(run) == []

    @staticmethod
    def _containers(run: str) -> list[str]:
        asked = ["docker", "ps", "--all", "--filter", f"label=org.groundbench.run={run}", "--format", "{{.Names}}"]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()


def here(bench: Bench, home: Path, *command: object) -> dict[str, Any]:
    """Run a command on this host, in a home of its own, and return its content."""
    before, bench.home = bench.home, home
    try:
        return content(bench, bench.json("run", *command, "--engine", "docker"))
    finally:
        bench.home = before
