"""A container's output folder is weighed by what it takes on the disk; what it may hold is in tests/hostile, too."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.sandbox import folder as sandbox_folder
from harness.sandbox.folder import broken_bound, lack_of_disk, remove_tree


def test_an_empty_or_missing_folder_breaks_no_bound(tmp_path: Path) -> None:
    """A container that has written nothing yet is within its limits."""
    assert broken_bound(tmp_path, 0) == ""
    assert broken_bound(tmp_path / "missing", 0) == ""


def test_files_of_all_folders_count_together(tmp_path: Path) -> None:
    """The limit is that of everything below the folder."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(os.urandom(600 * 1024))
    assert broken_bound(tmp_path, 2) == ""
    assert broken_bound(tmp_path, 1) == "wrote more than out_gb = 0.000976562 into out/ (the declared limit)"


def test_folders_count_as_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty folders take no room and could still fill a disk's table of files."""
    monkeypatch.setattr(sandbox_folder, "MAX_ENTRIES", 3)
    for number in range(4):
        (tmp_path / str(number)).mkdir()
    assert broken_bound(tmp_path, 1) == "made more than 3 files and folders in out/"


def test_a_large_disk_keeps_a_fixed_room_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fiftieth of a small disk, 268 MB of any other."""

    class Disk:
        f_frsize, f_blocks, f_favail, f_files = 2**20, 10**6, 10**6, 10**6

        def __init__(self, free: int) -> None:
            self.f_bavail = free

    monkeypatch.setattr(os, "statvfs", lambda _: Disk(256))
    assert lack_of_disk(tmp_path) == ""
    monkeypatch.setattr(os, "statvfs", lambda _: Disk(255))
    assert lack_of_disk(tmp_path) == "the disk is full: 267.4 MB left, 268.4 MB must stay free"


def test_a_root_that_is_a_link_is_not_removed(tmp_path: Path) -> None:
    """Removing a folder cannot be turned against another one."""
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    (tmp_path / "root").symlink_to("precious")
    with pytest.raises(OSError, match="Not a directory"):
        remove_tree(tmp_path / "root")
    assert (tmp_path / "precious" / "file").exists()
