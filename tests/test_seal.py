"""Tests that are not marked for it reach no daemon, no network and no GPU, in this process and in those they start."""

from __future__ import annotations

import contextlib
import http.server
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import seal

if TYPE_CHECKING:
    from tests.conftest import Bench

OUTSIDE = "192.0.2.1"  # of a block that is kept for documentation: no host answers there


def _docker() -> None:
    import docker

    with contextlib.closing(docker.DockerClient(base_url="unix:///var/run/docker.sock")) as client:
        client.ping()


def _docker_program() -> None:
    subprocess.run(["docker", "version"], check=False, capture_output=True)


def _address() -> None:
    socket.create_connection((OUTSIDE, 80), timeout=1)


def _name() -> None:
    socket.getaddrinfo("example.org", 443)


def _requests() -> None:
    import requests

    requests.get(f"http://{OUTSIDE}/", timeout=1)


@pytest.mark.parametrize(
    ("reach", "marker"),
    [
        (_docker, "docker"),
        (_docker_program, "docker"),
        (_address, "network"),
        (_name, "network"),
        (_requests, "network"),
    ],
)
def test_reaching_out_fails_and_names_the_marker(
    reach: Callable[[], None], marker: str, request: pytest.FixtureRequest
) -> None:
    """What reaches out ends with the test, what it reached for, and the marker that would allow it."""
    with pytest.raises(seal.ReachedOut, match=rf"reached for .*@pytest\.mark\.{marker}") as refused:
        reach()
    assert request.node.nodeid in str(refused.value)


def test_no_gpu_is_seen() -> None:
    """The driver's tool cannot be started, with an ordinary error: to the harness this machine has no GPU."""
    with pytest.raises(PermissionError, match=r"@pytest\.mark\.gpu"):
        subprocess.run(["/usr/bin/nvidia-smi", "-L"], check=False)


def test_a_command_that_a_test_starts_is_sealed_too(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line of a test ends at once where it would ask the daemon."""
    bench.environment["DOCKER_HOST"] = "unix:///var/run/docker.sock"
    process = bench.popen("doctor")
    _, error = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "@pytest.mark.docker" in error


def test_a_server_of_the_test_itself_answers() -> None:
    """Servers on this machine's own address stay within reach, by number and by name."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for host in ("127.0.0.1", "localhost"):
            with socket.create_connection((host, server.server_port), timeout=5):
                pass
        server.shutdown()


def test_a_stand_in_for_the_driver_runs(tmp_path: Path) -> None:
    """A test may replace ``nvidia-smi`` by its own."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho mine\n")
    tool.chmod(0o755)
    assert subprocess.run([str(tool)], check=True, capture_output=True, text=True).stdout == "mine\n"


@pytest.mark.docker
def test_what_is_marked_may_reach_the_daemon() -> None:
    """A test that is marked for the engine reaches it, and so do the processes it starts."""
    _docker()
    code = "import docker; docker.DockerClient(base_url='unix:///var/run/docker.sock').ping()"
    subprocess.run([sys.executable, "-c", code], check=True)
