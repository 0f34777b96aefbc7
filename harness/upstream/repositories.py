"""Git repositories of other people: read without their settings, each fetched once for all folders that are taken."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.errors import DataError, PrerequisiteError
from harness.host.sizes import size
from harness.upstream.trees import MAX_TREE_BYTES, TreeFile

#: Git does not prompt at the terminal, fetches nothing implicitly, and ignores repositories above the path.
_ENVIRONMENT = {"GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "https:ssh:file"}

#: Set by git for its own hooks; the repositories here are others.
_ELSEWHERE = {
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_NAMESPACE", "GIT_PREFIX"),
    *("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_SHALLOW_FILE", "GIT_GRAFT_FILE"),
}

#: Name of the address in a clone.
_REMOTE = "origin"

#: A transfer that stays below 1 kB/s for a minute is aborted.
_PATIENCE = ("-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=60")


class Clones:
    """Clones that live as long as a command; made by :meth:`open`.

    Parameters
    ----------
    root
        Folder for them.
    log
        Receives a line for each repository that is fetched from.
    """

    def __init__(self, root: Path, log: Callable[[str], None]) -> None:
        self._root, self._log = root, log
        self._known: dict[tuple[str, str], Path | PrerequisiteError] = {}
        self._partial: set[Path] = set()  #: clones without the content of files

    @classmethod
    @contextmanager
    def open(cls, parent: Path, log: Callable[[str], None]) -> Iterator[Clones]:
        """Open an empty collection in a temporary folder below `parent`."""
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=parent) as root:
            yield cls(Path(root), log)

    def with_commit(self, address: str, commit: str, path: str = "") -> Path:
        """Return a clone of a repository that has a folder of a commit; each commit is fetched once, and fails once.

        Where the host can, only the files of that folder are fetched, and not the data and pictures beside it.

        Raises
        ------
        PrerequisiteError
            When git is not installed, or the address cannot be reached or does not have the commit.
        """
        key = address, commit
        if key not in self._known:
            try:
                self._known[key] = self._fetch(address, commit)
            except PrerequisiteError as error:
                self._known[key] = error
        found = self._known[key]
        if isinstance(found, PrerequisiteError):
            raise found
        if found in self._partial:
            try:
                _fetch_blobs(found, commit, path)
            except PrerequisiteError:  # a host that sends no single files
                found = self._known[key] = self._fetch(address, commit, whole=True)
        return found

    def _fetch(self, address: str, commit: str, *, whole: bool = False) -> Path:
        self._log(f"fetching {commit[:12]} from {address}")
        clone = self._root / f"{len(list(self._root.iterdir()))}.git"
        git(None, "init", "--quiet", "--bare", str(clone))
        for name, value in (("url", address), ("promisor", "true"), ("partialclonefilter", "blob:none")):
            if not whole:
                git(clone, "config", f"remote.{_REMOTE}.{name}", value)
        place = (address,) if whole else ("--filter=blob:none", _REMOTE)
        try:
            git(clone, *_PATIENCE, "fetch", "--quiet", "--depth=1", *place, commit)
            self._partial |= set() if whole else {clone}
        except PrerequisiteError:
            _fetch_all(clone, address)  # not every host serves single commits
        if not has_commit(clone, commit):
            raise PrerequisiteError(
                f"{address} does not have the commit {commit}",
                fix="the declaration is wrong, or the commit was removed there",
            )
        return clone


def has_commit(repository: Path, commit: str) -> bool:
    """Return whether a repository has a commit with its tree."""
    try:
        git(repository, "cat-file", "-e", f"{commit}^{{tree}}")
    except PrerequisiteError:
        return False
    return True


def program() -> str:
    """Return the path of git; raises PrerequisiteError where it is not installed."""
    found = shutil.which("git")
    if found is None:
        raise PrerequisiteError("git is not installed", fix="install it (on Debian: apt-get install git)")
    return found


def _environment() -> dict[str, str]:
    return {**{name: value for name, value in os.environ.items() if name not in _ELSEWHERE}, **_ENVIRONMENT}


def git(repository: Path | None, *arguments: str, given: bytes = b"") -> bytes:
    """Run git and return its output; raises PrerequisiteError with git's own message."""
    where = ["-C", str(repository)] if repository else []
    ceiling = {"GIT_CEILING_DIRECTORIES": str(repository.resolve().parent)} if repository else {}
    ended = subprocess.run(
        [program(), *where, *arguments],
        input=given,
        capture_output=True,
        check=False,
        env={**_environment(), **ceiling},
    )
    if ended.returncode:
        said = " ".join(ended.stderr.decode("utf-8", "replace").split())[-500:]
        verb = arguments[len(_PATIENCE) if arguments[0] == "-c" else 0]
        raise PrerequisiteError(f"git {verb} failed: {said}")
    return ended.stdout


def _fetch_blobs(clone: Path, commit: str, path: str) -> None:
    """Fetch the files of a folder into a clone without any; those of a host that sent them at once are there."""
    rows = git(clone, "ls-tree", "-r", "-z", "--full-tree", f"{commit}:{path}").split(b"\0")
    blobs = sorted({row.split()[2] for row in rows if row.split(b" ", 2)[1:2] == [b"blob"]})
    options = ("--quiet", "--no-tags", "--no-write-fetch-head", "--filter=blob:none", "--stdin")
    if blobs:
        git(clone, *_PATIENCE, "fetch", *options, _REMOTE, given=b"".join(blob + b"\n" for blob in blobs))


def _fetch_all(clone: Path, address: str) -> None:
    try:
        git(clone, *_PATIENCE, "fetch", "--quiet", address, "+refs/*:refs/*")
    except PrerequisiteError as error:
        raise PrerequisiteError(
            f"{address} could not be fetched: {error.message}",
            fix=error.fix or "clone or download it on a machine with a network, then `bench sources add --from PATH`",
        ) from error


def files_of(repository: Path, commit: str, path: str) -> Iterator[TreeFile]:
    """Yield the files of a commit, or of one folder in it, as stored: no attribute or filter is applied."""
    rows = git(repository, "ls-tree", "-r", "-z", "--full-tree", f"{commit}:{path}").split(b"\0")
    with subprocess.Popen(
        [program(), "-C", str(repository), "cat-file", "--batch"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=_environment(),
    ) as reader:
        assert reader.stdin is not None  # noqa: S101 - opened as pipes above
        assert reader.stdout is not None  # noqa: S101 - opened as pipes above
        for row in filter(None, rows):
            about, _, raw = row.partition(b"\t")
            mode, kind, blob = about.split()
            name = os.fsdecode(raw)
            if kind != b"blob":
                raise DataError(f"{name} is a submodule", fix="declare the repository that it stands for as a source")
            reader.stdin.write(blob + b"\n")
            reader.stdin.flush()
            header = reader.stdout.readline().split()
            if len(header) != 3:
                raise DataError(f"the repository lacks the content of {name}", fix="clone it whole")
            length = int(header[2])
            if length > MAX_TREE_BYTES:
                raise DataError(f"{name} has more than {size(MAX_TREE_BYTES)}")
            content = reader.stdout.read(length + 1)[:-1]
            yield TreeFile(name, int(mode, 8), content)
