"""Upstream code and released weights of a model, pinned by content."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Annotated, Self
from urllib.parse import unquote, urlsplit

from harness.registry.constraints import (
    ADDRESS,
    ADDRESS_OR_NONE,
    BYTES,
    COMMIT,
    FILE_NAME,
    FLAG,
    FOLDER,
    LINE,
    MIRRORS,
    NAME,
    NOTE,
    PATH_OR_NONE,
    REPOSITORY_OR_NONE,
    REVISION,
    SHA256,
    check,
    instance,
    one_of,
    require,
    shown,
)
from harness.registry.licences import commercial_use
from harness.status import Answer

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
    mirrors
        Other repositories with the same tree, tried in order where `git` does not have it. One that holds it in
        another commit is ``"<address>@<commit>"``.
    """

    name: Annotated[str, NAME]
    git: Annotated[str, ADDRESS]
    commit: Annotated[str, COMMIT]
    licence: Annotated[str, LINE]
    tree: Annotated[str, COMMIT]
    path: Annotated[str, FOLDER] = ""
    mirrors: Annotated[tuple[str, ...], MIRRORS] = ()

    def __post_init__(self) -> None:
        check(self, f"source {shown(self.name)}: ")

    @property
    def places(self) -> tuple[tuple[str, str], ...]:
        """Address and commit of each repository that has the tree, in the order in which they are tried."""
        found = [(self.git, self.commit)]
        for mirror in self.mirrors:
            own = re.fullmatch(r"(\S+)@([0-9a-f]{40})", mirror)
            found.append((own[1], own[2]) if own else (mirror, self.commit))
        return tuple(found)


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
    mirrors
        As of a :class:`Source`.
    """

    git: str
    commit: str
    licence: str
    prefix: str = ""
    mirrors: tuple[str, ...] = ()

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
        return Source(named, self.git, self.commit, licence=self.licence, tree=tree, path=path, mirrors=self.mirrors)

    def folders(self, **trees: str) -> tuple[Source, ...]:
        """Return several folders as sources, each given as ``folder="its tree hash"``."""
        return tuple(self.folder(path, tree) for path, tree in trees.items())


@dataclass(frozen=True)
class Weights:
    """One file of released weights, pinned by content: on the model hub, at another address, or beside the plugin.

    A file of the hub whose digest the plugin's author does not know is declared without one. The digest, the size and
    the commit that the hub states are then verified and recorded with the first download, and the file is *pinned by
    the hub*. A copy that was not verified in this way is *not pinned*, and a run with it is never ranked.

    Parameters
    ----------
    name
        File name below ``/bench/weights``.
    repo
        Repository on the model hub, ``owner/name``; empty where the file is not on the hub.
    file
        Path inside the repository; without `repo` and `url`, inside the plugin's own folder. By default `name`.
    revision
        Full commit of the repository; empty for the newest at the time of fetching.
    sha256
        Digest of the file; empty when it is not pinned yet.
    size
        Bytes; 0 where not known.
    licence
        SPDX identifier, ``"none"`` where the authors state none, or the licence's name.
    gated
        Whether the hub requires a log-in and an agreement first.
    repo_type
        ``"model"`` or ``"dataset"``: which kind of repository of the hub.
    url
        Address of a file that is not on the hub, such as a release asset; digest and size are then required.
    root
        The plugin's folder, for a file in it.
    note
        What the authors ask beside the licence, or where else it stands; whether commercial use is allowed is then
        unknown, unless the licence forbids it.
    """

    name: Annotated[str, FILE_NAME]
    repo: Annotated[str, REPOSITORY_OR_NONE] = ""
    file: Annotated[str, PATH_OR_NONE] = ""
    revision: Annotated[str, REVISION] = ""
    sha256: Annotated[str, SHA256] = ""
    size: Annotated[int, BYTES] = 0
    licence: Annotated[str, LINE] = "not stated"
    gated: Annotated[bool, FLAG] = False
    repo_type: Annotated[str, _HUB_KINDS] = "model"
    url: Annotated[str, ADDRESS_OR_NONE] = ""
    root: Annotated[Path, instance(Path, "left out: the model sets it")] = field(default=Path(), repr=False)
    note: Annotated[str, NOTE] = ""

    def __post_init__(self) -> None:
        where = f"weights {shown(self.name)}: "
        object.__setattr__(self, "file", self.file or self.name)
        check(self, where)
        require(not (self.repo and self.url), f"{where}repo and url are two places; declare one")
        if not self.repo:
            require(self.sha256 and self.size, f"{where}a file that is not on the hub needs sha256 and size")
            require(not (self.revision or self.gated), f"{where}revision and gated are for files on the hub")

    @classmethod
    def at(cls, url: str, sha256: str, size: int, *, licence: str, name: str = "", note: str = "") -> Self:
        """Return a file at an address, such as one of Zenodo or of a release; its name is the address's last part."""
        name = name or PurePosixPath(unquote(urlsplit(url).path)).name
        return cls(name, "", name, "", sha256, size, licence, url=url, note=note)

    @classmethod
    def beside(cls, file: str, sha256: str, size: int, *, licence: str, name: str = "", note: str = "") -> Self:
        """Return a file in the plugin's folder; it is mounted, and not part of the image."""
        return cls(name or PurePosixPath(file).name, "", file, "", sha256, size, licence, note=note)

    @property
    def pinned(self) -> bool:
        """Whether the declaration states the digest of the file."""
        return bool(self.sha256)

    @property
    def commercial(self) -> Answer:
        """Whether commercial use is allowed, as far as licence and note tell."""
        return commercial_use(self.licence, self.note)

    @property
    def local(self) -> Path | None:
        """The file in the plugin's folder; None where it is elsewhere."""
        return None if self.repo or self.url else self.root / self.file

    @property
    def origin(self) -> str:
        """Where the file comes from, in words: ``owner/name/file``, an address, or the plugin's folder."""
        return self.url or (f"{self.repo}/{self.file}" if self.repo else f"{self.file} beside the plugin")


@dataclass(frozen=True)
class Hub:
    """A repository of the model hub, from which a model takes files.

    Parameters
    ----------
    repo, revision, licence, gated, repo_type, note
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
    note: str = ""

    def file(self, file: str, sha256: str = "", size: int = 0, *, name: str = "", revision: str = "") -> Weights:
        """Return one file; without a digest and a number of bytes it is not pinned yet.

        Parameters
        ----------
        file, sha256, size
            As of :class:`Weights`.
        name
            Its name; the prefix and the last part of `file` where none is given. Needed where several files of a
            repository end alike.
        revision
            Its own commit, where it is not the repository's.
        """
        return Weights(
            name=name or self.prefix + PurePosixPath(file).name,
            repo=self.repo,
            file=file,
            revision=revision or self.revision,
            sha256=sha256,
            size=size,
            licence=self.licence,
            gated=self.gated,
            repo_type=self.repo_type,
            note=self.note,
        )

    def files(self, *files: str) -> tuple[Weights, ...]:
        """Return several files that are not pinned yet."""
        return tuple(self.file(file) for file in files)
