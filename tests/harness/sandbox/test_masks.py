"""A case's masks are taken complete or not at all, each refused one with its reason, and no more than there is room."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.sandbox import masks as collecting
from harness.sandbox.masks import Collected, accept, collect_case, drop, read_refused

ROOM = 10_000


def _deliver(folder: Path, **masks: bytes) -> Path:
    (folder / "out" / "case").mkdir(parents=True, exist_ok=True)
    for finding, content in masks.items():
        (folder / "out" / "case" / f"{finding}.nii.gz").write_bytes(content)
    return folder / "out"


def _taken(folder: Path) -> dict[str, bytes]:
    files = (folder / "masks" / "case").iterdir()
    return {file.name.removesuffix(".nii.gz"): file.read_bytes() for file in files if file.name != "refused.json"}


def _collect(out: Path, case: str, findings: list[str], masks: Path, room: int) -> Collected:
    """Collect a case and give its masks their name, as one who is alone does."""
    collected = collect_case(out, case, findings, masks, room)
    drop(masks, case)
    assert accept(masks, case, collected.name)
    return collected


def test_what_was_delivered_is_taken(tmp_path: Path) -> None:
    """Masks of the findings that were asked for, and no other file; however large those of other cases are."""
    out = _deliver(tmp_path, a=b"one", b=b"three", other=b"no")
    _collect(out, "case", ["a", "b", "c"], tmp_path / "masks", ROOM)
    assert _taken(tmp_path) == {"a": b"one", "b": b"three"}
    assert read_refused(tmp_path / "masks", "case") == {}


def test_taken_again_it_replaces_what_was_there(tmp_path: Path) -> None:
    """A second container's masks are not mixed with those of the first."""
    _collect(_deliver(tmp_path, a=b"old", b=b"old"), "case", ["a", "b"], tmp_path / "masks", ROOM)
    (tmp_path / "out" / "case" / "b.nii.gz").unlink()
    _collect(_deliver(tmp_path, a=b"new"), "case", ["a", "b"], tmp_path / "masks", ROOM)
    assert _taken(tmp_path) == {"a": b"new"}
    assert [path.name for path in (tmp_path / "masks").iterdir()] == ["case"]


def test_a_case_that_delivered_nothing_is_an_empty_folder(tmp_path: Path) -> None:
    """No folder is not a refusal: each finding is missing."""
    (tmp_path / "out").mkdir()
    _collect(tmp_path / "out", "case", ["a"], tmp_path / "masks", ROOM)
    assert _taken(tmp_path) == {}
    assert read_refused(tmp_path / "masks", "case") == {}


def test_a_folder_that_is_a_link_refuses_every_finding(tmp_path: Path) -> None:
    """A container cannot have files of the host taken by naming their folder."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "case").symlink_to("/etc")
    _collect(tmp_path / "out", "case", ["a", "b"], tmp_path / "masks", ROOM)
    reason = "out/case is not a plain folder (Not a directory)"
    assert read_refused(tmp_path / "masks", "case") == {"a": reason, "b": reason}


@pytest.mark.timeout(10)
def test_a_refused_file_does_not_touch_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every refusal has its own words; what is left is taken."""
    monkeypatch.setattr(collecting, "MAX_MASK_BYTES", 1000)
    out = _deliver(tmp_path, large=bytes(1001), good=b"good", fits=bytes(1000))
    (out / "case" / "link.nii.gz").symlink_to("good.nii.gz")
    os.mkfifo(out / "case" / "pipe.nii.gz")
    (out / "case" / "folder.nii.gz").mkdir()
    (out / "case" / "elsewhere").write_bytes(b"x")
    os.link(out / "case" / "elsewhere", out / "case" / "hard.nii.gz")
    findings = ["large", "good", "link", "pipe", "folder", "hard", "fits"]
    _collect(out, "case", findings, tmp_path / "masks", ROOM)
    assert set(_taken(tmp_path)) == {"good", "fits"}
    assert read_refused(tmp_path / "masks", "case") == {
        "large": "out/case/large.nii.gz has 1,001 bytes, a mask may have 1,000",
        "link": "out/case/link.nii.gz is a symbolic link; write the mask itself",
        "pipe": "out/case/pipe.nii.gz is not a regular file",
        "folder": "out/case/folder.nii.gz is not a regular file",
        "hard": "out/case/hard.nii.gz has another name (a hard link); write each mask as a separate file",
    }


def test_two_names_of_one_file_are_both_refused(tmp_path: Path) -> None:
    """Refusing the first does not make the second a file of its own."""
    out = _deliver(tmp_path, a=b"one")
    os.link(out / "case" / "a.nii.gz", out / "case" / "b.nii.gz")
    _collect(out, "case", ["a", "b"], tmp_path / "masks", ROOM)
    assert _taken(tmp_path) == {}


def test_room_is_shared_by_the_masks_of_a_case(tmp_path: Path) -> None:
    """The mask that no longer fits is refused; a smaller one after it is taken. A hole counts as what it becomes."""
    out = _deliver(tmp_path, a=bytes(60), c=bytes(40))
    with (out / "case" / "b.nii.gz").open("wb") as sparse:
        sparse.truncate(41)
    _collect(out, "case", ["a", "b", "c"], tmp_path / "masks", 100)
    assert read_refused(tmp_path / "masks", "case") == {
        "b": "out/case/b.nii.gz exceeds the limit of all masks of the case together (the declared limit of out/)"
    }


def test_two_who_collect_at_once_do_not_see_each_other(tmp_path: Path) -> None:
    """Whoever is accepted first stays, whole; the other one's are dropped without a trace."""
    first = collect_case(_deliver(tmp_path, a=b"first"), "case", ["a"], tmp_path / "masks", ROOM)
    second = collect_case(_deliver(tmp_path, a=b"second"), "case", ["a"], tmp_path / "masks", ROOM)
    assert first.sha256 != second.sha256
    assert accept(tmp_path / "masks", "case", first.name)
    assert accept(tmp_path / "masks", "case", first.name), "again: the case has its masks"
    drop(tmp_path / "masks", second.name)
    assert _taken(tmp_path) == {"a": b"first"}
    assert [path.name for path in (tmp_path / "masks").iterdir()] == ["case"]


def test_masks_that_are_nowhere_are_not_accepted(tmp_path: Path) -> None:
    """An outcome whose masks somebody removed has none."""
    (tmp_path / "masks").mkdir()
    assert not accept(tmp_path / "masks", "case", ".incoming-case-0")
