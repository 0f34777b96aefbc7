"""A home's own list of images: what it made is known by tag and id, what it only used may not be removed."""

from __future__ import annotations

from pathlib import Path

from harness.images.own import OwnImages


def test_what_was_made_is_what_may_go(tmp_path: Path) -> None:
    """A list is empty at first; an image that was only used was not made; lines are not doubled."""
    own = OwnImages(tmp_path / "images")
    assert own.made() == set()
    own.note("groundbench/a:1", "sha256:1", made=False)
    own.note("groundbench/b:1", "sha256:2", made=True)
    own.note("groundbench/b:1", "sha256:2", made=True)
    own.note("", "sha256:3", made=True)
    assert OwnImages(tmp_path / "images").made() == {("groundbench/b:1", "sha256:2")}
    assert len((tmp_path / "images" / "own.jsonl").read_text().splitlines()) == 2


def test_a_tag_that_was_given_away_is_noticed(tmp_path: Path) -> None:
    """Of a tag that was never seen nothing is said; damaged lines are ignored."""
    own = OwnImages(tmp_path)
    own.note("groundbench/a:1", "sha256:1", made=False)
    with (tmp_path / "own.jsonl").open("ab") as file:
        file.write(b'{"x": 1}\n[1]\n["groundbench/c')
    assert own.is_another("groundbench/a:1", "sha256:9")
    assert not own.is_another("groundbench/a:1", "sha256:1")
    assert not own.is_another("groundbench/b:1", "sha256:9")
