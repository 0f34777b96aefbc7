"""Content digests of files, remembered, and the fingerprint of a data set made of them."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.errors import DataError

if TYPE_CHECKING:
    from harness.dataset.cases import Case

#: A file changed this recently (seconds) may change again within the clock's resolution: its digest is not kept.
_SETTLED: Final = 2.0
_NAME: Final = "digests.jsonl"

_Key = tuple[str, int, int, int]


class DigestCache:
    """SHA-256 of files, looked up before anything is read.

    The memory is a text file with one JSON line a digest, only ever appended to: a killed or a second process costs at
    most a line that is not understood and so not used.

    Parameters
    ----------
    folder
        Where the memory lies; None: nothing is remembered.
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
                before = _key(path, os.fstat(stream.fileno()))
                if before in self._known:
                    return self._known[before]
                result = hashlib.file_digest(stream, "sha256").hexdigest()
                status = os.fstat(stream.fileno())
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror or error}", fix="put the file back") from error
        if self._progress:
            self._progress(path, status.st_size)
        if _key(path, status) == before and time.time() - status.st_mtime > _SETTLED:
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
                continue  # a line cut short by a killed process is no answer
        return known

    def _remember(self, key: _Key, digest: str) -> None:
        self._known[key] = digest
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps([*key, digest]) + "\n"
        with self._path.open("ab") as stream:
            stream.write(line.encode())


def _key(path: Path, status: os.stat_result) -> _Key:
    return str(path.absolute()), status.st_size, status.st_mtime_ns, status.st_ino


def _sha256(document: object) -> str:
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def fingerprint_of_split(cases: Iterable[Case], mask_flip: tuple[int, ...], digests: DigestCache) -> str:
    """Hash what a split holds, in an order that does not depend on the index's."""
    records = [
        {
            "id": case.id,
            "findings": [[f.text, f.category, f.entities, f.voxels] for f in case.findings],
            "shape": case.declared_shape,
            "spacing": case.declared_spacing,
            "ct": case.ct and digests.digest(case.ct),
            "seg": case.seg and digests.digest(case.seg),
        }
        for case in sorted(cases, key=lambda case: case.id)
    ]
    return _sha256({"fingerprint": 1, "mask_flip": list(mask_flip), "cases": records})


def fingerprint_of_splits(splits: Mapping[str, str]) -> str:
    """Combine the fingerprints of a data set's splits."""
    return _sha256({"fingerprint": 1, "splits": dict(splits)})
