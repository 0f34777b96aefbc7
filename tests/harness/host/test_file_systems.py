"""A database on a file system that machines share has no write-ahead log, and its locks are explained."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from harness.errors import PrerequisiteError
from harness.host import file_systems
from harness.host.file_systems import shared_file_system
from harness.store.database import Store


@pytest.fixture
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a blank in its name that the kernel says to be on NFS, inside one that is local."""
    folder = tmp_path / "a home"
    folder.mkdir()
    name = str(folder).replace(" ", "\\040")
    lines = [
        "1 0 8:1 / / rw - ext4 /dev/sda rw",
        f"2 1 0:5 / {name} rw,relatime shared:1 - nfs4 server:/export rw,vers=4.2",
        f"3 2 8:2 / {name}/local rw - ext4 /dev/sdb rw",
        f"4 1 0:6 / {name}-other rw - cifs //server/share rw",
    ]
    mounts = tmp_path / "mountinfo"
    mounts.write_text("\n".join(lines) + "\n")
    monkeypatch.setattr(file_systems, "MOUNTS", mounts)
    return folder


def test_the_longest_mount_decides(mounted: Path, tmp_path: Path) -> None:
    """A disk mounted below a shared folder is local again; a name that begins the same is another one."""
    assert shared_file_system(mounted) == "nfs4"
    assert shared_file_system(mounted / "deep" / "results.db") == "nfs4"
    assert shared_file_system(mounted / "local" / "results.db") == ""
    assert shared_file_system(mounted.with_name("a home-other")) == "cifs"
    assert shared_file_system(tmp_path) == ""


def test_a_link_is_followed(mounted: Path, tmp_path: Path) -> None:
    """What counts is where a home really lies."""
    (tmp_path / "link").symlink_to(mounted)
    assert shared_file_system(tmp_path / "link" / "results.db") == "nfs4"


def test_without_the_kernels_list_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where /proc is hidden a file system counts as local, as before."""
    monkeypatch.setattr(file_systems, "MOUNTS", tmp_path / "missing")
    assert shared_file_system(tmp_path) == ""


def _mode(path: Path) -> str:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("PRAGMA journal_mode").fetchone()[0])


def test_no_write_ahead_log_on_a_shared_file_system(mounted: Path) -> None:
    """Also a database that was made with one elsewhere is changed when it is opened there."""
    Store(mounted / "results.db").close()
    assert _mode(mounted / "results.db") == "delete"
    Store(mounted / "local" / "results.db").close()
    assert _mode(mounted / "local" / "results.db") == "wal"
    moved = (mounted / "local" / "results.db").rename(mounted / "moved.db")
    Store(moved).close()
    assert _mode(moved) == "delete"


def test_locks_that_do_not_work_name_the_file_system(mounted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite says that the database is locked; nobody holds it, and the fix is another disk."""

    def locked(*_: object) -> None:
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr("harness.store.database._connect", locked)
    with pytest.raises(PrerequisiteError, match="nfs4") as refused:
        Store(mounted / "results.db")
    assert "local disk" in refused.value.fix
