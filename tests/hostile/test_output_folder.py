"""The folder of a container is weighed and removed whatever it holds; these need no engine."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import PrerequisiteError
from harness.sandbox import folder as output
from harness.sandbox.folder import broken_bound, lack_of_disk, remove_tree, require_disk, told_apart


def _as_somebody(work: Callable[[], object], folder: Path) -> None:
    """Run `work` as a user who is not root, where we are root, owning `folder`."""
    if os.getuid() != 0:
        work()
        return
    os.chown(folder, 10001, 10001)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setgroups([])
            os.setgid(10001)
            os.setuid(10001)
            work()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def _nest(folder: Path, depth: int) -> None:
    here = os.open(".", os.O_RDONLY)
    os.chdir(folder)
    for _ in range(depth):
        os.mkdir("d" * 100)  # noqa: PTH102 - deeper than a path can name
        os.chdir("d" * 100)
    Path("file").write_bytes(b"x" * 100_000)
    os.fchdir(here)
    os.close(here)


@pytest.mark.parametrize("depth", [0, 3, 2000])
def test_removes_any_depth(tmp_path: Path, depth: int) -> None:
    """Folders nested beyond every path and every recursion are removed."""
    root = tmp_path / "root"
    root.mkdir()
    _nest(root, depth)
    remove_tree(root)
    assert not root.exists()


def test_removes_what_is_shut(tmp_path: Path) -> None:
    """Folders without permissions do not stop their owner, root or not."""

    def shut_and_remove() -> None:
        (tmp_path / "root" / "a" / "b").mkdir(parents=True)
        (tmp_path / "root" / "a" / "b" / "file").touch(mode=0)
        for name in ("a/b", "a", ""):
            (tmp_path / "root" / name).chmod(0)
        remove_tree(tmp_path / "root")
        assert not (tmp_path / "root").exists()

    for parent in list(tmp_path.parents)[:3]:
        parent.chmod(parent.stat().st_mode | 0o111)
    _as_somebody(shut_and_remove, tmp_path)


def test_follows_no_link(tmp_path: Path) -> None:
    """Links are removed, not what they lead to."""
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("kept")
    root = tmp_path / "root"
    (root / "inner").mkdir(parents=True)
    for place in (root, root / "inner"):
        (place / "folder").symlink_to(precious)
        (place / "file").symlink_to(precious / "file")
        (place / "loop").symlink_to(place)
        os.mkfifo(place / "pipe")
    remove_tree(root)
    assert not root.exists()
    assert (precious / "file").read_text() == "kept"


def test_nothing_to_remove(tmp_path: Path) -> None:
    """A missing folder is not an error."""
    remove_tree(tmp_path / "nothing")


def test_bounds_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Size, number and depth each have a bound; sparse room and links weigh nothing."""
    monkeypatch.setattr(output, "MAX_ENTRIES", 10)
    assert broken_bound(tmp_path / "nothing", 1) == ""
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(2**40)
    (tmp_path / "loop").symlink_to(tmp_path)
    assert broken_bound(tmp_path, 1) == ""
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "file").write_bytes(b"x" * (2**20 + 1))
    assert "more than out_gb = 0.00097" in broken_bound(tmp_path, 1)
    assert broken_bound(tmp_path, 2) == ""
    for number in range(7):
        (tmp_path / f"{number}").touch()
    assert "more than 10 files" in broken_bound(tmp_path, 2)


def test_depth_hides_nothing(tmp_path: Path) -> None:
    """A folder too deep for a path is reported as such, since its content cannot be listed."""
    _nest(tmp_path, 60)
    try:
        assert "cannot be read" in broken_bound(tmp_path, 1)
    finally:
        remove_tree(tmp_path / ("d" * 100))


def test_lack_of_disk_gives_the_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk with less room than is kept free is full, and the message says how much there is."""
    assert lack_of_disk(tmp_path) == ""
    require_disk(tmp_path)

    class Full:
        f_bavail, f_frsize, f_blocks = 10, 4096, 2**20

    monkeypatch.setattr(os, "statvfs", lambda _: Full)
    assert lack_of_disk(tmp_path) == "the disk is full: 0.0 MB left, 85.9 MB must stay free"
    with pytest.raises(PrerequisiteError, match="the disk is full"):
        require_disk(tmp_path)


def test_who_fills_a_disk_is_told_from_who_finds_it_full(
    small_disk: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """By what each run has in its containers' folders; what a link there leads to is nobody's weight."""
    record_property("attack", "disk: filled by one of two runs")
    for run in ("filler", "finder"):
        (small_disk / "runs" / run / "shards" / "owner" / "1" / "out").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "large").write_bytes(bytes(2**22))
    filler, finder = (small_disk / "runs" / run / "shards" / "owner" for run in ("filler", "finder"))
    for name in ("link", "large"):
        (finder / "1" / "out" / name).symlink_to(tmp_path / "elsewhere" / ("" if name == "link" else name))
    (finder / "1" / "out" / "mask").write_bytes(bytes(2**20))
    assert lack_of_disk(small_disk) == ""
    with (filler / "1" / "out" / "filler").open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(bytes(2**22))
    assert lack_of_disk(finder).startswith("the disk is full: 0.")
    found, filled = told_apart(finder), told_apart(filler)
    record_property("outcome", f"{found}; the other: {filled}")
    assert re.fullmatch(r"this run found it full: run filler has 2\d\d MB in out/, this one 1 MB", found)
    assert re.fullmatch(r"this run has 2\d\d MB in out/, other runs 1 MB", filled)
    assert told_apart(finder, held=2**30) == "this run has 1.1 GB in out/, other runs " + filled.split()[3] + " MB"


@pytest.mark.parametrize(("left", "of", "lacking"), [(10, 10**6, "room for 10 more files of 1,000,000"), (0, 0, "")])
def test_lack_of_files_is_lack_of_disk(
    left: int, of: int, lacking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk on which no more files can be made is full, however many bytes are free."""

    class Found:
        f_bavail, f_frsize, f_blocks, f_favail, f_files = 2**30, 4096, 2**31, left, of

    monkeypatch.setattr(os, "statvfs", lambda _: Found)
    assert lack_of_disk(tmp_path).endswith(lacking)
    assert bool(lack_of_disk(tmp_path)) is bool(lacking)
