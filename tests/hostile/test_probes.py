"""Attempts at the network, the labels, the host's files and the kernel's privileges: every one fails, in one run."""

from __future__ import annotations

import ast
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.docker

SOURCES = sorted((Path(__file__).parent / "plugins" / "hostile").glob("probes_of_*.py"))

#: Every probe of the plugin, by name, in order.
PROBES = [
    node.name.replace("_", "-")
    for source in SOURCES
    for node in ast.parse(source.read_text(encoding="utf-8")).body
    if isinstance(node, ast.FunctionDef) and node.decorator_list
]

HOST_PORT = 48611
HOST_SOCKET = "\0groundbench-hostile-test"
HOST_MARKER = "groundbench-hostile-marker"


@pytest.fixture(scope="module")
def probed(attack: Callable[..., Any]) -> dict[str, str]:
    """Run all probes in one container while the host listens, and return what each one said."""
    with ExitStack() as stack:
        listeners = []
        for family, address in ((socket.AF_INET, ("0.0.0.0", HOST_PORT)), (socket.AF_UNIX, HOST_SOCKET)):  # noqa: S104
            listener = stack.enter_context(socket.socket(family))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen()
            listener.setblocking(False)
            listeners.append(listener)
        markers = [Path("/dev/shm") / HOST_MARKER, Path("/tmp") / HOST_MARKER]  # noqa: S108
        for marker in markers:
            marker.touch()
            stack.callback(marker.unlink, missing_ok=True)
        outcome = attack("probe-everything", cases=12)
        for listener in listeners:
            with pytest.raises(BlockingIOError):
                listener.accept()
    # All of it in vain: the model's masks count as ever.
    assert [case["status"] for case in outcome.cases.values()] == ["ok"] * 12
    return dict(line.split(" ", 1) for line in outcome.said("PROBE"))


@pytest.mark.parametrize("name", PROBES)
def test_attempt_fails(name: str, probed: dict[str, str], record_property: Callable[[str, object], None]) -> None:
    """The container itself reports that its attempt was refused, and how."""
    record_property("attack", name)
    result, _, how = probed[name].partition(" ")
    record_property("outcome", f"ok: {how[:100]}")
    assert result == "HELD", probed[name]
