"""Released weights: stored by content below ``BENCH_HOME/weights``, found by a plugin's declaration.

A file is named by its SHA-256. Weights whose digest the plugin does not state are recorded below ``unpinned/`` with the
first copy that arrives, which is the reference in this home from then on; where the hub stated that copy's digest at a
revision, they are *pinned by the hub*, and *not pinned* otherwise.
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
from harness.errors import DataError, PrerequisiteError, UsageError
from harness.foreign import read_json_file
from harness.registry.pinned import Weights
from harness.upstream.contents import refuse_impostor

#: The hub whose statements count; another one, named by ``HF_ENDPOINT``, verifies a download but pins nothing.
PUBLIC_HUB = "https://huggingface.co"

#: Bytes that stay free on the disk when weights are stored.
_KEEP_FREE = 256 * 2**20


@dataclass(frozen=True)
class Received:
    """The record of a file that its plugin does not pin.

    Attributes
    ----------
    sha256, size
        Its digest and its bytes.
    revision
        Commit of its repository; empty where not known.
    hub
        Address of the hub that states this content at that revision; empty where none did.
    """

    sha256: str
    size: int
    revision: str = ""
    hub: str = ""

    @property
    def pinned(self) -> bool:
        """Whether the public hub vouches for it."""
        return bool(self.hub == PUBLIC_HUB and self.revision)


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
        path = self.record(weights)
        if weights.pinned or not path.is_file():
            return None
        try:
            record = read_json_file(path)
            return Received(
                str(record["sha256"]), int(record["size"]), str(record["revision"]), str(record.get("hub", ""))
            )
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path} is not a valid record of weights", fix="remove it and get the weights again"
            ) from error

    def find(self, weights: Weights) -> Path | None:
        """Return the file of `weights`; None when it has not been downloaded."""
        if weights.local is not None:
            return _beside(weights)
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
                f"the weights {weights.name} ({weights.origin}) "
                f"{'have not been downloaded' if weights.local is None else 'are missing'}",
                fix=how_to_get(weights),
                lacking="weights",
            )
        found = (DigestCache(None) if again else self._digests).digest(path)
        if found != (path.name if weights.local is None else weights.sha256):
            raise DataError(
                f"the weights {weights.name} were changed: {path} has the SHA-256 {found}",
                fix=f"remove that file, then: {how_to_get(weights)}",
            )
        return path, found

    def add(
        self, candidates: Sequence[Weights], path: Path, log: Callable[[str], None], *, named: bool = False
    ) -> list[Weights]:
        """Copy a file into the store under those of `candidates` whose content it is.

        Pinned weights are identified by their digest, unpinned ones by their name: that of the declaration, the path
        in the repository, or the last part of it.

        Parameters
        ----------
        candidates
            The declared weights that are looked for.
        path
            The file.
        log
            Receives a line for each of the weights that it was added as.
        named
            Whether the user named the one candidate: the file may then be called otherwise.

        Returns
        -------
        list of Weights
            The weights that the file was added as.

        Raises
        ------
        DataError
            When it is none of them, or not a file of weights at all.
        UsageError
            When its name is that of several unpinned ones.
        """
        refuse_impostor(path, candidates[0].name if named else "a file of weights")
        digest, size = self._digests.digest(path), path.stat().st_size
        added = _matching(candidates, path, digest, named=named)
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

    def confirm(self, weights: Weights, received: Received) -> None:
        """Add to the record of the copy that is here what the hub states of it.

        Raises
        ------
        DataError
            When the record is of another file.
        """
        self._check_digest(weights, received.sha256, self.received(weights))
        self._write_record(weights, received)

    def _check_digest(self, weights: Weights, digest: str, before: Received | None) -> None:
        wanted = weights.sha256 or (before.sha256 if before else digest)
        if digest != wanted:
            other = "the declared one" if weights.pinned else "that of the first copy, which was recorded,"
            raise DataError(
                f"the weights {weights.name} are wrong: their SHA-256 is {digest}, {other} is {wanted}",
                fix="the file at the source has changed or is damaged"
                + ("" if weights.pinned else f"; remove {self.record(weights)} to accept the new one"),
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

    def record(self, weights: Weights) -> Path:
        """Return the file with the record of unpinned `weights`, whether or not it exists."""
        return self.root / "unpinned" / f"{_key(weights)}.json"

    def _write_record(self, weights: Weights, received: Received) -> None:
        path = self.record(weights)
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
    if weights.local is not None:
        return f"put the file at {weights.local}: the plugin declares it there"
    return f"`bench weights fetch --name {weights.name}`, or `bench weights add --from FILE` for a local file"


def _beside(weights: Weights) -> Path | None:
    """Return a file in its plugin's folder; nothing outside of it, whatever it is linked to."""
    path = weights.root / weights.file
    inside = path.resolve().is_relative_to(weights.root.resolve())
    return path if inside and path.is_file() else None


def _matching(candidates: Sequence[Weights], path: Path, digest: str, *, named: bool) -> list[Weights]:
    """Return those of `candidates` that a file is, by its content or else by its name; see :meth:`WeightsStore.add`."""
    found = [weights for weights in candidates if weights.sha256 == digest and weights.local is None]
    unpinned = [weights for weights in candidates if not weights.pinned]
    found = found or (unpinned if named else _named(unpinned, path))
    if found:
        return found
    ways = []
    if pinned := [f"{weights.name}: {weights.sha256}" for weights in candidates if weights.sha256]:
        ways.append(f"download it again; the plugins declare {'; '.join(pinned)}")
    if unpinned:
        names = ", ".join(weights.name for weights in unpinned)
        ways.append(f"give --name with one of those that are not pinned: {names}")
    raise DataError(
        f"{path} does not match any declared weights: its SHA-256 is {digest}", fix="; or ".join(ways), path=path
    )


def _named(unpinned: Sequence[Weights], path: Path) -> list[Weights]:
    """Return the one of `unpinned` that a file's name, or as much of its path as decides, belongs to.

    Raises
    ------
    UsageError
        When several have that name.
    """
    whole = path.resolve().as_posix()
    exact = [weights for weights in unpinned if path.name == weights.name]
    below = [weights for weights in unpinned if "/" in weights.file and whole.endswith(f"/{weights.file}")]
    alike = [weights for weights in unpinned if path.name == weights.file.split("/")[-1]]
    found = exact or below or alike
    if len(found) > 1:
        raise UsageError(
            f"{path} may be any of {len(found)} declared files: "
            + ", ".join(f"{weights.name} ({weights.origin})" for weights in found),
            fix=f"say which one it is, e.g. --name {found[0].name}",
        )
    return found


def _key(weights: Weights) -> str:
    text = f"{weights.repo_type}/{weights.repo}@{weights.revision}/{weights.file}/{weights.sha256}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _first(weights: Weights) -> str:
    return "" if weights.pinned else " (not pinned by its plugin: this copy is recorded)"
