"""Copies files out of a container's output folder: never follows a link, never waits, never exceeds a bound.

A file in ``out/`` may be a link, a pipe, a device or huge, and may change while it is read. Only the
copy that is made here is used.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.host.sizes import size

#: Folders inside folders of a checkpoint.
MAX_DEPTH = 8

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,199}")
_CHUNK = 1024 * 1024


class RefusedFile(Exception):  # noqa: N818 - an outcome, which the caller records
    """A file that is refused; the message continues "the file …"."""


class RefusedCheckpoint(Exception):  # noqa: N818 - an outcome, caught where training is judged
    """A container's checkpoint that is refused; the message continues "out/checkpoint …"."""


@dataclass(frozen=True)
class Copied:
    """A file that was copied.

    Attributes
    ----------
    size
        Bytes.
    sha256
        Digest of its content.
    """

    size: int
    sha256: str


@dataclass(frozen=True)
class Bound:
    """A limit of the size of a file.

    Attributes
    ----------
    most
        Bytes.
    reason
        Reason why a larger file is refused; ``{size}`` in it stands for the file's bytes.
    """

    most: int
    reason: str


def copy_file(folder: int, name: str, target: Path, *, kind: str, bounds: Sequence[Bound]) -> Copied:
    """Copy one file of a folder.

    Parameters
    ----------
    folder
        Handle of the open folder.
    name
        The file's name in it.
    target
        Path of the copy; removed when the file is refused.
    kind
        Kind of file, for the message: ``"mask"``.
    bounds
        Limits of its size; the first that it exceeds is reported. The smallest also applies to the bytes read.

    Raises
    ------
    FileNotFoundError
        When the file does not exist.
    RefusedFile
        When it is not a regular file with one name, or is too large.
    """
    with _opened(folder, name, kind) as (handle, status):
        for bound in bounds:
            if status.st_size > bound.most:
                raise RefusedFile(bound.reason.format(size=f"{status.st_size:,}"))
        limit = min(bound.most for bound in bounds)
        copied = _copy(handle, target, limit)
    if copied is None:
        raise RefusedFile(f"grew beyond {limit:,} bytes while it was read")
    return copied


def copy_folder(
    out: Path, name: str, target: Path, *, limit: int, max_files: int, hidden: bool = True
) -> dict[str, Copied]:
    """Copy a folder, such as a checkpoint, with the folders in it.

    Parameters
    ----------
    out, name
        The container's output folder, and the folder in it.
    target
        An existing empty folder.
    limit
        Bytes of all files together.
    max_files
        Number of files.
    hidden
        Whether names that begin with a dot count, and so are refused; otherwise they are left out.

    Returns
    -------
    dict
        Path inside the folder -> its copy, in order.

    Raises
    ------
    RefusedCheckpoint
        When it is missing, empty, or exceeds a bound; part of it may have been copied by then.
    """
    files: dict[str, Copied] = {}
    left = limit
    for path, handle, status in _regular_files(out, name, "", hidden=hidden):
        if len(files) == max_files:
            raise RefusedCheckpoint(f"contains more than {max_files:,} files")
        if status.st_size > left:
            raise RefusedCheckpoint(f"contains more than {size(limit)}")
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        copied = _copy(handle, target / path, left)
        if copied is None:
            raise RefusedCheckpoint("grew beyond its bound while it was read")
        left -= copied.size
        files[path] = copied
    if not files:
        raise RefusedCheckpoint("is empty")
    return files


def _regular_files(
    parent: Path | int, name: str, prefix: str, depth: int = 0, *, hidden: bool
) -> Iterator[tuple[str, int, os.stat_result]]:
    """Yield (path, open handle, status) of every file below a folder, in order; each handle is closed afterwards."""
    if depth > MAX_DEPTH:
        raise RefusedCheckpoint(f"is nested deeper than {MAX_DEPTH} folders")
    with _folder(parent, name) as folder:
        for inner in sorted(os.listdir(folder)):  # noqa: PTH208 - a handle, not a path
            path = f"{prefix}{inner}"
            if not hidden and inner.startswith("."):
                continue
            if not _NAME.fullmatch(inner):
                raise RefusedCheckpoint(f"contains {path!r}, which is not a plain name")
            found = os.stat(inner, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode):
                yield from _regular_files(folder, inner, f"{path}/", depth + 1, hidden=hidden)
                continue
            if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
                raise RefusedCheckpoint(f"contains {path!r}, which is not a regular file with one name")
            with contextlib.ExitStack() as held:
                try:
                    handle, status = held.enter_context(_opened(folder, inner, "file"))
                except (RefusedFile, FileNotFoundError) as error:  # not readable to us, or replaced or removed since
                    raise RefusedCheckpoint(f"contains {path!r}, which {_reason(error)}") from error
                yield path, handle, status


def _reason(error: Exception) -> str:
    return "was removed while it was read" if isinstance(error, FileNotFoundError) else str(error)


@contextmanager
def _folder(parent: Path | int, name: str) -> Iterator[int]:
    where = {"dir_fd": parent} if isinstance(parent, int) else {}
    path = name if isinstance(parent, int) else os.fspath(parent / name)
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, **where)
    except FileNotFoundError as error:
        raise RefusedCheckpoint("is missing: the container did not write out/checkpoint/") from error
    except OSError as error:
        raise RefusedCheckpoint(f"contains {name!r}, which is not a plain folder ({error.strerror})") from error
    try:
        yield handle
    finally:
        os.close(handle)


@contextmanager
def _opened(folder: int, name: str, kind: str) -> Iterator[tuple[int, os.stat_result]]:
    """Open one regular file with a single name; raise RefusedFile for anything else."""
    handle = _open(folder, name, kind)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise RefusedFile("is not a regular file")
        if status.st_nlink != 1:
            raise RefusedFile(f"has another name (a hard link); write each {kind} as a separate file")
        yield handle, status
    finally:
        os.close(handle)


def _open(folder: int, name: str, kind: str) -> int:
    """Open one file of a folder without following or waiting for anything."""
    try:
        # O_NONBLOCK: opening a pipe must not wait for a writer.
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        raise
    except OSError as error:
        found = None
        with contextlib.suppress(OSError):
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if found is not None and stat.S_ISLNK(found.st_mode):
            raise RefusedFile(f"is a symbolic link; write the {kind} itself") from error
        raise RefusedFile(f"cannot be opened ({error.strerror})") from error


def _copy(handle: int, target: Path, most: int) -> Copied | None:
    """Copy an open file; return None, and leave no copy, where it has more than `most` bytes."""
    digest, size = hashlib.sha256(), 0
    with target.open("wb") as writing:
        while chunk := os.read(handle, _CHUNK):
            size += len(chunk)
            if size > most:
                break
            digest.update(chunk)
            writing.write(chunk)
    if size > most:
        target.unlink()
        return None
    return Copied(size, digest.hexdigest())
