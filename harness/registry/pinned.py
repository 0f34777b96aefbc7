"""Upstream code and released weights of a model, pinned by content."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated

from harness.registry.constraints import (
    ADDRESS,
    BYTES,
    COMMIT,
    FILE_NAME,
    FILE_PATH,
    FLAG,
    FOLDER,
    LINE,
    NAME,
    REPOSITORY,
    REVISION,
    SHA256,
    check,
    one_of,
)

_HUB_KINDS = one_of("model", "dataset", says="'model' or 'dataset'")


@dataclass(frozen=True)
class Source:
    """Upstream code at a pinned commit; never vendored.

    Parameters
    ----------
    name
        Folder name in the build context, below ``sources/``.
    git
        Address of the repository.
    commit
        Full 40-digit commit.
    licence
        SPDX identifier, or ``"none"`` where the authors state none.
    tree
        Full 40-digit tree of that commit (``git rev-parse COMMIT^{tree}``), or of `path` in it
        (``git rev-parse COMMIT:PATH``): the files are checked against it, however they arrived.
    path
        The one folder of the repository that is taken, without demonstration data and pictures; empty for all of it.
    """

    name: Annotated[str, NAME]
    git: Annotated[str, ADDRESS]
    commit: Annotated[str, COMMIT]
    licence: Annotated[str, LINE]
    tree: Annotated[str, COMMIT]
    path: Annotated[str, FOLDER] = ""

    def __post_init__(self) -> None:
        check(self, f"source {self.name!r}: ")


@dataclass(frozen=True)
class Upstream:
    """A repository of upstream code at a pinned commit, from which a model takes folders.

    Parameters
    ----------
    git
        Address of the repository, or ``owner/name`` of one on GitHub.
    commit, licence
        As of a :class:`Source`.
    prefix
        Begins the names of the sources; by default the repository's name in lower case.
    """

    git: str
    commit: str
    licence: str
    prefix: str = ""

    def __post_init__(self) -> None:
        address = self.git if "://" in self.git else f"https://github.com/{self.git}"
        object.__setattr__(self, "git", address)
        object.__setattr__(self, "prefix", self.prefix or PurePosixPath(address).name.removesuffix(".git").lower())

    def folder(self, path: str, tree: str, *, name: str = "") -> Source:
        """Return one folder as a source.

        Parameters
        ----------
        path
            The folder in the repository.
        tree
            Its hash: ``git rev-parse COMMIT:PATH``.
        name
            Name of the source; ``<prefix>-<folder>`` where none is given.
        """
        named = name or f"{self.prefix}-{PurePosixPath(path).name.lower().replace('_', '-')}"
        return Source(named, self.git, self.commit, licence=self.licence, tree=tree, path=path)

    def folders(self, **trees: str) -> tuple[Source, ...]:
        """Return several folders as sources, each given as ``folder="its tree hash"``."""
        return tuple(self.folder(path, tree) for path, tree in trees.items())


@dataclass(frozen=True)
class Weights:
    """One file of released weights, pinned by content.

    A file whose digest the plugin's author does not know is declared without one: *not pinned yet*. The first copy
    that arrives is then recorded and used from then on, and a run with it is never ranked.

    Parameters
    ----------
    name
        File name below ``/bench/weights``.
    repo
        Repository on the model hub, ``owner/name``.
    file
        Path inside the repository.
    revision
        Full commit of the repository; empty for the newest at the time of fetching.
    sha256
        Digest of the file; empty when it is not pinned yet.
    size
        Bytes; 0 where not known.
    licence
        SPDX identifier or the licence's name.
    gated
        Whether the hub requires a log-in and an agreement first.
    repo_type
        ``"model"`` or ``"dataset"``: which kind of repository of the hub.
    """

    name: Annotated[str, FILE_NAME]
    repo: Annotated[str, REPOSITORY]
    file: Annotated[str, FILE_PATH]
    revision: Annotated[str, REVISION]
    sha256: Annotated[str, SHA256]
    size: Annotated[int, BYTES]
    licence: Annotated[str, LINE]
    gated: Annotated[bool, FLAG] = False
    repo_type: Annotated[str, _HUB_KINDS] = "model"

    def __post_init__(self) -> None:
        check(self, f"weights {self.name!r}: ")

    @property
    def pinned(self) -> bool:
        """Whether the declaration states the digest of the file."""
        return bool(self.sha256)


@dataclass(frozen=True)
class Hub:
    """A repository of the model hub, from which a model takes files.

    Parameters
    ----------
    repo, revision, licence, gated, repo_type
        As of :class:`Weights`; without a revision the newest one is taken when a file is fetched.
    prefix
        Begins the names of the files, as in ``"clip--"``; an adapter finds a tokenizer's files by it.
    """

    repo: str
    revision: str = ""
    licence: str = "not stated"
    gated: bool = False
    repo_type: str = "model"
    prefix: str = ""

    def file(self, file: str, sha256: str = "", size: int = 0) -> Weights:
        """Return one file; without a digest and a number of bytes it is not pinned yet."""
        return Weights(
            name=self.prefix + PurePosixPath(file).name,
            repo=self.repo,
            file=file,
            revision=self.revision,
            sha256=sha256,
            size=size,
            licence=self.licence,
            gated=self.gated,
            repo_type=self.repo_type,
        )

    def files(self, *files: str) -> tuple[Weights, ...]:
        """Return several files that are not pinned yet."""
        return tuple(self.file(file) for file in files)
