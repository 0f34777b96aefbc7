"""Git trees as plain files: written safely from any origin, and hashed as git does.

A tree hash covers every name, mode and content, so files from a clone, a mirror or a third party's archive are
identical exactly when their hashes are.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.errors import DataError
from harness.host.sizes import size

FILE, PROGRAM, LINK = 0o100644, 0o100755, 0o120000

#: A source that is larger than this, or has more files, is refused.
MAX_TREE_BYTES = 2 * 1024**3
MAX_TREE_FILES = 200_000


@dataclass(frozen=True)
class TreeFile:
    """One file or link of a tree: its path, its mode as git has it, and its content (a link's target)."""

    name: str
    mode: int
    content: bytes


def write_tree(files: Iterable[TreeFile], folder: Path) -> None:
    """Write files and links below an empty folder; nothing is ever written or linked outside it.

    Raises
    ------
    DataError
        For a path or a link that leads out of the folder, a path given twice, and more than the bounds allow.
    """
    total = 0
    links: list[TreeFile] = []
    for number, file in enumerate(files):
        total += len(file.content)
        if total > MAX_TREE_BYTES or number >= MAX_TREE_FILES:
            raise DataError(f"more than {size(MAX_TREE_BYTES)} or {MAX_TREE_FILES:,} files")
        parts = file.name.split("/")
        if any(part in {"", ".", ".."} or part.lower() == ".git" or "\0" in part for part in parts):
            raise DataError(f"{file.name!r} is not a valid path inside a source tree")
        if file.mode == LINK:
            links.append(file)  # last, so that nothing is written through one
            continue
        path = folder / file.name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except (FileExistsError, NotADirectoryError) as error:
            raise DataError(f"{file.name!r} occurs twice") from error
        with os.fdopen(handle, "wb") as opened:
            opened.write(file.content)
        path.chmod(0o755 if file.mode == PROGRAM else 0o644)
    _write_links(links, folder)


def _write_links(links: list[TreeFile], folder: Path) -> None:
    root = folder.resolve()
    for file in links:
        path = folder / file.name
        if Path(os.path.realpath(path.parent)) != root / Path(file.name).parent:
            raise DataError(f"{file.name!r} lies below a link")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(os.fsdecode(file.content))
        except (OSError, ValueError) as error:
            raise DataError(f"the link {file.name!r} cannot be made: {error}") from error
    for file in links:
        # Resolved through all the other links; a loop does not resolve.
        if not Path(os.path.realpath(folder / file.name)).is_relative_to(root):
            raise DataError(f"{file.name!r} is a link that leads out of the source tree")


def tree_hash(folder: Path) -> str:
    """Return the hash (40 hex) that git gives to the content of `folder`; empty folders do not count.

    Raises
    ------
    DataError
        For an item that is not a file, a folder or a link, or cannot be read.
    """
    try:
        return _hash("tree", _rows(folder)).hex()
    except OSError as error:
        raise DataError(f"{error.filename or folder} cannot be read: {error.strerror}") from error


def _rows(folder: Path) -> bytes:
    # https://git-scm.com/book/en/v2/Git-Internals-Git-Objects: "<mode> <name>\0<20 bytes>", sorted as if the names of
    # folders ended in a slash.
    rows = []
    with os.scandir(folder) as found:
        for item in found:
            name, mode = os.fsencode(item.name), item.stat(follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode):
                inside = _rows(Path(item.path))
                if inside:
                    rows.append((name + b"/", b"40000 " + name + b"\0" + _hash("tree", inside)))
            elif stat.S_ISLNK(mode):
                rows.append((name, b"120000 " + name + b"\0" + _hash("blob", _target(item.path))))
            elif stat.S_ISREG(mode):
                kind = b"100755 " if mode & 0o100 else b"100644 "
                rows.append((name, kind + name + b"\0" + _hash_file(Path(item.path))))
            else:
                raise DataError(f"{item.path} is not a file, a folder or a link")
    return b"".join(row for _, row in sorted(rows))


def _target(link: str) -> bytes:
    return os.readlink(os.fsencode(link))  # noqa: PTH115 - a Path would normalise the target


def _hash(kind: str, content: bytes) -> bytes:
    return hashlib.sha1(f"{kind} {len(content)}\0".encode() + content, usedforsecurity=False).digest()


def _hash_file(path: Path) -> bytes:
    with path.open("rb") as file:
        digest = hashlib.sha1(f"blob {os.fstat(file.fileno()).st_size}\0".encode(), usedforsecurity=False)
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.digest()
