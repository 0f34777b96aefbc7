"""A lab of one machine: a Dask scheduler and workers of bench on loopback, over TLS, each a process of its own."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.conftest import Bench

ROOT = Path(__file__).resolve().parents[2]

Process = subprocess.Popen[bytes]


def free_port() -> int:
    """Return a port of loopback that nobody uses now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@dataclass
class Lab:
    """A scheduler and its workers.

    Attributes
    ----------
    bench
        The driver's command line; its home is not the shared folder.
    shared
        The shared folder.
    """

    bench: Bench
    shared: Path
    port: int = field(default_factory=free_port)
    scheduler: Process | None = None
    workers: list[Process] = field(default_factory=list)

    @property
    def address(self) -> str:
        """The scheduler's address."""
        return f"tls://127.0.0.1:{self.port}"

    def describe(self, home: Path, **keys: object) -> None:
        """Write the clusters.toml of a home."""
        home.mkdir(parents=True, exist_ok=True)
        lines = {"kind": "dask", "address": self.address, "shared": str(self.shared), **keys}
        text = "\n".join(
            f"{key} = {str(value).lower() if isinstance(value, bool) else repr(value)}" for key, value in lines.items()
        )
        (home / "clusters.toml").write_text(f"[lab]\n{text}\n")

    def start_scheduler(self) -> None:
        """Start the scheduler and wait until it listens; the certificates must be there."""
        tls = self.shared / "tls"
        self.scheduler = self._start(
            "scheduler",
            [sys.executable, "-m", "dask", "scheduler", "--protocol", "tls", "--tls-ca-file", tls / "ca.pem",
             "--tls-cert", tls / "member.pem", "--host", "127.0.0.1", "--port", self.port,
             "--dashboard-address", "127.0.0.1:0"],
        )  # fmt: skip
        self.wait_for("scheduler", "Scheduler at:")

    def start_workers(
        self, count: int, *, shared: Path | None = None, program: tuple[str, ...] = ("-m", "harness")
    ) -> None:
        """Start workers and wait until they are registered."""
        before = len(self.workers)
        for number in range(before, before + count):
            command = [sys.executable, *program, "worker", "--address", self.address, "--shared", shared or self.shared]
            self.workers.append(self._start(f"worker-{number}", command))
        for number in range(before, before + count):
            self.wait_for(f"worker-{number}", "waits for shards")

    def said(self, name: str) -> str:
        """Return what a process has printed."""
        return (self.shared.parent / f"{name}.log").read_text()

    def wait_for(self, name: str, text: str, seconds: float = 60) -> None:
        """Wait until a process has printed a text."""
        deadline = time.monotonic() + seconds
        while text not in self.said(name):
            assert time.monotonic() < deadline, f"{name} did not print {text!r}:\n{self.said(name)}"
            time.sleep(0.05)

    def wait_for_state(self, attempt: int) -> None:
        """Wait until an attempt at a training has kept its state."""
        wait_for_state(self.shared, attempt)

    def stop(self) -> None:
        """End everything."""
        for process in [*self.workers, *([self.scheduler] if self.scheduler else [])]:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
            process.wait(timeout=30)
        self.workers, self.scheduler = [], None

    def _start(self, name: str, command: list[object]) -> Process:
        with (self.shared.parent / f"{name}.log").open("wb") as log:
            environment = {**self.bench.environment, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path[1:]])}
            return subprocess.Popen(
                [*map(str, command)], cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip


def content(bench: Bench, run: dict[str, Any]) -> dict[str, Any]:
    """Return everything of a run that may not depend on where it was carried out: rows, metrics, masks by digest."""
    shown = bench.json("results", "show", run["run"])
    masks = bench.home / "runs" / run["run"] / "masks"
    return {
        "document": {name: value for name, value in run.items() if name != "timing"},
        "findings": shown["findings"],
        "masks": {
            str(path.relative_to(masks)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(masks.rglob("*"))
            if path.is_file()
        },
    }


def differing(bench: Bench, run: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """Return which parts of a run's content are not the expected ones, and how cases ended that were not delivered."""
    found = content(bench, run)
    parts = [name for name, part in expected.items() if found[name] != part]
    cases = bench.json("results", "show", run["run"])["cases"] if parts else []
    return [
        *parts,
        *(f"{case['case']}: {case['status']}, {case['reason']}" for case in cases if case["status"] != "ok"),
    ]


def trained(bench: Bench, run: dict[str, Any]) -> dict[str, Any]:
    """Return everything of a fine-tuned run that may not depend on where it was trained and carried out."""
    (folder,) = (bench.home / "checkpoints").iterdir()
    record = json.loads((folder / "record.json").read_text())
    files = {path.name: path.read_bytes() for path in sorted((folder / "checkpoint").iterdir())}
    names = ("key", "sha256", "files", "plan", "cases", "val_dice", "gpus", "limits")
    return {**content(bench, run), "files": files, "record": {name: record[name] for name in names}}


def logged(bench: Bench) -> list[str]:
    """Return what the containers of the only training have printed, in order."""
    logs = sorted(bench.home.glob("checkpoints/*/logs/*.log"))
    return [line for log in logs for line in log.read_text().splitlines()]


def wait_for_state(shared: Path, attempt: int, seconds: float = 60) -> None:
    """Wait until an attempt at a training has kept its state after a step in the shared folder."""
    deadline = time.monotonic() + seconds
    kept = f"runs/*/states/*[1-9].*.{attempt}"
    while not list(shared.glob(kept)):
        assert time.monotonic() < deadline, [str(path) for path in shared.glob("runs/*/states/*")]
        time.sleep(0.05)
