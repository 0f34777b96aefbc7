"""Cached counts of the volumes of a data set: reading these takes most of a judgement's time."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from harness.dataset.hounsfield import BIN, Histogram, Intensities
from harness.dataset.voxels import Seen, labelled, read_header, stretches
from harness.digests import DigestCache, file_key, is_settled
from harness.foreign import parse_json

_NAME: Final = "measured.jsonl"
_VERSION: Final = f"1/{BIN}"  # change it with the counts


class Measurements:
    """Counts of volumes, looked up in a cache before a volume is read.

    The cache is a text file with one JSON line per volume, only ever appended to: a truncated line is ignored.
    A volume that changed in size, time or inode is counted again. What is read for its counts is read once: its digest
    is kept for the data set's fingerprint.

    Parameters
    ----------
    folder
        Folder of the cache; None: without a cache.
    again
        Count everything again, whatever is cached.
    """

    def __init__(self, folder: Path | None, *, again: bool = False) -> None:
        self._path = None if folder is None else folder / _NAME
        self._lock = threading.Lock()
        self._digests = DigestCache(folder)
        self._known: dict[str, Any] = {} if again else self._load()

    def labels(self, path: Path, findings: int) -> list[Counter[int]]:
        """Count the voxels of every label in every channel of a 4-D mask; raises DataError for a damaged file."""
        read: list[str] = []
        found = self._measured(
            "labels",
            path,
            lambda: [list(map(list, c.items())) for c in count_labels(path, findings, read.append)],
            read,
        )
        return [Counter({int(label): int(count) for label, count in channel}) for channel in found]

    def intensities(self, path: Path) -> Intensities:
        """Count the values of a CT; raises DataError for a damaged file."""
        read: list[str] = []
        return Intensities.from_json(
            self._measured("hu", path, lambda: count_intensities(path, read.append).to_json(), read)
        )

    def shares(self, paths: tuple[Path, Path], measure: Callable[[], Any]) -> Any:
        """Return the result of `measure` for a CT and its mask together, as JSON values."""
        return self._measured("lungs", paths[0], measure, [], paths[1])

    def _measured(self, kind: str, path: Path, measure: Callable[[], Any], read: list[str], *others: Path) -> Any:
        """Look up or measure; `read` then has the digest of `path` if it was read to its end."""
        files = (path, *others)
        if self._path is None:
            return measure()
        key = self._key(kind, files)
        if key in self._known:
            return self._known[key]
        before = file_key(path, path.stat())
        value = measure()
        for digest in read:
            self._digests.note(path, before, digest)
        settled = all(is_settled(file.stat()) for file in files)
        if settled and self._key(kind, files) == key:
            self._remember(key, value)
        return value

    @staticmethod
    def _key(kind: str, files: tuple[Path, ...]) -> str:
        return json.dumps([_VERSION, kind, *(file_key(file, file.stat()) for file in files)])

    def _load(self) -> dict[str, Any]:
        if self._path is None or not self._path.is_file():
            return {}
        known = {}
        for line in self._path.read_bytes().splitlines():
            try:
                key, value = parse_json(line)
                known[str(key)] = value
            except (ValueError, TypeError):
                continue  # cut short by a killed process
        return known

    def _remember(self, key: str, value: Any) -> None:
        assert self._path is not None  # noqa: S101 - the caller asked
        with self._lock:
            self._known[key] = value
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as stream:
                stream.write((json.dumps([key, value], separators=(",", ":")) + "\n").encode())


def count_labels(path: Path, findings: int, seen: Seen | None = None) -> list[Counter[int]]:
    """Count the voxels of every label in every channel of a 4-D mask; raises DataError for a damaged file."""
    counts: list[Counter[int]] = [Counter() for _ in range(findings)]
    for part in labelled(path, findings, seen=seen):
        pairs, sizes = np.unique(np.stack([part.channel, part.label.astype(np.int64)]), axis=1, return_counts=True)
        for channel, label, size in zip(*pairs.tolist(), sizes.tolist(), strict=True):
            counts[channel][label] += size
    return counts


def count_intensities(path: Path, seen: Seen | None = None) -> Intensities:
    """Count the values of a CT, in HU where it is in HU; raises DataError for a damaged file."""
    header = read_header(path)
    histogram = Histogram(header.slope, header.inter)
    for values in stretches(path, seen=seen):
        histogram.add(values)
    return histogram.intensities()
