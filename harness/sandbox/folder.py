"""The one folder that a container can write to: measured while it runs, removed afterwards, whatever its content."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.errors import PrerequisiteError
from harness.host.sizes import declared_size, size

#: Files and folders that a container may leave; a run needs one for each finding.
MAX_ENTRIES = 100_000

#: Space that stays free on the disk of the home, at most; on a small disk it is a fiftieth.
KEEP_FREE_BYTES = 256 * 1024 * 1024

#: Files that can still be made on that disk, at least; on a small disk a fiftieth.
KEEP_FREE_FILES = 20_000


def broken_bound(out: Path, limit_mb: int, held: int = 0) -> str:
    """Return in words the limit that a container's output exceeds; empty when it is within all of them.

    Parameters
    ----------
    out
        The output folder; it may change while it is read.
    limit_mb
        Disk space that everything below it may take, MiB.
    held
        Bytes of what was written there and removed while it is still open.
    """
    entries, written = 0, held
    if held > limit_mb * 2**20:
        return (
            f"holds more than out_gb = {declared_size(limit_mb):g} (the declared limit) in files that it has opened on "
            "the disk and removed"
        )
    waiting = [os.fspath(out)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as found:
                for entry in found:
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    entries += 1
                    written += status.st_blocks * 512
                    if written > limit_mb * 2**20:
                        return f"wrote more than out_gb = {declared_size(limit_mb):g} into out/ (the declared limit)"
                    if entries > MAX_ENTRIES:
                        return f"made more than {MAX_ENTRIES:,} files and folders in out/"
                    if stat.S_ISDIR(status.st_mode):
                        waiting.append(entry.path)
        except (FileNotFoundError, NotADirectoryError):
            continue  # gone meanwhile
        except OSError as error:  # without permissions, or nested deeper than a path can name
            return f"made a folder in out/ that cannot be read ({error.strerror})"
    return ""


def lack_of_disk(folder: Path) -> str:
    """Return in words how little space is left on the disk of `folder`; empty while it is enough.

    Files that a container has unlinked but holds open are counted only here.
    """
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize
    keep = min(KEEP_FREE_BYTES, found.f_blocks * found.f_frsize // 50)
    if free < keep:
        return f"the disk is full: {free / 1e6:.1f} MB left, {keep / 1e6:.1f} MB must stay free"
    # A file system that does not count its files (Btrfs) reports 0 of 0.
    if found.f_favail < min(KEEP_FREE_FILES, found.f_files // 50):
        return f"the disk is full: room for {found.f_favail:,} more files of {found.f_files:,}"
    return ""


def told_apart(root: Path, held: int = 0) -> str:
    """Say of a full disk who has filled it: this run, or another one that has its containers' folders beside it.

    Parameters
    ----------
    root
        The folder of a shard's containers: ``runs/RUN/shards/...``; elsewhere only its own weight is known.
    held
        Bytes that this run's container holds in files without a name.
    """
    shards = root.parent
    own = _weight(shards if shards.name == "shards" else root) + held
    others = (
        {run.parent.name: _weight(run) for run in shards.parent.parent.glob("*/shards") if run != shards}
        if shards.name == "shards"
        else {}
    )
    most = max(others, key=others.__getitem__, default="")
    if most and others[most] > own:
        return f"this run found it full: run {most} has {size(others[most])} in out/, this one {size(own)}"
    return f"this run has {size(own)} in out/, other runs {size(sum(others.values()))}"


def _weight(folder: Path) -> int:
    """Return the bytes of disk below a folder, of so many files at most; links are not followed."""
    weight = entries = 0
    for place, _, names in os.walk(folder):  # what cannot be read is passed over
        for name in names:
            with suppress(OSError):
                weight += Path(place, name).lstat().st_blocks * 512
            if (entries := entries + 1) > MAX_ENTRIES:
                return weight
    return weight


def require_disk(folder: Path) -> None:
    """Raise PrerequisiteError where the disk of `folder` is full."""
    lacking = lack_of_disk(folder)
    if lacking:
        raise PrerequisiteError(
            f"{lacking} ({folder})",
            fix="free some space and run the same command again; finished work is kept",
            lacking="disk",
        )


def remove_tree(root: Path) -> None:
    """Remove a container's folder, whatever its depth, size and permissions; links below it are not followed.

    Folders inside folders are lifted to the top before they are emptied, so neither the length of a path nor the
    depth of a recursion matters.

    Raises
    ------
    OSError
        When something cannot be removed; a missing folder is not an error.
    """
    try:
        with _opened(root) as top:
            waiting = os.listdir(top)  # noqa: PTH208 - a handle, not a path
            token = secrets.token_hex(8)
            lifted = 0
            while waiting:
                name = waiting.pop()
                if not _is_folder(name, top):
                    os.unlink(name, dir_fd=top)
                    continue
                with _opened(name, top) as folder:
                    for inner in os.listdir(folder):  # noqa: PTH208 - a handle, not a path
                        if _is_folder(inner, folder):
                            with _opened(inner, folder):  # a folder without permissions cannot be moved
                                lifted += 1
                            os.rename(inner, f"{token}-{lifted}", src_dir_fd=folder, dst_dir_fd=top)
                            waiting.append(f"{token}-{lifted}")
                        else:
                            os.unlink(inner, dir_fd=folder)
                os.rmdir(name, dir_fd=top)
        root.rmdir()
    except FileNotFoundError:
        return


def _is_folder(name: str, parent: int) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)


@contextmanager
def _opened(name: str | Path, parent: int | None = None) -> Iterator[int]:
    """Open a folder for its owner's use, whatever its permissions, without following a link."""
    handle = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        way = f"/proc/self/fd/{handle}"
        os.chmod(way, 0o700)  # noqa: PTH101 - a handle, not a path
        reading = os.open(way, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    finally:
        os.close(handle)
    try:
        yield reading
    finally:
        os.close(reading)
