"""Sources from code hosts: one request a repository for all of its folders, and other addresses of the same tree."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import DataError, PrerequisiteError
from harness.registry.constraints import DeclarationError
from harness.registry.pinned import Source, Upstream
from harness.upstream.repositories import Clones
from harness.upstream.sources import SourceStore
from tests.stand_in_web import CODE, Asked, Web


def _git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", "-C", folder, *identity, *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def code(hosts: Web, tmp_path: Path) -> Upstream:
    """Return a repository with two folders, of which a later commit has one more."""
    folder = tmp_path / "served" / "owner" / "code"
    for name in ("network", "training"):
        (folder / name).mkdir(parents=True)
        (folder / name / "main.py").write_text(f"# {name}\n")
    _git(folder, "init", "-q", "-b", "main")
    _git(folder, "add", "-A")
    _git(folder, "commit", "-qm", "first")
    commit = _git(folder, "rev-parse", "HEAD")
    (folder / "later").write_text("later")
    _git(folder, "add", "-A")
    _git(folder, "commit", "-qm", "second")
    hosts.repositories = tmp_path / "served"
    return Upstream("owner/code", commit, "MIT")


def _folder(code: Upstream, tmp_path: Path, name: str) -> Source:
    return code.folder(name, _git(tmp_path / "served" / "owner" / "code", "rev-parse", f"{code.commit}:{name}"))


def test_a_repository_is_fetched_once_for_all_its_folders(code: Upstream, hosts: Web, tmp_path: Path) -> None:
    """And not at all where the folders are here."""
    store, said = SourceStore(tmp_path / "sources"), list[str]()
    for _ in range(2):
        with Clones.open(store.root, said.append) as clones:
            for name in ("network", "training"):
                found = store.fetch(_folder(code, tmp_path, name), said.append, clones)
                assert (found / "main.py").read_text() == f"# {name}\n"
    assert said == [f"fetching {code.commit[:12]} from https://github.com/owner/code"]
    assert not list(store.root.glob(".partial-*"))


def test_only_the_files_of_the_folder_are_fetched(code: Upstream, hosts: Web, tmp_path: Path) -> None:
    """Data and pictures beside it stay where they are; a host that sends no single files sends the whole commit."""

    def missing(clone: Path) -> list[str]:
        listed = _git(clone, "rev-list", "--objects", "--missing=print", code.commit).splitlines()
        return [line for line in listed if line.startswith("?")]

    with Clones.open(tmp_path / "clones", print) as clones:
        clone = clones.with_commit(code.git, code.commit, "network")
        (other,) = missing(clone)
        assert other[1:] == _git(tmp_path / "served" / "owner" / "code", "rev-parse", f"{code.commit}:training/main.py")
        assert clones.with_commit(code.git, code.commit, "training") == clone
        assert not missing(clone)
    asked: list[str] = []

    def no_single_files(one: Asked) -> tuple[int, dict[str, str], bytes] | None:
        asked.append(one.path)
        return (500, {}, b"") if one.method == "POST" and len(asked) == 5 else None

    hosts.fault = no_single_files
    with Clones.open(tmp_path / "clones", print) as clones:
        assert not missing(clones.with_commit(code.git, code.commit, "network"))


def test_another_address_of_the_same_tree_is_tried(code: Upstream, hosts: Web, tmp_path: Path) -> None:
    """Under the same commit, or under one of its own; the tree decides."""
    copy = tmp_path / "served" / "copies" / "code"
    shutil.copytree(tmp_path / "served" / "owner" / "code", copy)
    _git(copy, "rm", "-q", "later")
    _git(copy, "commit", "-qm", "the same tree again")
    own = _git(copy, "rev-parse", "HEAD")
    gone = replace(code, git="https://github.com/owner/gone", prefix="code")
    for number, mirror in enumerate(("https://github.com/owner/code", f"https://github.com/copies/code@{own}")):
        source = _folder(replace(gone, mirrors=("https://github.com/owner/gone-too", mirror)), tmp_path, "network")
        store = SourceStore(tmp_path / f"sources{number}")
        assert (store.fetch(source, print) / "main.py").is_file()
        assert store.has(source)
    there = SourceStore(tmp_path / "sources2")  # a clone of the mirror is also what it is added from
    assert there.add([replace(source, commit="d" * 40)], copy, print)


def test_a_mirror_with_other_files_is_refused(code: Upstream, hosts: Web, tmp_path: Path) -> None:
    """All addresses and what is wrong with each are told."""
    other = tmp_path / "served" / "copies" / "code"
    other.mkdir(parents=True)
    (other / "network").mkdir()
    (other / "network" / "main.py").write_text("# exchanged\n")
    _git(other, "init", "-q", "-b", "main")
    _git(other, "add", "-A")
    _git(other, "commit", "-qm", "first")
    own = _git(other, "rev-parse", "HEAD")
    gone = replace(code, git="https://github.com/owner/gone", mirrors=(f"https://github.com/copies/code@{own}",))
    store = SourceStore(tmp_path / "sources")
    with pytest.raises((DataError, PrerequisiteError), match="from any of 2 addresses") as raised:
        store.fetch(_folder(gone, tmp_path, "network"), print)
    assert "owner/gone could not be fetched" in raised.value.message
    assert "has the tree" in raised.value.message
    assert not list(store.root.iterdir())


def test_an_address_that_fails_fails_once(code: Upstream, hosts: Web, tmp_path: Path) -> None:
    """Not once for each of the folders that would come from it; a missing commit is named."""
    missing = replace(code, commit="e" * 40)
    store = SourceStore(tmp_path / "sources")
    asked = []
    with Clones.open(store.root, print) as clones:
        for name in ("network", "training"):
            source = replace(_folder(code, tmp_path, name), commit=missing.commit)
            with pytest.raises(PrerequisiteError, match=f"does not have the commit {missing.commit}"):
                store.fetch(source, print, clones)
            asked.append(len(hosts.of(CODE)))
    assert asked[0] == asked[1] > 0


@pytest.mark.parametrize("mirror", ["http://host/x", "https://host/x@main", "https://me@host/x", "git@host:x"])
def test_a_mirror_is_an_address_with_or_without_a_commit(mirror: str) -> None:
    """Anything else is refused where it is declared."""
    with pytest.raises(DeclarationError, match="mirrors must be a tuple of https:// addresses"):
        Upstream("owner/code", "a" * 40, "MIT", mirrors=(mirror,)).folder("x", "b" * 40)
