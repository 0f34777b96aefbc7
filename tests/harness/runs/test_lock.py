"""One process at a time for a run."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from harness.errors import PrerequisiteError
from harness.runs.lock import only_one


def test_a_folder_that_is_held_is_refused(tmp_path: Path) -> None:
    """The second holder's message names what runs, in whatever process it is."""
    with only_one(tmp_path, "rules zero-shot"), pytest.raises(PrerequisiteError, match="rules zero-shot"):  # noqa: SIM117
        with only_one(tmp_path, "rules zero-shot"):
            pass


def test_a_folder_is_free_after_a_failure(tmp_path: Path) -> None:
    """However the holder ended, the next one gets the folder."""
    with pytest.raises(ZeroDivisionError), only_one(tmp_path, "run"):
        _ = 1 / 0
    with only_one(tmp_path, "run"):
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EIO])
def test_a_file_system_without_locks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Whatever Lustre, NFS or FUSE answer, the folder and the way out are named, and nothing is run unlocked."""

    def no_locks(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(PrerequisiteError, match="has no locks") as refused, only_one(tmp_path, "run"):
        pytest.fail("it ran without a lock")
    assert str(tmp_path) in refused.value.message
    assert "--home" in refused.value.fix
