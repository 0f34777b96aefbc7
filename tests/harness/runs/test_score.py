"""The scorers' processes are out of reach of Ctrl-C, which a terminal sends to the whole group, from the start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.costly

ROOT = Path(__file__).resolve().parents[3]

_PROGRAM = """
import os, signal
from harness.runs.score import Scorers
from tests.conftest import processes

if __name__ == "__main__":
    Scorers()
    (server,) = [each.pid for each in processes() if each.parent == os.getpid() and "forkserver" in each.command]
    status = dict(line.split(":", 1) for line in open(f"/proc/{server}/status"))
    print(int(status["SigBlk"], 16) >> signal.SIGINT - 1 & 1, int(status["SigBlk"], 16) >> signal.SIGTERM - 1 & 1)
    print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))
"""


def test_the_server_is_born_with_ctrl_c_blocked() -> None:
    """Ctrl-C is blocked in the server as soon as it exists, SIGTERM is not, and we ourselves still hear both."""
    said = subprocess.run([sys.executable, "-c", _PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["1", "0", "False"]
