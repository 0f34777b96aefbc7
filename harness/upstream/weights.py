"""Released weights: stored by content below ``BENCH_HOME/weights``, found by a plugin's declaration.

A file is named by its SHA-256. Weights whose digest the plugin does not state are *not pinned yet*: the first copy that
arrives is recorded below ``unpinned/`` and is the reference in this home from then on.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.digests import DigestCache
from harness.errors import DataError, PrerequisiteError
from harness.registry.pinned import Weights

#: Bytes that stay free on the disk when weights are stored.
_KEEP_FREE = 256 * 2**20


@dataclass(frozen=True)
class Received:
    """The record of a file that its plugin does not pin: its digest, its bytes, and its revision where known."""

    sha256: str
    size: int
    revision: str = ""


class WeightsStore:
    """The weights in one folder.

    Parameters
    ----------
    root
        ``BENCH_HOME/weights``; created with the first file.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._digests = DigestCache(root)

    def received(self, weights: Weights) -> Received | None:
        """Return the record of unpinned `weights`; None when no copy has arrived yet, or they are pinned."""
        path = self._record(weights)
        if weights.pinned or not path.is_file():
            return None
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            return Received(str(record["sha256"]), int(record["size"]), str(record["revision"]))
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path} is not a valid record of weights", fix="remove it and get the weights again"
            ) from error

    def find(self, weights: Weights) -> Path | None:
        """Return the file of `weights`; None when it has not been downloaded."""
        received = self.received(weights)
        digest = weights.sha256 or (received.sha256 if received else "")
        path = self.root / digest
        return path if digest and path.is_file() else None

    def check(self, weights: Weights, *, again: bool = False) -> tuple[Path, str]:
        """Return the file of `weights` and its SHA-256.

        It is read unless it was read before, by size, time and inode; always with `again`.

        Raises
        ------
        PrerequisiteError
            When it has not been downloaded.
        DataError
            When its content does not match its name.
        """
        path = self.find(weights)
        if path is None:
            raise PrerequisiteError(
                f"the weights {weights.name} ({weights.repo}, {weights.file}) have not been downloaded",
                fix=how_to_get(weights),
                lacking="weights",
            )
        found = (DigestCache(None) if again else self._digests).digest(path)
        if found != path.name:
            raise DataError(
                f"the weights {weights.name} were changed: {path} has the SHA-256 {found}",
                fix=f"remove that file, then: {how_to_get(weights)}",
            )
        return path, found

    def add(self, candidates: Sequence[Weights], path: Path, log: Callable[[str], None]) -> list[Weights]:
        """Copy a file into the store under those of `candidates` whose content it is.

        Pinned weights are identified by their digest, unpinned ones by name only: the file must have their
        name, or they must be the only candidate.

        Returns
        -------
        list of Weights
            The weights that the file was added as.

        Raises
        ------
        DataError
            When it is none of them.
        """
        digest, size = self._digests.digest(path), path.stat().st_size
        added = [weights for weights in candidates if weights.sha256 == digest]
        added += [
            weights
            for weights in candidates
            if not weights.pinned and (len(candidates) == 1 or path.name in {weights.name, weights.file.split("/")[-1]})
        ]
        if not added:
            ways = []
            if pinned := [f"{weights.name}: {weights.sha256}" for weights in candidates if weights.sha256]:
                ways.append(f"download it again; the plugins declare {'; '.join(pinned)}")
            if unpinned := [weights.name for weights in candidates if not weights.sha256]:
                ways.append(f"give --name with one of those that are not pinned: {', '.join(unpinned)}")
            message = f"{path} does not match any declared weights: its SHA-256 is {digest}"
            raise DataError(message, fix="; or ".join(ways))
        for weights in added:
            self._check_size(weights, size)
        here = (self.root / digest).is_file()
        if not here:
            self.require_room(size)
        # Never in the partial file of a download of the same weights, which would resume from any bytes in it.
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=self.root) as work:
            copy = Path(work) / digest
            if not here:
                with copy.open("wb") as writing, path.open("rb") as original:
                    shutil.copyfileobj(original, writing, 1 << 20)
                if self._digests.digest(copy) != digest:
                    raise DataError(f"{path} changed while it was read", fix="add it again")
            for weights in added:
                self.keep(weights, Received(digest, size), copy)
        for weights in added:
            log(f"added {weights.name}: {size:,} bytes, SHA-256 {digest}{_first(weights)}")
        return added

    def partial(self, weights: Weights) -> Path:
        """Return the partial file of a download of `weights`; its folder is created."""
        path = self.root / "partial" / _key(weights)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def keep(self, weights: Weights, received: Received, arrived: Path) -> Path:
        """Move a file into the store under its digest, and record it where it is not pinned.

        Parameters
        ----------
        weights
            The declaration of the file.
        received
            The digest, size and revision of the file.
        arrived
            The complete file, on the store's own disk; absent where the store already has it.

        Raises
        ------
        DataError
            When digest or size are not the declared ones, or the record names another file; the file that arrived is
            removed then.
        """
        path, before = self.root / received.sha256, self.received(weights)
        try:
            self._check_digest(weights, received.sha256, before)
            self._check_size(weights, received.size)
        except DataError:
            arrived.unlink(missing_ok=True)
            raise
        if arrived.is_file():
            arrived.chmod(0o644)
            arrived.replace(path)
        if not weights.pinned and before is None:
            self._write_record(weights, received)
        return path

    def _check_digest(self, weights: Weights, digest: str, before: Received | None) -> None:
        wanted = weights.sha256 or (before.sha256 if before else digest)
        if digest != wanted:
            other = "the declared one" if weights.pinned else "that of the first copy, which was recorded,"
            raise DataError(
                f"the weights {weights.name} are wrong: their SHA-256 is {digest}, {other} is {wanted}",
                fix="the file at the source has changed or is damaged"
                + ("" if weights.pinned else f"; remove {self._record(weights)} to accept the new one"),
            )

    def _check_size(self, weights: Weights, size: int) -> None:
        if weights.size and size != weights.size:
            raise DataError(
                f"the weights {weights.name} have {size:,} bytes, the plugin declares {weights.size:,}",
                fix="the plugin's declaration is wrong, or the file is another one",
            )

    def require_room(self, size: int) -> None:
        """Raise PrerequisiteError, with the numbers, where the disk lacks room for `size` more bytes."""
        self.root.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.root).free
        if free < size + _KEEP_FREE:
            raise PrerequisiteError(
                f"the disk of {self.root} is too full: {size / 1e6:,.0f} MB are needed and 268 MB must stay free; "
                f"{free / 1e6:,.0f} MB are free",
                fix="free some space, or choose another place with --home",
            )

    def _record(self, weights: Weights) -> Path:
        return self.root / "unpinned" / f"{_key(weights)}.json"

    def _write_record(self, weights: Weights, received: Received) -> None:
        path = self._record(weights)
        path.parent.mkdir(parents=True, exist_ok=True)
        about = {"repo": weights.repo, "repo_type": weights.repo_type, "file": weights.file, **asdict(received)}
        partial = path.with_suffix(f".{os.getpid()}.partial")
        partial.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
        partial.replace(path)


def given_files(path: Path, names: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """Yield name and file of the weights that the user gave: a folder, or a file where the variant loads one.

    Raises
    ------
    PrerequisiteError
        When a file is missing.
    """
    if path.is_file() and len(names) == 1:
        yield names[0], path.resolve()
        return
    for name in names:
        file = path / name
        if not file.is_file():
            raise PrerequisiteError(
                f"{path} does not contain the weights {name}",
                fix=f"--weights takes a folder that contains {', '.join(names)}"
                + (", or that file" if len(names) == 1 else ""),
            )
        yield name, file.resolve()


def how_to_get(weights: Weights) -> str:
    """Return the commands that get `weights`, with a network and without."""
    return f"`bench weights fetch --name {weights.name}`, or `bench weights add --from FILE` for a local file"


def _key(weights: Weights) -> str:
    text = f"{weights.repo_type}/{weights.repo}@{weights.revision}/{weights.file}/{weights.sha256}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _first(weights: Weights) -> str:
    return "" if weights.pinned else " (not pinned by its plugin: this copy is recorded)"
