"""A run that is disturbed, and the same command after it; a container engine that may be restarted."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import processes

if TYPE_CHECKING:
    from tests.conftest import Bench

PLUGIN = Path(__file__).resolve().parents[1] / "e2e" / "plugins" / "steady"
CASES = 5

#: A hook that does what NVIDIA's does in the end: the driver's devices appear in the container.
HOOK_WITH_DEVICES = """#!/usr/bin/env python3
import json, subprocess, sys
state = json.load(sys.stdin)
root = json.load(open(state["bundle"] + "/config.json"))["root"]["path"]
names = [f"{root}/dev/nvidiactl", f"{root}/dev/nvidia0"]
subprocess.run(["nsenter", "-t", str(state["pid"]), "-m", "touch", *names], check=True)
"""


@dataclass
class Setting:
    """What every trial on one engine shares: the command, and what it must come to."""

    engine: str
    bench: Callable[[Path], Bench]
    command: list[object]
    expected: dict[str, Any]

    def finish(self, bench: Bench) -> tuple[dict[str, Any], str]:
        """Run the command to its end; return the run's document and what was shown."""
        ended = bench(*self.command, "--json")
        return json.loads(ended.stdout), ended.stderr

    def same(self, document: dict[str, Any]) -> bool:
        """Return whether a run's document has the undisturbed run's digits."""
        return stable(document) == self.expected

    def strays(self, bench: Bench, run: str) -> list[str]:
        """Name the processes, folders and containers that are left of a run a few seconds after it."""
        deadline = time.monotonic() + 10
        while (left := self._left(bench, run)) and time.monotonic() < deadline:
            time.sleep(0.2)
        return left

    def _left(self, bench: Bench, run: str) -> list[str]:
        left = [f"{each.pid} {each.command}" for each in processes() if str(bench.home) in each.command]
        left += [str(folder) for folder in bench.home.glob("runs/*/shards/*")]
        if self.engine == "docker":
            import docker

            client = docker.from_env(environment={**os.environ, **bench.environment}, timeout=60)
            found = client.containers.list(all=True, filters={"label": f"org.groundbench.run={run}"})
            left += [str(container.name) for container in found]
            client.close()
        return left


def stable(document: dict[str, Any]) -> dict[str, Any]:
    """Return everything of a finished run's document that must not depend on how it came about."""
    return {key: value for key, value in document.items() if key not in {"timing", "run", "image"}}


@pytest.fixture(scope="session")
def settings(
    request: pytest.FixtureRequest,
    new_bench: Callable[[Path], Bench],
    dataset_writer: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], Setting]:
    """Return a function from an engine's name to the setting of its trials; the undisturbed run happens once."""
    known: dict[str, Setting] = {}
    dataset = dataset_writer(tmp_path_factory.mktemp("data") / "toy", CASES)

    def setting(engine: str) -> Setting:
        if engine == "docker":
            request.getfixturevalue("base_image")
        if engine not in known:
            command = [
                "run", "--plugin", "steady", "--param", "seconds=0.25", "--plugin-dir", PLUGIN, "--dataset", dataset,
                "--engine", engine,
            ]  # fmt: skip
            bench = new_bench(tmp_path_factory.mktemp(engine) / "first")
            bench(*command)  # builds the image
            bench = new_bench(tmp_path_factory.mktemp(engine) / "home")
            document = bench.json(*command)
            assert document["coverage"] == {"ok": 2 * CASES}
            made = Setting(engine, new_bench, command, stable(document))
            known[engine] = made
        return known[engine]

    return setting


@dataclass
class OwnEngine:
    """A second Docker daemon, in its own network, that a test may stop and start again."""

    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        """Its address, for DOCKER_HOST."""
        return f"unix://{self.folder}/d.sock"

    @property
    def hook(self) -> Path:
        """The stand-in for NVIDIA's hook, which the daemon runs for every container that asks for a GPU."""
        return self.folder / "bin" / "nvidia-container-runtime-hook"

    def start(self) -> None:
        """Start it and wait until it answers."""
        # The stand-in for NVIDIA's hook must be on the daemon's PATH when it starts.
        environment = {**os.environ, "PATH": f"{self.folder}/bin:{os.environ['PATH']}"}
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                ["unshare", "-n", "dockerd", "--data-root", f"{self.folder}/data", "--exec-root", f"{self.folder}/exec",
                 "--pidfile", f"{self.folder}/pid", "-H", self.host, "--bridge=none", "--iptables=false"],
                stdout=log, stderr=log, env=environment, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as asking:
                asking.settimeout(10)
                asking.connect(f"{self.folder}/d.sock")
                asking.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                if b"OK" in asking.recv(4096):
                    return
            time.sleep(0.1)
        pytest.skip(f"no second dockerd here: {(self.folder / 'log').read_text()[-300:]}")

    def stop(self) -> None:
        """End it as a service manager does; it takes its containers with it."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=60)
            self.process = None


@pytest.fixture(scope="session")
def own_engine(base_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnEngine]:
    """Start a second daemon that knows the base image and has a stand-in for NVIDIA's hook."""
    if os.getuid() != 0:
        pytest.skip("a second dockerd needs root")
    for tool in ("dockerd", "unshare"):
        if shutil.which(tool) is None:
            pytest.skip(f"a second dockerd needs {tool} on PATH")
    folder = tmp_path_factory.mktemp("dockerd")
    engine = OwnEngine(folder)
    engine.hook.parent.mkdir()
    engine.hook.write_text(HOOK_WITH_DEVICES)
    engine.hook.chmod(0o755)
    engine.start()
    try:
        with subprocess.Popen(["docker", "save", base_image], stdout=subprocess.PIPE) as saved:
            subprocess.run(["docker", "-H", engine.host, "load"], stdin=saved.stdout, check=True, capture_output=True)
        assert saved.returncode == 0
        yield engine
    finally:
        engine.stop()
        shutil.rmtree(folder / "data", ignore_errors=True)
