"""The hash of a folder is the hash that git gives to it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.errors import DataError
from harness.upstream.trees import TreeFile, tree_hash, write_tree


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with everything that git knows: files, a program, a link, folders whose names sort otherwise."""
    root = tmp_path / "tree"
    (root / "a").mkdir(parents=True)
    (root / "a" / "inside.txt").write_text("inside")
    (root / "a.txt").write_text("beside")
    (root / "a-b").write_text("before the folder, as git sorts")
    (root / "run").write_text("#!/bin/sh")
    (root / "run").chmod(0o755)
    (root / "link").symlink_to("a/inside.txt")
    (root / "empty").mkdir()
    return root


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_it_is_what_git_write_tree_says(folder: Path, tmp_path: Path) -> None:
    """Modes, links, the order of names and empty folders are treated as git does."""
    environment = os.environ | {"GIT_DIR": str(tmp_path / "git"), "GIT_WORK_TREE": str(folder)}
    for command in (["init", "-q"], ["add", "--all", "."]):
        subprocess.run(["git", *command], check=True, env=environment, cwd=folder, capture_output=True)
    written = subprocess.run(
        ["git", "write-tree"], check=True, env=environment, cwd=folder, capture_output=True, text=True
    )
    assert tree_hash(folder) == written.stdout.strip()


def test_one_changed_byte_is_another_hash(folder: Path) -> None:
    """So is a file that may no longer be run."""
    before = tree_hash(folder)
    (folder / "run").chmod(0o644)
    as_text = tree_hash(folder)
    (folder / "a.txt").write_text("Beside")
    assert len({before, as_text, tree_hash(folder)}) == 3


@pytest.mark.parametrize("name", ["../out", "/out", "a/../../out", "a/./b", ""])
def test_nothing_is_written_outside(name: str, tmp_path: Path) -> None:
    """A name that leads out of the folder, or is not a plain name, is refused before it is opened."""
    (tmp_path / "in").mkdir()
    with pytest.raises(DataError):
        write_tree([TreeFile(name, 0o100644, b"x")], tmp_path / "in")
    assert not (tmp_path / "out").exists()
