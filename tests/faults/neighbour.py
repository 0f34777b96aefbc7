"""One of two harnesses on one daemon: it runs models, kills some of its own runs, and cleans all the time.

``python neighbour.py REPORT SECONDS STALE_S HOME COMMAND...`` where COMMAND is that of a run. The report
is one JSON document: how its runs ended, which containers it left behind by a kill, and which ones it removed.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import docker

#: The command line with a shorter lease.
PROGRAM = (
    "import harness.engines.watched as d, harness.engines.strays as s; "
    "d.RENEW_S = float({stale}) / 10; s.STALE_S = float({stale}); from harness.cli import main; main()"
)

#: Every third run is killed.
KILLED_OF = 3


class Neighbour:
    """A harness at work, in whatever namespaces it was started."""

    def __init__(self, home: str, stale: str) -> None:
        self._bench = [sys.executable, "-c", PROGRAM.format(stale=stale), "--home", home]
        self._client = docker.from_env(timeout=60)
        self.report: dict[str, Any] = {
            "namespace": os.readlink("/proc/self/ns/pid"),  # noqa: PTH115
            "boot": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
            "ended": [],
            "left": [],
            "removed": [],
            "cleaned": 0,
        }

    def work(self, command: list[str], seconds: float) -> None:
        """Run, clean and now and then kill, for some seconds; then clean once more."""
        until, number = time.monotonic() + seconds, 0
        while time.monotonic() < until:
            number += 1
            self._run(command, kill=number % KILLED_OF == 0)
        self._clean()

    def _run(self, command: list[str], *, kill: bool) -> None:
        process = subprocess.Popen(
            [*self._bench, *command, "--fresh", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        while process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=2)
            self._clean()
            if kill and (container := self._container_of(process.pid)):
                process.send_signal(signal.SIGKILL)
                self.report["left"].append(container)
        out, err = process.communicate()
        coverage = json.loads(out)["coverage"] if process.returncode == 0 else None
        self.report["ended"].append(
            {
                "code": process.returncode,
                "killed": kill,
                "coverage": coverage,
                "said": err[-600:] if coverage is None else "",
            }
        )

    def _clean(self) -> None:
        done = subprocess.run(
            [*self._bench, "clean", "--yes", "--json"], capture_output=True, text=True, check=True, timeout=120
        )
        self.report["removed"] += json.loads(done.stdout)["containers"]
        self.report["cleaned"] += 1

    def _container_of(self, pid: int) -> str:
        labels = [f"org.groundbench.pid={pid}", f"org.groundbench.pidns={self.report['namespace']}"]
        found = self._client.containers.list(filters={"label": labels})
        return str(found[0].name) if found else ""


if __name__ == "__main__":
    report, seconds, stale, home, *command = sys.argv[1:]
    neighbour = Neighbour(home, stale)
    neighbour.work(command, float(seconds))
    Path(report).write_text(json.dumps(neighbour.report, indent=1))
