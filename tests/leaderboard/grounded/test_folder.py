"""The folder of a result is made for one report, CT and model; what a person put there is never written over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import UsageError
from leaderboard.grounded.folder import MARKER, open_folder

FOR = {"report": "a" * 64, "CT": "b" * 64, "model": "m:v"}


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {MARKER}


def test_a_new_folder_is_its_owners_only(tmp_path: Path) -> None:
    """It will hold the text of a report."""
    folder = open_folder(tmp_path / "some" / "out", FOR)
    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert folder.work.is_dir()


def test_a_second_call_replaces_what_the_first_wrote(tmp_path: Path) -> None:
    """Files of the first call that the second does not write are gone; a person's stay."""
    open_folder(tmp_path, FOR).write({"masks/0.nii.gz": b"0", "masks/1.nii.gz": b"1", "index.html": b"old"})
    (tmp_path / "notes.txt").write_text("mine")
    open_folder(tmp_path, FOR).write({"masks/0.nii.gz": b"new", "index.html": b"new"})
    assert _files(tmp_path) == {"masks/0.nii.gz", "index.html", "notes.txt"}
    assert (tmp_path / "index.html").read_bytes() == b"new"
    assert not list(tmp_path.rglob(".*partial"))


def test_a_persons_file_is_never_written_over(tmp_path: Path) -> None:
    """At the place of a new file is one of somebody else: nothing is written at all."""
    folder = open_folder(tmp_path, FOR)
    (tmp_path / "findings.json").write_text("mine")
    with pytest.raises(UsageError, match="was not written by this command"):
        folder.write({"index.html": b"x", "findings.json": b"x"})
    assert (tmp_path / "findings.json").read_text() == "mine"
    assert not (tmp_path / "index.html").exists()


def test_a_link_does_not_lead_out(tmp_path: Path) -> None:
    """A folder that is a link to elsewhere is not written through."""
    (tmp_path / "elsewhere").mkdir()
    folder = open_folder(tmp_path / "out", FOR)
    (tmp_path / "out" / "masks").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="leads out of"):
        folder.write({"masks/0.nii.gz": b"x"})
    assert not list((tmp_path / "elsewhere").iterdir())


def test_what_is_not_ours_is_refused(tmp_path: Path) -> None:
    """A file, a folder with other files, and the result of something else: left alone, with what to do."""
    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "scan.nii.gz").write_text("x")
    open_folder(tmp_path / "other", FOR | {"CT": "c" * 64, "model": "n:v"})
    for name, says in (("file", "not a folder"), ("full", "did not write"), ("other", "another CT and another model")):
        with pytest.raises(UsageError, match=says) as caught:
            open_folder(tmp_path / name, FOR)
        assert "new or empty" in caught.value.fix
    assert (tmp_path / "full" / "scan.nii.gz").read_text() == "x"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"made_for": 1, "files": []}', "\x00"])
def test_a_marker_that_is_not_ours_is_refused(tmp_path: Path, content: str) -> None:
    """Whatever stands in the marker, nothing is raised but a refusal."""
    (tmp_path / MARKER).write_text(content)
    with pytest.raises(UsageError, match="is not what"):
        open_folder(tmp_path, FOR)


def test_a_marker_cannot_remove_files_elsewhere(tmp_path: Path) -> None:
    """A list of files that leads out of the folder is not followed."""
    (tmp_path / "mine.txt").write_text("mine")
    out = tmp_path / "out"
    out.mkdir()
    names = ["../mine.txt", str(tmp_path / "mine.txt")]
    (out / MARKER).write_text(json.dumps({"schema": 1, "made_for": FOR, "files": names}))
    open_folder(out, FOR).write({"index.html": b"x"})
    assert (tmp_path / "mine.txt").read_text() == "mine"
