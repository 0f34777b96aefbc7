"""Upstream code at its commit: exact whatever it comes from, and nothing hostile gets out of its folder."""

from __future__ import annotations

import io
import os
import shutil
import stat
import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from harness.errors import DataError, PrerequisiteError
from harness.registry.pinned import Source
from harness.upstream.sources import SourceStore
from harness.upstream.trees import FILE, LINK, PROGRAM, TreeFile, tree_hash, write_tree

URL = "https://example.org/upstream.git"


def git(folder: Path, *arguments: str) -> str:
    """Run git as somebody, untouched by this machine's settings."""
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", folder, *identity, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture(scope="session")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository with everything that upstream ones have: programs, links, odd names, attributes."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    folder = tmp_path_factory.mktemp("upstream")
    git(folder, "init", "-q", "-b", "main")
    (folder / "pkg" / "configs").mkdir(parents=True)
    (folder / "pkg" / "configs" / "a+b é.yaml").write_text("width: 1\r\n", newline="")
    (folder / "pkg" / "a.yaml").symlink_to("./configs/a+b é.yaml")
    (folder / "pkg" / "run.sh").write_text("#!/bin/sh\n")
    (folder / "pkg" / "run.sh").chmod(0o755)
    (folder / "pkg-more").write_text("sorts beside pkg/")
    (folder / "weights.bin").write_text("version https://git-lfs.github.com/spec/v1\n")
    # All three would make `git archive` or a checkout differ from what the commit holds.
    (folder / ".gitattributes").write_text("*.bin filter=lfs\n*.yaml text eol=crlf\nsecret export-ignore\n")
    (folder / "secret").write_text("left out of archives")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "first")
    (folder / "later").write_text("not in the pinned commit")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "second")
    return folder


def _source(upstream: Path, commit: str = "HEAD~1", **other: str) -> Source:
    fields = {"name": "upstream", "git": URL, "licence": "MIT"}
    fields |= {"commit": git(upstream, "rev-parse", commit), "tree": git(upstream, "rev-parse", commit + "^{tree}")}
    return Source(**{**fields, **other})


@pytest.fixture
def source(upstream: Path) -> Source:
    """Return the declaration of the first commit."""
    return _source(upstream)


@pytest.fixture
def store(tmp_path: Path) -> SourceStore:
    """Return an empty store."""
    return SourceStore(tmp_path / "sources")


def _names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def _link(path: Path) -> str:
    return os.readlink(path)  # noqa: PTH115 - a Path would tidy it


def _check_files(folder: Path) -> None:
    assert _names(folder) == {
        *("pkg/configs/a+b é.yaml", "pkg/a.yaml", "pkg/run.sh", "pkg-more", "weights.bin", ".gitattributes", "secret")
    }
    assert (folder / "pkg" / "configs" / "a+b é.yaml").read_bytes() == b"width: 1\n"
    assert _link(folder / "pkg" / "a.yaml") == "./configs/a+b é.yaml"
    assert (folder / "pkg" / "run.sh").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("kind", ["clone", "bare"])
def test_a_repository_gives_exactly_the_commit(
    kind: str, store: SourceStore, source: Source, upstream: Path, tmp_path: Path
) -> None:
    """Attributes, filters and line endings change nothing; what came later is not there."""
    git(tmp_path, "clone", "-q", *(["--bare"] if kind == "bare" else []), str(upstream), "copy")
    assert store.add([source], tmp_path / "copy", print) == [source]
    _check_files(store.check(source))
    assert [path.name for path in store.root.iterdir()] == [f"upstream-{source.commit[:12]}"]


@pytest.mark.parametrize("form", ["tar", "tar.gz", "zip"])
@pytest.mark.parametrize("prefix", ["", "upstream-abc/"])
def test_an_archive_is_known_by_its_tree(
    form: str, prefix: str, store: SourceStore, upstream: Path, tmp_path: Path
) -> None:
    """With or without the outer folder that code hosts add."""
    git(upstream, "tag", "-f", "plain", git(upstream, "commit-tree", "-m", "x", _plain_tree(upstream)))
    plain = _source(upstream, "plain")
    git(upstream, "archive", f"--format={form}", f"--prefix={prefix}", "-o", str(tmp_path / f"a.{form}"), "plain")
    assert store.add([_source(upstream), plain], tmp_path / f"a.{form}", print) == [plain]
    assert (store.check(plain) / "run.sh").stat().st_mode & 0o100
    assert _link(store.check(plain) / "a.yaml") == "./configs/a+b é.yaml"


def _plain_tree(upstream: Path) -> str:
    """Return the tree of a folder that no attribute speaks of."""
    return git(upstream, "rev-parse", "HEAD~1:pkg")


@pytest.mark.parametrize("form", ["clone", "zip", "tar.gz"])
def test_one_folder_of_a_repository_is_a_source(form: str, store: SourceStore, upstream: Path, tmp_path: Path) -> None:
    """Only that folder comes, held against its own tree, and the rest of the repository may be missing."""
    part = _source(upstream, tree=git(upstream, "rev-parse", "HEAD~1:pkg/configs"), path="pkg/configs")
    origin = upstream
    if form != "clone":
        origin = tmp_path / f"a.{form}"
        git(upstream, "archive", f"--format={form}", "--prefix=x/", "-o", str(origin), _plain_commit(upstream))
    assert store.add([part], origin, print) == [part]
    assert _names(store.check(part)) == {"a+b é.yaml"}


def _plain_commit(upstream: Path) -> str:
    """Return the first commit's files without the attributes that would change them on the way into an archive."""
    index = {**os.environ, "GIT_INDEX_FILE": str(upstream / ".git" / "plain-index")}
    for arguments in (["read-tree", "HEAD~1"], ["rm", "-q", "--cached", ".gitattributes"]):
        subprocess.run(["git", "-C", upstream, *arguments], check=True, env=index)
    tree = subprocess.run(
        ["git", "-C", upstream, "write-tree"], check=True, env=index, capture_output=True, text=True
    ).stdout.strip()
    return git(upstream, "commit-tree", "-m", "plain", tree)


def test_an_archive_that_lacks_files_is_refused(
    store: SourceStore, source: Source, upstream: Path, tmp_path: Path
) -> None:
    """An archive without the files that are left out of archives is not the commit, and both trees are named."""
    git(upstream, "archive", "--prefix=x/", "-o", str(tmp_path / "a.tar.gz"), source.commit)
    with pytest.raises(DataError, match="which no plugin declares") as raised:
        store.add([source], tmp_path / "a.tar.gz", print)
    assert str(tmp_path / "a.tar.gz") in raised.value.message
    assert not store.has(source)
    assert list(store.root.iterdir()) == []


def test_a_repository_that_lacks_content_is_refused(
    store: SourceStore, source: Source, upstream: Path, tmp_path: Path
) -> None:
    """A mirror that is not whole says which file is missing."""
    git(tmp_path, "clone", "-q", "--bare", "--no-local", str(upstream), "copy")
    copy = tmp_path / "copy"
    for pack in (copy / "objects" / "pack").glob("*.pack"):
        moved = pack.rename(tmp_path / "moved.pack")
        with moved.open("rb") as packed:
            subprocess.run(["git", "-C", copy, "unpack-objects", "-q"], stdin=packed, check=True)
    blob = git(upstream, "rev-parse", "HEAD:pkg/run.sh")
    (copy / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(DataError, match=r"the repository lacks the content of pkg/run\.sh"):
        store.add([source], copy, print)


def test_fetch_takes_the_one_commit(
    store: SourceStore, source: Source, upstream: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git fetches from the declared address, here replaced by a local one."""
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.file://{upstream}.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", URL)
    said: list[str] = []
    _check_files(store.fetch(source, said.append))
    assert said == [f"fetching {source.commit[:12]} from {URL}"]
    store.fetch(source, said.append)
    assert len(said) == 1


def test_a_repository_that_git_was_told_of_is_left_alone(
    store: SourceStore, source: Source, upstream: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Called from a hook, where git names its own repository, nothing is read from that or written to it."""
    own = tmp_path / "own.git"
    subprocess.run(["git", "init", "-q", "--bare", own], check=True)
    before = _names(own)
    monkeypatch.setenv("GIT_DIR", str(own))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(own / "objects"))
    for name, value in (("COUNT", "1"), ("KEY_0", f"url.file://{upstream}.insteadOf"), ("VALUE_0", URL)):
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    _check_files(store.fetch(source, print))
    shutil.rmtree(store.folder(source))
    assert store.add([source], upstream, print) == [source]
    assert _names(own) == before


def test_an_address_that_nothing_answers_says_what_else_there_is(store: SourceStore, upstream: Path) -> None:
    """Without a network the other way is named."""
    nowhere = _source(upstream, git="https://127.0.0.1:9/upstream.git")
    with pytest.raises(PrerequisiteError, match="could not be fetched: git fetch failed") as raised:
        store.fetch(nowhere, print)
    assert "bench sources add --from PATH" in raised.value.fix
    assert list(store.root.iterdir()) == []


def test_without_git_the_message_says_how_to_install_it(
    store: SourceStore, source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That git is missing is reported, by fetch and by add."""
    monkeypatch.setenv("PATH", str(tmp_path))
    for action in (lambda: store.fetch(source, print), lambda: store.add([source], tmp_path, print)):
        with pytest.raises(PrerequisiteError, match="git is not installed") as raised:
            action()
        assert "apt-get install git" in raised.value.fix


def test_a_wrong_tree_is_a_wrong_declaration(store: SourceStore, upstream: Path) -> None:
    """A commit with another tree than declared is refused with both."""
    wrong = _source(upstream, tree="0" * 40)
    with pytest.raises(DataError, match=f"the plugin declares {'0' * 40}"):
        store.add([wrong], upstream, print)
    assert list(store.root.iterdir()) == []


def test_a_repository_without_the_commit_is_refused(store: SourceStore, upstream: Path, tmp_path: Path) -> None:
    """Nothing that is wanted is in it; a folder that is not a repository is called that."""
    with pytest.raises(DataError, match="does not contain any of the declared sources"):
        store.add([Source("upstream", URL, "1" * 40, "MIT", "2" * 40)], upstream, print)
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match="it is not a git repository"):
        store.add([_source(upstream)], tmp_path / "folder", print)


def test_a_submodule_is_refused(store: SourceStore, upstream: Path, tmp_path: Path) -> None:
    """Its content is not in the tree, so nothing could check it."""
    git(tmp_path, "clone", "-q", str(upstream), "copy")
    copy = tmp_path / "copy"
    git(copy, "update-index", "--add", "--cacheinfo", f"160000,{'2' * 40},vendored")
    git(copy, "commit", "-qm", "third")
    with pytest.raises(DataError, match="vendored is a submodule"):
        store.add([_source(copy, "HEAD")], copy, print)


def test_a_change_of_the_files_is_found_out(store: SourceStore, source: Source, upstream: Path) -> None:
    """Content, mode, a new file: each changes the tree."""
    store.add([source], upstream, print)
    folder = store.folder(source)
    program = folder / "pkg" / "run.sh"
    for change, undo in (
        (lambda: program.write_text("evil"), lambda: program.write_text("#!/bin/sh\n")),
        (lambda: program.chmod(0o644), lambda: program.chmod(0o755)),
        ((folder / "new").touch, (folder / "new").unlink),
    ):
        change()
        with pytest.raises(DataError, match="was changed"):
            store.check(source)
        undo()
        store.check(source)


def test_tree_hash_is_that_of_git(store: SourceStore, source: Source, upstream: Path) -> None:
    """Git itself is the oracle, on every folder of the commit."""
    store.add([source], upstream, print)
    rows = git(upstream, "ls-tree", "-r", "-d", source.commit).splitlines()
    assert len(rows) == 2
    for row in rows:
        about, path = row.split("\t")
        assert tree_hash(store.folder(source) / path) == about.split()[2]


HOSTILE = {
    "parent": [TreeFile("../a", FILE, b"")],
    "absolute": [TreeFile("/a", FILE, b"")],
    "hidden parent": [TreeFile("a/../../b", FILE, b"")],
    "dot": [TreeFile("./a", FILE, b"")],
    "repository": [TreeFile("a/.GIT/config", FILE, b"")],
    "nul": [TreeFile("a\0b", FILE, b"")],
    "twice": [TreeFile("a", FILE, b""), TreeFile("a", FILE, b"")],
    "file as folder": [TreeFile("a", FILE, b""), TreeFile("a/b", FILE, b"")],
    "link out": [TreeFile("a", LINK, b"../../etc/passwd")],
    "absolute link": [TreeFile("a", LINK, b"/etc/passwd")],
    "link out through a link": [TreeFile("d/up", LINK, b".."), TreeFile("x", LINK, b"d/up/..")],
    "link over a file": [TreeFile("a", FILE, b""), TreeFile("a", LINK, b"b")],
    "file below a link": [TreeFile("a", LINK, b"b"), TreeFile("b/c", FILE, b""), TreeFile("a/d", FILE, b"")],
    "link below a link": [TreeFile("a", LINK, b".."), TreeFile("a/d", LINK, b"b")],
    "empty link": [TreeFile("a", LINK, b"")],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_gets_out_of_the_folder(name: str, tmp_path: Path) -> None:
    """A path or a link that leads out, or that is there twice, is refused, and nothing lies outside."""
    folder = tmp_path / "in" / "side"
    folder.mkdir(parents=True)
    with pytest.raises(DataError):
        write_tree(HOSTILE[name], folder)
    assert {path.name for path in tmp_path.iterdir()} == {"in"}
    assert {path.name for path in folder.parent.iterdir()} == {"side"}


def test_bounds_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More bytes or more files than a source may have are refused."""
    monkeypatch.setattr("harness.upstream.trees.MAX_TREE_BYTES", 10)
    with pytest.raises(DataError, match="more than"):
        write_tree([TreeFile("a", FILE, b"x" * 11)], tmp_path)
    monkeypatch.setattr("harness.upstream.trees.MAX_TREE_FILES", 2)
    with pytest.raises(DataError, match="more than"):
        write_tree([TreeFile(name, PROGRAM, b"") for name in "bcd"], tmp_path)


def _tar(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return path


def _member(name: str, **fields: Any) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    for key, value in fields.items():
        setattr(member, key, value)
    return member


@pytest.mark.parametrize(
    ("member", "said"),
    [
        (_member("x/a", type=tarfile.LNKTYPE, linkname="/etc/passwd"), "is not a file, a folder or a link"),
        (_member("x/a", type=tarfile.FIFOTYPE), "is not a file, a folder or a link"),
        (_member("x/a", type=tarfile.CHRTYPE), "is not a file, a folder or a link"),
        (_member("../a", size=1), "is not a valid path inside a source tree"),
        (_member("/a", size=1), "is not a valid path inside a source tree"),
    ],
)
def test_a_hostile_archive_is_refused(store: SourceStore, source: Source, tmp_path: Path, member, said) -> None:
    """Special files and paths that lead out end in a sentence; the store stays empty."""
    with pytest.raises(DataError, match=said):
        store.add([source], _tar(tmp_path / "a.tar.gz", member), print)
    assert list(store.root.iterdir()) == []


def test_a_member_that_claims_too_much_is_not_unpacked(store: SourceStore, source: Source, tmp_path: Path) -> None:
    """The bound holds before anything is read."""
    path = tmp_path / "a.tar"
    path.write_bytes(_member("a", size=2**40).tobuf() + b"\0" * 1024)
    with pytest.raises(DataError, match="a file that is too large"):
        store.add([source], path, print)


@pytest.mark.parametrize("kind", ["text", "cut", "damaged", "empty"])
def test_what_is_no_whole_archive_is_refused(kind: str, store: SourceStore, source: Source, tmp_path: Path) -> None:
    """Damage ends in a sentence, wherever it lies."""
    good = _tar(tmp_path / "good.tar.gz", _member("x/a", size=100_000)).read_bytes()
    content = {"text": b"hello", "cut": good[: len(good) // 2], "empty": b""}
    content["damaged"] = good[:40] + bytes(b ^ 255 for b in good[40:60]) + good[60:]
    path = tmp_path / "a.tar.gz"
    path.write_bytes(content[kind])
    with pytest.raises(DataError, match=r"a\.tar\.gz: it"):
        store.add([source], path, print)


def test_a_zip_with_a_link_out_is_refused(store: SourceStore, source: Source, tmp_path: Path) -> None:
    """A zip says that a member is a link in its attributes."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        link = zipfile.ZipInfo("x/a")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "../../../etc/passwd")
    with pytest.raises(DataError, match="leads out of the source tree"):
        store.add([source], tmp_path / "a.zip", print)
