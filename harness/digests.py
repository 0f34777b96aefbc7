"""Content digests of files, cached."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from harness.errors import DataError

#: A file changed this recently (seconds) may change again within the clock's resolution: its digest is not kept.
SETTLED: Final = 2.0
_NAME: Final = "digests.jsonl"

_Key = tuple[str, int, int, int]


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
    """

    def __init__(self, folder: Path | None, progress: Callable[[Path, int], None] | None = None) -> None:
        self._path = None if folder is None else folder / _NAME
        self._progress = progress
        self._known = self._load()

    def digest(self, path: Path) -> str:
        """Return the SHA-256 of the content of `path` in hexadecimal; raises DataError where it cannot be read."""
        try:
            with path.open("rb") as stream:
                before = file_key(path, os.fstat(stream.fileno()))
                if before in self._known:
                    return self._known[before]
                result = hashlib.file_digest(stream, "sha256").hexdigest()
                status = os.fstat(stream.fileno())
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror or error}", fix="put the file back") from error
        if self._progress:
            self._progress(path, status.st_size)
        if file_key(path, status) == before and time.time() - status.st_mtime > SETTLED:
            self._remember(before, result)
        return result

    def _load(self) -> dict[_Key, str]:
        if self._path is None or not self._path.is_file():
            return {}
        known: dict[_Key, str] = {}
        for line in self._path.read_bytes().splitlines():
            try:
                path, size, mtime, inode, digest = json.loads(line)
                known[path, size, mtime, inode] = digest
            except (ValueError, TypeError):
                continue  # a line cut short by a killed process is ignored
        return known

    def _remember(self, key: _Key, digest: str) -> None:
        self._known[key] = digest
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps([*key, digest]) + "\n"
        with self._path.open("ab") as stream:
            stream.write(line.encode())


def file_key(path: Path, status: os.stat_result) -> _Key:
    """Return the attributes that change with a file's content, without reading it."""
    return str(path.absolute()), status.st_size, status.st_mtime_ns, status.st_ino
