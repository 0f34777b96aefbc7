"""Content digests of files, cached."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from harness.errors import DataError
from harness.foreign import parse_json

#: A file changed this recently (seconds) may change again within the clock's resolution: its digest is not kept.
SETTLED: Final = 2.0
_NAME: Final = "digests.jsonl"

#: In place of the size of a file that was read too soon after a change: no file has it.
_UNSETTLED: Final = -1

#: Seconds in which the kernel's clock of files moves on at least once.
_TICK: Final = 0.02

#: What changes with a file's content.
FileKey = tuple[str, int, int, int, int]


class DigestCache:
    """SHA-256 of files, looked up in a cache before a file is read.

    The cache is a text file with one JSON line per digest, only ever appended to: a killed or a second process costs
    at most a line that cannot be parsed and is ignored.

    Parameters
    ----------
    folder
        Folder of the cache; None: without a cache.
    progress
        Called with each file that was read, and its bytes.
    again
        Read every file, whatever is remembered of it.

    Attributes
    ----------
    changed
        Files whose content is not what was last remembered of their path.
    """

    def __init__(
        self, folder: Path | None, progress: Callable[[Path, int], None] | None = None, *, again: bool = False
    ) -> None:
        self._path = None if folder is None else folder / _NAME
        self._progress = progress
        self._again = again
        self._last: dict[str, str] = {}
        self.changed: list[Path] = []
        self._lock = threading.Lock()
        self._known = self._load()

    def digests(self, paths: Iterable[Path], *, jobs: int) -> dict[Path, str]:
        """Return the digest of every file, `jobs` of them read at a time; raises DataError as :meth:`digest`."""
        files = list(dict.fromkeys(paths))
        with ThreadPoolExecutor(max_workers=jobs) as pool:
            try:
                return dict(zip(files, pool.map(self.digest, files), strict=True))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def note(self, path: Path, key: FileKey, digest: str) -> None:
        """Keep the digest of a file that was read anyway, unless the file may have changed or may yet change unseen.

        Parameters
        ----------
        path
            The file.
        key
            Its :func:`file_key` before it was read.
        digest
            SHA-256 of all of it, in hexadecimal.
        """
        if is_settled(path.stat()) and file_key(path, path.stat()) == key:
            self._remember(key, digest)

    def digest(self, path: Path) -> str:
        """Return the SHA-256 of the content of `path` in hexadecimal; raises DataError where it cannot be read."""
        try:
            with path.open("rb") as stream:
                before = file_key(path, os.fstat(stream.fileno()))
                if before in self._known and not self._again:
                    return self._known[before]
                result = hashlib.file_digest(stream, "sha256").hexdigest()
                status = os.fstat(stream.fileno())
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror or error}", fix="put the file back") from error
        with self._lock:
            if self._progress:
                self._progress(path, status.st_size)
            if self._last.get(before[0], result) != result:
                self.changed.append(path)
        settled = is_settled(status) and path.exists() and file_key(path, path.stat()) == before
        # Of a file that may yet change unseen, only what it held is kept, to name it later if it has changed.
        self._remember(before if settled else (before[0], _UNSETTLED, 0, 0, 0), result)
        return result

    def _load(self) -> dict[FileKey, str]:
        if self._path is None or not self._path.is_file():
            return {}
        known: dict[FileKey, str] = {}
        for line in self._path.read_bytes().splitlines():
            try:
                path, size, mtime, changed, inode, digest = parse_json(line)
                known[path, size, mtime, changed, inode] = self._last[path] = digest
            except (ValueError, TypeError):
                continue  # a line cut short by a killed process is ignored
        return known

    def _remember(self, key: FileKey, digest: str) -> None:
        with self._lock:
            if self._known.get(key) == digest:
                return
            self._known[key] = digest
            if self._path is None:
                return
            self._path.parent.mkdir(parents=True, exist_ok=True)
            line = json.dumps([*key, digest]) + "\n"
            with self._path.open("ab") as stream:
                stream.write(line.encode())


def file_key(path: Path, status: os.stat_result) -> FileKey:
    """Return the attributes that change with a file's content, without reading it.

    Whoever may write a file can put its size and its time of modification back, but not the time at which the kernel
    last changed anything of it.
    """
    return str(path.absolute()), status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def is_settled(status: os.stat_result) -> bool:
    """Return whether a further change of a file will be seen in its attributes; the caller reads them again.

    A file whose time of modification was put back was changed all the same: its next change falls into another tick of
    the kernel's clock, which is waited for.
    """
    if time.time() - status.st_mtime <= SETTLED:
        return False
    time.sleep(max(0.0, min(_TICK, status.st_ctime + _TICK - time.time())))
    return True
