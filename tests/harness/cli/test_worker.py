"""``bench worker``: what it is told is checked before it connects to anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cli.worker import worker
from harness.errors import BenchError, PrerequisiteError, UsageError


def _called(*arguments: object) -> None:
    worker.main([*map(str, arguments)], standalone_mode=False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give one of --address and --scheduler-file"),
        (["--address", "tls://gpu1:1", "--scheduler-file", "s.json"], "give one of"),
        (["--address", "gpu1"], "is not a scheduler's address"),
        (["--address", "tcp://gpu1:1"], "accept that with --insecure"),
    ],
)
def test_addresses(tmp_path: Path, arguments: list[str], said: str) -> None:
    """The rules are those of clusters.toml, in the words of the command line."""
    with pytest.raises(UsageError, match=said):
        _called("--shared", tmp_path, *arguments)


def test_a_scheduler_that_is_not_there(tmp_path: Path) -> None:
    """Without the driver's certificates nothing is tried; without a scheduler the way to start one is told."""
    pytest.importorskip("distributed", reason="it comes with the extra `cluster`")
    with pytest.raises(PrerequisiteError, match="certificates have not been made"):
        _called("--shared", tmp_path, "--address", "tls://127.0.0.1:1")
    with pytest.raises(BenchError, match="no scheduler answers") as raised:
        _called("--shared", tmp_path, "--address", "tcp://127.0.0.1:1")
    assert "dask scheduler" in raised.value.fix
