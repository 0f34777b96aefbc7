"""A file system that machines share is recognised, and no database is written there."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from harness.cli import cli
from harness.cli.settings import Settings
from harness.doctor import CheckVerdict, run_checks
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


@pytest.mark.parametrize("kind", ["fuse.sshfs", "fuse.of_tomorrow", "fuse", "9p", "lustre", "gpfs", "smb3", "virtiofs"])
def test_what_may_be_shared_counts_as_shared(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody but its program knows what a file system in user space leads to."""
    _mount(kind, tmp_path, monkeypatch)
    assert shared_file_system(tmp_path / "results.db") == kind


@pytest.mark.parametrize("kind", ["fuse.fuse-overlayfs", "fuseblk", "overlay", "tmpfs", "xfs", "zfs"])
def test_local_disks_and_containers_are_local(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The root of a rootless container is in user space, too."""
    _mount(kind, tmp_path, monkeypatch)
    assert shared_file_system(tmp_path / "results.db") == ""


def _mount(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mountinfo").write_text(f"1 0 8:1 / / rw - {kind} somewhere rw\n")
    monkeypatch.setattr(file_systems, "MOUNTS", tmp_path / "mountinfo")


def _bench(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [*map(str, arguments)])


def test_no_database_is_written_on_a_shared_file_system(mounted: Path, make_dataset: Callable[..., Path]) -> None:
    """It is refused before anything is recorded, and doctor says the same."""
    data = make_dataset(1)
    refused = _bench("--home", mounted, "score", data / "seg", "--dataset", data, "--jobs", 1)
    assert isinstance(refused.exception, PrerequisiteError)
    assert "(nfs4)" in refused.exception.message
    assert "--db" in refused.exception.fix
    assert not (mounted / "results.db").exists()
    assert not (mounted / "runs").exists()
    check = next(check for check in run_checks(mounted) if check.name == "results")
    assert check.verdict is CheckVerdict.FAILED
    assert "--db" in check.fix


def test_with_the_database_elsewhere_the_home_may_be_shared(mounted: Path, make_dataset: Callable[..., Path]) -> None:
    """Rows are on the local disk, their records in the home; every command finds both by the same option."""
    data, db = make_dataset(1), mounted / "local" / "deep" / "results.db"
    options = ("--home", mounted, "--db", db)
    assert _bench(*options, "score", data / "seg", "--dataset", data, "--jobs", 1).exit_code == 0
    assert db.is_file()
    assert not (mounted / "results.db").exists()
    (record,) = mounted.glob("runs/*/record.json")
    shown = _bench(*options, "results", "verify", record.parent.name, "--jobs", 1)
    assert shown.exit_code == 0, shown.output
    with Store(db, readonly=True, home=mounted) as store:
        assert [run.id for run in store.runs()] == [record.parent.name]
    check = next(check for check in run_checks(mounted, database=db) if check.name == "results")
    assert check.verdict is CheckVerdict.OK


def test_a_database_on_a_shared_file_system_can_be_read(mounted: Path) -> None:
    """Somebody's results from before are shown where they are; they are not migrated there."""
    Store(mounted / "local" / "results.db").close()
    (mounted / "local" / "results.db").rename(mounted / "results.db")
    with Settings(mounted).open_store(readonly=True) as store:
        assert store.runs() == []
    with pytest.raises(PrerequisiteError, match="nfs4"):
        Store(mounted / "results.db")


def test_locks_that_do_not_work_name_the_file_system(mounted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite says that the database is locked; nobody holds it, and the fix is another disk."""

    def locked(*_: object) -> None:
        raise sqlite3.OperationalError("database is locked")

    (mounted / "results.db").touch()
    monkeypatch.setattr("harness.store.database._connect", locked)
    with pytest.raises(PrerequisiteError, match="nfs4") as refused:
        Store(mounted / "results.db", readonly=True)
    assert "local disk" in refused.value.fix
