"""One process at a time for a run."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import threading
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import PrerequisiteError
from harness.rows import RunRow
from harness.runs import lock
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


def _beat_elsewhere(folder: Path, over: threading.Event) -> None:
    number = 0
    while not over.is_set():
        about = {"host": "gpu-2", "pid": 7, "boot": "another", "beat": number}
        (folder / "partial").write_text(json.dumps(about))
        (folder / "partial").replace(folder / lock.DRIVER)
        number += 1
        over.wait(0.1)


def test_a_driver_on_another_host_is_seen_by_its_beat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel's lock does not reach: while it beats it is named, and when it is silent it is followed."""
    monkeypatch.setattr(lock, "WATCH_S", 1.0)
    (tmp_path / "lock").touch()
    over = threading.Event()
    thread = threading.Thread(target=_beat_elsewhere, args=(tmp_path, over))
    thread.start()
    try:
        while not (tmp_path / lock.DRIVER).exists():
            over.wait(0.01)
        assert is_held(tmp_path) is None, "nobody here knows whether it lives"
        with (
            pytest.raises(PrerequisiteError, match="process 7 of gpu-2 is running r now"),
            only_one(tmp_path, "r"),
        ):
            pytest.fail("it ran beside another")
    finally:
        over.set()
        thread.join()
    with only_one(tmp_path, "r"):
        assert is_held(tmp_path) is True
    assert is_held(tmp_path) is False
    assert not (tmp_path / lock.DRIVER).exists()


def test_a_driver_beats_whatever_its_clock_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file changes; no time is in it. One that a killed process of this host left is not waited for."""
    monkeypatch.setattr(lock, "BEAT_S", 0.05)
    with only_one(tmp_path, "r"):
        seen = set()
        while len(seen) < 3:
            with contextlib.suppress(FileNotFoundError):
                seen.add((tmp_path / lock.DRIVER).read_text())
        about = [json.loads(text) for text in sorted(seen)]
    assert {tuple(each) for each in about} == {("host", "pid", "boot", "beat")}
    (tmp_path / lock.DRIVER).write_text(json.dumps(about[0]))
    began = time.monotonic()
    with only_one(tmp_path, "r"):
        assert time.monotonic() - began < 1


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
