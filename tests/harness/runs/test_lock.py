"""One process at a time for a run."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import PrerequisiteError
from harness.rows import RunRow
from harness.runs.lock import as_seen, is_held, only_one
from harness.store.database import Store


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


def test_looking_at_a_lock_does_not_refuse_a_run(tmp_path: Path) -> None:
    """A listing may hold the lock for a moment; a run that begins just then waits for it."""
    (tmp_path / "lock").touch()
    with (tmp_path / "lock").open("rb") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        threading.Timer(0.1, fcntl.flock, (looking, fcntl.LOCK_UN)).start()
        with only_one(tmp_path, "run"):
            assert is_held(tmp_path)


def test_who_holds_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without a lock is held by nobody, and of one whose lock cannot be looked at nothing is known."""
    assert is_held(tmp_path) is False
    with only_one(tmp_path, "run"):
        assert is_held(tmp_path) is True
    assert is_held(tmp_path) is False

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert is_held(tmp_path) is None


def test_a_row_says_running_only_while_somebody_runs_it(tmp_path: Path) -> None:
    """The lock tells who lives: a process that was killed could not write that it has ended."""
    with Store(tmp_path / "results.db") as store:
        texts: dict[str, Any] = {field.name: field.name for field in fields(RunRow) if field.type == "str"}
        flags = {"attempt": 1, "fine_tuned": False, "rankable": False, "unrankable": []}
        row = RunRow(**texts | flags | {"id": "r", "state": "running"})
        store.save_run(row)
        folder = tmp_path / "runs" / "r"
        folder.mkdir(parents=True)
        with only_one(folder, "r"):
            assert as_seen(row, store).state == "running"
        assert as_seen(row, store).state == "interrupted"
        store.save_run(replace(row, state="done"))
        assert as_seen(row, store).state == "done", "it ended between the two looks"
