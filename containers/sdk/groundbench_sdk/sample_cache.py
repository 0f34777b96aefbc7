"""A bounded cache of arrays on disk, so that a training decodes each case once."""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Callable, Sequence

import numpy as np


class SampleCache:
    """Keeps named arrays in files; beyond the bound, the least recently used files are removed.

    Several processes may share one folder: files appear complete, by renaming, and a file that is gone is made again.

    Parameters
    ----------
    folder
        Folder of the files; created if it does not exist.
    max_bytes
        Bound on the size of all files together, bytes; 0 keeps nothing.
    keep_free
        Bytes of the disk that are left to others: the state of the training, its checkpoint.
    """

    def __init__(self, folder: Path, max_bytes: int, keep_free: int = 0) -> None:
        self.folder, self.max_bytes, self.keep_free = folder, max_bytes, keep_free
        if max_bytes:
            folder.mkdir(parents=True, exist_ok=True)

    def get(
        self, key: str, make: Callable[[], dict[str, np.ndarray]], only: Sequence[str] | None = None
    ) -> dict[str, np.ndarray]:
        """Return the arrays kept under `key`; if none are stored, call `make` and store its result.

        Parameters
        ----------
        key
            Any text that names everything the arrays depend on.
        make
            Called without arguments; returns the arrays by name.
        only
            Names of the arrays to return; the others are not read. None: all.

        Returns
        -------
        dict of str and ndarray
            The arrays by name.
        """
        path = self.folder / (hashlib.sha256(key.encode()).hexdigest()[:32] + ".npz")
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
                found = {name: kept[name] for name in (kept.files if only is None else only)}
            os.utime(str(path))
        except (OSError, EOFError, ValueError, zipfile.BadZipFile):
            made = make()
            self._keep(path, made)
            found = made if only is None else {name: made[name] for name in only}
        return found

    def _keep(self, path: Path, arrays: dict[str, np.ndarray]) -> None:
        size = sum(array.nbytes for array in arrays.values())
        if size > self.max_bytes or self._free() < size + self.keep_free:
            return
        self._make_room(self.max_bytes - size)
        partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
        try:
            with partial.open("wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
            partial.replace(path)
        except OSError:  # the disk is full; the cache is optional
            _remove(partial)

    def _free(self) -> int:
        try:
            return shutil.disk_usage(str(self.folder)).free
        except FileNotFoundError:
            return 0

    def _make_room(self, allowed: int) -> None:
        """Remove the least recently used files until the others take no more than `allowed` bytes."""
        files = []
        for path in self.folder.glob("*.npz"):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            files.append((status.st_mtime, status.st_size, path))
        held = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if held <= allowed:
                return
            held -= size
            _remove(path)


def _remove(path: Path) -> None:
    """Remove a file that another process may be removing at the same time."""
    with suppress(FileNotFoundError):
        path.unlink()
