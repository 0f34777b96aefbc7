"""What a container leaves is copied without following, waiting or believing anything; every refusal has its words."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.sandbox import safe_copy
from harness.sandbox.safe_copy import Bound, Copied, RefusedCheckpoint, RefusedFile, copy_file, copy_folder

CONTENT = b"mask" * 1000


@contextmanager
def _handle(folder: Path) -> Iterator[int]:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield handle
    finally:
        os.close(handle)


def _copy(folder: Path, *bounds: Bound) -> Copied:
    with _handle(folder) as handle:
        return copy_file(handle, "file", folder / "copy", kind="mask", bounds=bounds or (Bound(10**6, "is too large"),))


@pytest.fixture
def growing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every file look empty when it is opened, as one does that grows afterwards."""
    real = os.fstat

    def small(handle: int) -> os.stat_result:
        found = list(real(handle))
        found[6] = 0  # st_size
        return os.stat_result(found)

    monkeypatch.setattr(os, "fstat", small)


def test_a_file_is_copied_with_its_digest(tmp_path: Path) -> None:
    """The copy has the same bytes, and what is returned says which."""
    (tmp_path / "file").write_bytes(CONTENT)
    assert _copy(tmp_path) == Copied(4000, hashlib.sha256(CONTENT).hexdigest())
    assert (tmp_path / "copy").read_bytes() == CONTENT


def test_a_file_at_its_bound_is_taken(tmp_path: Path) -> None:
    """Bounds count the last byte in."""
    (tmp_path / "file").write_bytes(CONTENT)
    assert _copy(tmp_path, Bound(4000, "is too large")).size == 4000


def test_a_missing_file_is_not_a_refused_one(tmp_path: Path) -> None:
    """That nothing was delivered is for the caller to judge."""
    with pytest.raises(FileNotFoundError):
        _copy(tmp_path)


def _link(file: Path) -> None:
    file.symlink_to("/etc/passwd")


def _dangling(file: Path) -> None:
    file.symlink_to("nothing")


def _hard_link(file: Path) -> None:
    (file.parent / "other").write_bytes(CONTENT)
    os.link(file.parent / "other", file)


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_link, "is a symbolic link; write the mask itself"),
        (_dangling, "is a symbolic link; write the mask itself"),
        (_hard_link, "has another name (a hard link); write each mask as a separate file"),
        (os.mkfifo, "is not a regular file"),
        (Path.mkdir, "is not a regular file"),
    ],
)
def test_only_a_regular_file_with_one_name_is_taken(make: Callable[[Path], None], reason: str, tmp_path: Path) -> None:
    """Links, pipes and folders are refused at once, and nothing is left of them."""
    make(tmp_path / "file")
    with pytest.raises(RefusedFile) as refused:
        _copy(tmp_path)
    assert str(refused.value) == reason
    assert not (tmp_path / "copy").exists()


def test_the_first_broken_bound_is_named(tmp_path: Path) -> None:
    """Each bound has its own words, with the size of the file where it wants it."""
    (tmp_path / "file").write_bytes(CONTENT)
    with pytest.raises(RefusedFile, match=r"^has 4,000 bytes$"):
        _copy(tmp_path, Bound(5000, "never"), Bound(10, "has {size} bytes"), Bound(5, "later"))


@pytest.mark.usefixtures("growing")
def test_a_file_that_grows_is_refused(tmp_path: Path) -> None:
    """A file that was small when it was opened is not read beyond the smallest bound, and its copy is removed."""
    (tmp_path / "file").write_bytes(CONTENT)
    with pytest.raises(RefusedFile, match=r"^grew beyond 3,000 bytes while it was read$"):
        _copy(tmp_path, Bound(3500, "never"), Bound(3000, "never"))
    assert not (tmp_path / "copy").exists()


def _checkpoint(out: Path, limit: int = 10**6, max_files: int = 10) -> dict[str, Copied]:
    target = out / "copy"
    target.mkdir()
    return copy_folder(out, "checkpoint", target, limit=limit, max_files=max_files)


def test_a_folder_is_copied_in_order(tmp_path: Path) -> None:
    """Every file of it, those of inner folders by their path, and nothing for an empty folder."""
    for name in ("b", "a/z", "a/y/x"):
        (tmp_path / "checkpoint" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "checkpoint" / name).write_text(name)
    (tmp_path / "checkpoint" / "empty").mkdir()
    assert list(_checkpoint(tmp_path)) == ["a/y/x", "a/z", "b"]
    assert (tmp_path / "copy" / "a" / "y" / "x").read_text() == "a/y/x"
    assert not (tmp_path / "copy" / "empty").exists()


@pytest.mark.timeout(10)
@pytest.mark.parametrize("make", [_link, _dangling, _hard_link, os.mkfifo])
def test_one_odd_file_refuses_the_folder(make: Callable[[Path], None], tmp_path: Path) -> None:
    """A checkpoint is taken whole or not at all."""
    (tmp_path / "checkpoint").mkdir()
    make(tmp_path / "checkpoint" / "file")
    with pytest.raises(RefusedCheckpoint, match=r"^contains 'file', which is not a regular file with one name$"):
        _checkpoint(tmp_path)


@pytest.mark.parametrize("name", [".hidden", "a\nb", "-rf", "x" * 201, "ü"])
def test_names_are_plain(name: str, tmp_path: Path) -> None:
    """A name that could be mistaken for something else refuses the folder."""
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / name).touch()
    with pytest.raises(RefusedCheckpoint) as refused:
        _checkpoint(tmp_path)
    assert str(refused.value) == f"contains {name!r}, which is not a plain name"


def test_an_inner_folder_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    """Neither the checkpoint nor a folder in it may be a link."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "inner").symlink_to("/etc")
    (tmp_path / "checkpoint").symlink_to("real")
    with pytest.raises(
        RefusedCheckpoint, match=r"^contains 'checkpoint', which is not a plain folder \(Not a directory\)$"
    ):
        _checkpoint(tmp_path)


def test_bounds_of_a_folder(tmp_path: Path) -> None:
    """Number, bytes and depth each have a bound that holds for all files together."""
    (tmp_path / "checkpoint").mkdir()
    for number in range(3):
        (tmp_path / "checkpoint" / str(number)).write_bytes(bytes(2**19))
    for out, limit, files, reason in (
        ("one", 2**20, 3, "contains more than 1 MB"),
        ("two", 2**21, 2, "contains more than 2 files"),
    ):
        (tmp_path / out).mkdir()
        with pytest.raises(RefusedCheckpoint) as refused:
            copy_folder(tmp_path, "checkpoint", tmp_path / out, limit=limit, max_files=files)
        assert str(refused.value) == reason
    assert len(_checkpoint(tmp_path, limit=3 * 2**19, max_files=3)) == 3


@pytest.mark.parametrize(("depth", "taken"), [(safe_copy.MAX_DEPTH, True), (safe_copy.MAX_DEPTH + 1, False)])
def test_depth_of_a_folder(depth: int, taken: bool, tmp_path: Path) -> None:
    """Folders lie at most eight deep."""
    inner = tmp_path.joinpath("checkpoint", *("d" * depth))
    inner.mkdir(parents=True)
    (inner / "file").touch()
    if taken:
        assert len(_checkpoint(tmp_path)) == 1
    else:
        with pytest.raises(RefusedCheckpoint, match=r"^is nested deeper than 8 folders$"):
            _checkpoint(tmp_path)


@pytest.mark.usefixtures("growing")
def test_a_checkpoint_that_grows_is_refused(tmp_path: Path) -> None:
    """No more than the bound is written, whatever a file's size was at first."""
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "file").write_bytes(CONTENT)
    with pytest.raises(RefusedCheckpoint, match=r"^grew beyond its bound while it was read$"):
        _checkpoint(tmp_path, limit=3000)


@pytest.mark.parametrize(("make", "reason"), [
    (lambda _: None, "is missing: the container did not write out/checkpoint/"),
    (Path.mkdir, "is empty"),
    (Path.touch, "contains 'checkpoint', which is not a plain folder (Not a directory)"),
])  # fmt: skip
def test_no_checkpoint(make: Callable[[Path], None], reason: str, tmp_path: Path) -> None:
    """Nothing, an empty folder and a file are not a checkpoint."""
    make(tmp_path / "checkpoint")
    with pytest.raises(RefusedCheckpoint) as refused:
        _checkpoint(tmp_path)
    assert str(refused.value) == reason


def test_a_file_that_is_shut_refuses_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that we may not open is a refusal that says so, not a crash."""
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "file").touch()
    real = os.open

    def shut(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path == "file":
            raise PermissionError(13, "Permission denied")
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", shut)
    with pytest.raises(RefusedCheckpoint, match=r"^contains 'file', which cannot be opened \(Permission denied\)$"):
        _checkpoint(tmp_path)
