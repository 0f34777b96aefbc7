"""Upstream code at pinned commits: fetched or added once, kept as plain files, checked against their tree hash.

Below ``BENCH_HOME/sources`` each source is a folder ``<name>-<first 12 digits of the commit>`` without any ``.git``.
It is written under another name and renamed once its hash is correct, so an existing folder is complete.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness.errors import DataError, PrerequisiteError
from harness.foreign import content_of, is_zip, open_tar, open_zip
from harness.registry.pinned import Source
from harness.upstream.repositories import Clones, files_of, git, has_commit, program
from harness.upstream.trees import FILE, LINK, MAX_TREE_BYTES, MAX_TREE_FILES, PROGRAM, TreeFile, tree_hash, write_tree


class SourceStore:
    """The sources in one folder.

    Parameters
    ----------
    root
        ``BENCH_HOME/sources``; made when something is put into it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, source: Source) -> Path:
        """Return the folder of `source`, whether or not it exists."""
        return self.root / f"{source.name}-{source.commit[:12]}"

    def has(self, source: Source) -> bool:
        """Return whether `source` is present; :meth:`check` compares its content."""
        return self.folder(source).is_dir()

    def check(self, source: Source) -> Path:
        """Return the folder of `source` after comparing all of it with the declared tree hash.

        Raises
        ------
        PrerequisiteError
            When it has not been fetched.
        DataError
            When its files are not those of the commit.
        """
        folder = self.folder(source)
        if not self.has(source):
            raise PrerequisiteError(
                f"the source {source.name} at {source.commit[:12]} has not been fetched",
                fix=how_to_get(source),
                lacking="source",
            )
        found = tree_hash(folder)
        if found != source.tree:
            raise DataError(
                f"{folder} was changed: its tree is {found}, the plugin declares {source.tree}",
                fix=f"remove that folder, then: {how_to_get(source)}",
            )
        return folder

    def fetch(self, source: Source, log: Callable[[str], None], clones: Clones | None = None) -> Path:
        """Fetch `source` from the first of its repositories that has it, unless it is already present.

        Parameters
        ----------
        source
            The source.
        log
            Receives a line for each repository that is fetched from.
        clones
            Holds what was fetched for other sources of the same repositories; None to fetch for this one alone.

        Raises
        ------
        PrerequisiteError
            When git is not installed or none of the addresses can be reached.
        DataError
            When the fetched files are not the declared tree.
        """
        if self.has(source):
            return self.check(source)
        if clones is None:
            with Clones.open(self.root, log) as own:
                return self.fetch(source, log, own)
        failed: list[DataError | PrerequisiteError] = []
        for address, commit in source.places:
            try:
                with self._workplace() as work:
                    clone = clones.with_commit(address, commit, source.path)
                    return self._keep(source, files_of(clone, commit, source.path), work)
            except (DataError, PrerequisiteError) as error:
                failed.append(error)
        first, others = failed[0], failed[1:]
        if others:
            raise type(first)(
                f"{source.name} could not be fetched from any of {len(failed)} addresses: "
                + "; ".join(error.message for error in failed),
                fix=first.fix,
            ) from first
        raise first

    def add(self, candidates: Sequence[Source], path: Path, log: Callable[[str], None]) -> list[Source]:
        """Add from `path` every candidate whose commit it contains, or whose tree it is.

        Parameters
        ----------
        candidates
            The declared sources that are looked for.
        path
            A clone, a bare repository, or an archive (``.zip``, or ``.tar`` however compressed) of one commit.
        log
            Receives a line for each source that was added.

        Returns
        -------
        list of Source
            The added ones.

        Raises
        ------
        DataError
            When it contains none of them, or is damaged.
        """
        try:
            added = self._add_repository(candidates, path) if path.is_dir() else self._add_archive(candidates, path)
        except DataError as error:
            raise DataError(f"{path}: {error.message}", fix=error.fix or "get it again") from error
        if not added:
            commits = ", ".join(dict.fromkeys(source.commit[:12] for source in candidates))
            raise DataError(
                f"{path} does not contain any of the declared sources",
                fix=f"wanted is one of the commits {commits}; `bench sources list` says of which repositories",
            )
        for source in added:
            log(f"added {source.name} at {source.commit[:12]}: {self.folder(source)}")
        return added

    def _add_repository(self, candidates: Sequence[Source], path: Path) -> list[Source]:
        program()
        try:
            git(path, "rev-parse", "--git-dir")
        except PrerequisiteError as error:
            raise DataError(f"it is not a git repository ({error.message})", fix="give a clone or archive") from error
        added = []
        for source in candidates:
            commit = next((commit for _, commit in source.places if has_commit(path, commit)), None)
            if commit is None:
                continue
            with self._workplace() as work:
                self._keep(source, files_of(path, commit, source.path), work)
            added.append(source)
        return added

    def _add_archive(self, candidates: Sequence[Source], path: Path) -> list[Source]:
        with self._workplace() as work:
            files = work / "files"
            files.mkdir()
            write_tree(_from_archive(path), files)
            inside = list(files.iterdir())
            # Code hosts pack everything into one folder; our own `git archive` does not.
            places = [files, *(inside if len(inside) == 1 and inside[0].is_dir() else [])]
            found = {(place, path): tree_hash(place / path) for place in places for path in _paths(candidates, place)}
            added = []
            for source in candidates:
                match = next((at for at, tree in found.items() if (at[1], tree) == (source.path, source.tree)), None)
                if match is None:
                    continue
                copy = work / source.name
                shutil.copytree(match[0] / match[1], copy, symlinks=True)
                self._rename(source, copy)
                added.append(source)
            if not added:
                trees = " or, without the outer folder, ".join(tree_hash(place) for place in places)
                raise DataError(f"its tree is {trees}, which no plugin declares")
            return added

    def _keep(self, source: Source, tree: Iterator[TreeFile], work: Path) -> Path:
        files = work / "files"
        files.mkdir()
        write_tree(tree, files)
        found = tree_hash(files)
        if found != source.tree:
            raise DataError(
                f"commit {source.commit} of {source.name} has the tree {found}, the plugin declares {source.tree}",
                fix=f"the plugin's declaration is wrong: `git rev-parse COMMIT:{source.path}` prints the tree",
            )
        return self._rename(source, files)

    def _rename(self, source: Source, files: Path) -> Path:
        folder = self.folder(source)
        if self.has(source):
            return self.check(source)
        files.chmod(0o755)
        try:
            files.rename(folder)
        except OSError:
            if not self.has(source):  # another process was faster
                raise
        return folder

    @contextmanager
    def _workplace(self) -> Iterator[Path]:
        self.root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=self.root) as work:
            yield Path(work)


def how_to_get(source: Source) -> str:
    """Return the commands that get `source`, with a network and without."""
    return (
        f"`bench sources fetch --name {source.name}`, or without a network: clone {source.git} elsewhere and "
        f"`bench sources add --from PATH`"
    )


def _paths(candidates: Sequence[Source], place: Path) -> list[str]:
    """Return the folders below `place` that candidates declare."""
    return sorted({source.path for source in candidates if (place / source.path).is_dir()})


def _from_archive(path: Path) -> Iterator[TreeFile]:
    try:
        if is_zip(path):
            yield from _from_zip(path)
        else:
            yield from _from_tar(path)
    except ValueError as error:
        raise DataError(f"it cannot be read as an archive: {' '.join(str(error).split())}") from error


def _from_tar(path: Path) -> Iterator[TreeFile]:
    with open_tar(path, total=2 * MAX_TREE_BYTES) as tar:
        for number, member in enumerate(tar):
            _bound(number, member.size)
            name = member.name.removeprefix("./")
            if member.isdir():
                continue
            if member.issym():
                yield TreeFile(name, LINK, os.fsencode(member.linkname))
            elif member.isreg() and (file := tar.extractfile(member)) is not None:
                yield TreeFile(name, PROGRAM if member.mode & 0o100 else FILE, content_of(file, most=MAX_TREE_BYTES))
            else:
                raise DataError(f"{name!r} is not a file, a folder or a link")


def _from_zip(path: Path) -> Iterator[TreeFile]:
    with open_zip(path, contents=64 * 2**20) as archive:
        for number, member in enumerate(archive.infolist()):
            _bound(number, member.file_size)
            if member.is_dir():
                continue
            mode = member.external_attr >> 16
            kind = LINK if stat.S_ISLNK(mode) else PROGRAM if mode & 0o100 else FILE
            with archive.open(member) as file:
                yield TreeFile(member.filename, kind, content_of(file, most=MAX_TREE_BYTES))


def _bound(number: int, size: int) -> None:
    """Refuse, before unpacking, an archive that `write_tree` would refuse."""
    if size > MAX_TREE_BYTES or number > 2 * MAX_TREE_FILES:
        raise DataError("it contains a file that is too large, or too many files")
