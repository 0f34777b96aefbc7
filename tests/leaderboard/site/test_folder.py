"""A site is replaced as a whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.errors import PrerequisiteError
from leaderboard.site.folder import Written, replace_folder


def test_full_disk_leaves_the_old_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk is full the old site stays whole, nothing is left beside it, and the exit code is 3."""
    out = tmp_path / "site"
    replace_folder(out, {"index.html": b"old"})

    def full(_self: Path, _content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(PrerequisiteError, match="No space left") as caught:
        replace_folder(out, {"index.html": b"new"})
    assert "free some space" in caught.value.fix
    assert (out / "index.html").read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [out]


def test_failed_rename_puts_the_old_site_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the new folder cannot be renamed into place, the old one is put back."""
    out = tmp_path / "site"
    replace_folder(out, {"index.html": b"old"})
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise OSError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(PrerequisiteError, match="Permission denied"):
        replace_folder(out, {"index.html": b"new"})
    assert (out / "index.html").read_bytes() == b"old"


def test_link_is_followed(tmp_path: Path) -> None:
    """Where --out is a symbolic link, the folder behind it is replaced and the link stays."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    replace_folder(tmp_path / "link", {"a/b.txt": b"x"})
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "a" / "b.txt").read_bytes() == b"x"


def test_site_is_readable_by_others(tmp_path: Path) -> None:
    """The folder's mode follows the umask, so that a web server can read it."""
    replace_folder(tmp_path / "site", {"index.html": b""})
    (tmp_path / "plain").mkdir()
    assert (tmp_path / "site").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_what_is_the_same_is_not_written_again(tmp_path: Path) -> None:
    """A file keeps its time where its content stays; one of the same length that differs is written."""
    out = tmp_path / "site"
    replace_folder(out, {"a/same.html": b"same", "other.html": b"old", "gone.html": b""})
    for path in out.rglob("*.html"):
        os.utime(path, (1, 1))
    replace_folder(out, iter([("a/same.html", b"same"), ("other.html", b"new"), ("more.html", b"")]))
    times = {path.name: path.stat().st_mtime == 1 for path in out.rglob("*.html")}
    assert times == {"same.html": True, "other.html": False, "more.html": False}
    assert (out / "other.html").read_bytes() == b"new"
    assert (out / "a" / "same.html").stat().st_nlink == 1
    (tmp_path / "moved").write_bytes(b"new")
    assert replace_folder(out, {"a/same.html": b"sane", "other.html": tmp_path / "moved"}) == Written(2, 1, 1)
    assert (out / "other.html").read_bytes() == b"new"
    assert replace_folder(out, {}) == Written(0, 0, 2)
    assert [path.name for path in out.iterdir()] == [".groundbench-site"]
