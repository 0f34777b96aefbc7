"""Marks of the cases that are in flight: of a mark that outlives its worker, the case may have killed the host.

A mark is written before a case begins and removed when it ends in whatever way its worker lives to see, a failure or
a request to stop included. So only a case that was in flight when a worker or its host was lost keeps one.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Collection
from pathlib import Path

#: Folder below that of a run.
TRIES = "tries"


class Mark:
    """The mark of one shard: on no case, or on the one that is in flight.

    Parameters
    ----------
    folder
        The run's folder.
    name
        Name of the shard's figures, which no other shard has.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder / TRIES, name
        self._path: Path | None = None

    def move(self, case: str | None) -> None:
        """Put the mark on `case`, or on none; raises OSError where it cannot be written."""
        path = None if case is None else self._folder / f"{self._name}.{case}"
        if path == self._path:
            return
        if path is not None:
            self._folder.mkdir(exist_ok=True)
            path.touch()
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()
        self._path = path


def lost_with(folder: Path, running: Collection[int] = ()) -> Counter[str]:
    """Return how often each case was in flight when its worker was lost.

    Parameters
    ----------
    folder
        The run's folder.
    running
        Numbers of the shards that run, whose marks say nothing yet.
    """
    found: Counter[str] = Counter()
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(folder / TRIES):  # noqa: PTH208 - names are all that is needed
            shard, _, case = name.partition(".")
            if not (shard.partition("-")[0].isdigit() and int(shard.partition("-")[0]) in running):
                found[case] += 1
    return found


def forget(folder: Path, case: str) -> None:
    """Remove the marks of a case that is not in flight."""
    for path in (folder / TRIES).glob(f"*.{case}"):
        if path.name.partition(".")[2] == case:
            path.unlink(missing_ok=True)
