"""A checkpoint that was taken can be read by the user of the containers that predict with it."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from harness.runs.checkpoint import find_checkpoint, take_checkpoint, write_record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=[0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    """Work under a usual and under a careful umask."""
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_modes_do_not_follow_the_umask(tmp_path: Path) -> None:
    """Folders may be entered and files read by everybody, written by the harness alone, run by nobody."""
    left = tmp_path / "out" / "checkpoint"
    (left / "parts").mkdir(parents=True)
    (left / "parts" / "model.pt").write_bytes(b"weights")
    (left / "parts" / "model.pt").chmod(0o777)
    files = take_checkpoint(tmp_path / "out", tmp_path / "home", limit=100)
    write_record(tmp_path / "home", "key", files, {})
    found = find_checkpoint(tmp_path / "home", "key")
    assert found is not None
    modes = {path.relative_to(found.folder.parent).as_posix(): stat.S_IMODE(path.stat().st_mode)
             for path in (found.folder, *found.folder.rglob("*"))}  # fmt: skip
    assert modes == {"checkpoint": 0o755, "checkpoint/parts": 0o755, "checkpoint/parts/model.pt": 0o644}
