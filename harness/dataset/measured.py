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
from harness.dataset.voxels import labelled, read_header, stretches
from harness.digests import file_key, is_settled

_NAME: Final = "measured.jsonl"
_VERSION: Final = f"1/{BIN}"  # change it with the counts


class Measurements:
    """Counts of volumes, looked up in a cache before a volume is read.

    The cache is a text file with one JSON line per volume, only ever appended to: a truncated line is ignored.
    A volume that changed in size, time or inode is counted again.

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
        self._known: dict[str, Any] = {} if again else self._load()

    def labels(self, path: Path, findings: int) -> list[Counter[int]]:
        """Count the voxels of every label in every channel of a 4-D mask; raises DataError for a damaged file."""
        found = self._measured(
            "labels", path, lambda: [list(map(list, c.items())) for c in count_labels(path, findings)]
        )
        return [Counter({int(label): int(count) for label, count in channel}) for channel in found]

    def intensities(self, path: Path) -> Intensities:
        """Count the values of a CT; raises DataError for a damaged file."""
        return Intensities.from_json(self._measured("hu", path, lambda: count_intensities(path).to_json()))

    def shares(self, paths: tuple[Path, Path], measure: Callable[[], Any]) -> Any:
        """Return the result of `measure` for a CT and its mask together, as JSON values."""
        return self._measured("lungs", paths[0], measure, paths[1])

    def _measured(self, kind: str, path: Path, measure: Callable[[], Any], *others: Path) -> Any:
        files = (path, *others)
        if self._path is None:
            return measure()
        key = self._key(kind, files)
        if key in self._known:
            return self._known[key]
        value = measure()
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
                key, value = json.loads(line)
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


def count_labels(path: Path, findings: int) -> list[Counter[int]]:
    """Count the voxels of every label in every channel of a 4-D mask; raises DataError for a damaged file."""
    counts: list[Counter[int]] = [Counter() for _ in range(findings)]
    for part in labelled(path, findings):
        pairs, sizes = np.unique(np.stack([part.channel, part.label.astype(np.int64)]), axis=1, return_counts=True)
        for channel, label, size in zip(*pairs.tolist(), sizes.tolist(), strict=True):
            counts[channel][label] += size
    return counts


def count_intensities(path: Path) -> Intensities:
    """Count the values of a CT, in HU where it is in HU; raises DataError for a damaged file."""
    header = read_header(path)
    histogram = Histogram(header.slope, header.inter)
    for values in stretches(path):
        histogram.add(values)
    return histogram.intensities()
