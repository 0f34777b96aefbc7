"""The log of a local adapter, without which it runs on, and the packages beside it."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.engines.local import LocalContainer, LocalEngine

#: More than a pipe holds: output that is not read would stop the process.
_TALKS = "for _ in range(4000): print('x' * 100)"


def _run(root: Path, log: Path) -> Any:
    process = subprocess.Popen(
        [sys.executable, "-c", _TALKS],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    container = LocalContainer(process, SimpleNamespace(name="talks", root=root, log=log))  # type: ignore[arg-type]
    ended = container.wait(30)
    container.remove()
    return ended


@pytest.mark.parametrize("log", ["/dev/full", "/dev/null/log"], ids=["disk-full", "cannot-be-opened"])
def test_log_that_cannot_be_kept(log: str, tmp_path: Path) -> None:
    """The process ends well, and no thread ends in a traceback (a warning, which is an error here)."""
    ended = _run(tmp_path, Path(log))
    assert ended is not None, "its output was not read"
    assert ended.code == 0


def test_log_is_kept(tmp_path: Path) -> None:
    """Everything that was printed is in the file."""
    assert _run(tmp_path, tmp_path / "log").code == 0
    assert (tmp_path / "log").read_text() == ("x" * 100 + "\n") * 4000


def test_packages_are_those_of_their_metadata() -> None:
    """Name and version of every installed package are read as the standard library reads them."""
    packages = LocalEngine().describe()["packages"]
    assert packages == {found.metadata["Name"]: found.version for found in importlib.metadata.distributions()}
