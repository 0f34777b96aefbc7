"""Put a finished set of files where the user wants it: whole or not at all, and never over files of others."""

from __future__ import annotations

import errno
import filecmp
import hashlib
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.errors import PrerequisiteError, UsageError
from leaderboard.published.kept import Kept

#: Lists the files that were written, one relative path a line; a folder without it was not made here.
MARKER = ".groundbench-site"

#: Describes the content of a folder: whether it was built for the public.
BUILD = "build.json"


#: A file's content, where it lies, or what is kept of it.
Content = bytes | Path | Kept


@dataclass(frozen=True)
class Written:
    """What became of a folder: its files, how many of them are new or other than before, and how many are gone."""

    files: int
    changed: int
    gone: int


def replace_folder(out: Path, files: Mapping[str, Content] | Iterable[tuple[str, Content]]) -> Written:
    """Make `out` a folder that holds exactly `files` and the marker.

    The files are written into a hidden folder beside `out` and renamed into place when all are there: what stands at
    `out` is the old site or the new one, never half of one. A file that is the same as before is taken over and not
    written again: its time stays, so that whoever copies the site copies what changed.

    Parameters
    ----------
    out
        Absent, empty, or a folder that this function made and that was not changed since.
    files
        Relative path with forward slashes -> content, or a file with it, which is copied, or what is kept, which is
        read only where the file is not the same already; or pairs of these, so that not all of them are held at a
        time.

    Returns
    -------
    Written
        How much of it changed.

    Raises
    ------
    UsageError
        When `out` holds anything that this function did not write.
    PrerequisiteError
        When the file system refuses (permissions, a full disk).
    """
    with explained(out):
        target = out.resolve()
        _refuse_foreign(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as beside:
            new, old = Path(beside, "new"), Path(beside, "old")
            new.mkdir()
            names, before, changed = set(), _listed(target), 0
            for name, content in files.items() if isinstance(files, Mapping) else files:
                names.add(name)
                changed += _put(new / name, content, target / name)
            _put(new / MARKER, "".join(f"{name}\n" for name in sorted(names)).encode(), target / MARKER)
            if target.exists():
                target.rename(old)
            try:
                new.rename(target)
            except OSError:
                if old.exists():
                    old.rename(target)
                raise
    return Written(len(names), changed, len(before - names))


def _put(path: Path, content: Content, before: Path) -> bool:
    """Write a file, or take over the one from before where it is the same; returns whether it is another."""
    path.parent.mkdir(parents=True, exist_ok=True)
    same = False
    try:
        if same := _is(before, content):
            path.hardlink_to(before)
            return False
    except OSError:  # it is not there, or the file system has no links
        path.unlink(missing_ok=True)
    if isinstance(content, Path):
        shutil.copyfile(content, path)
    else:
        path.write_bytes(content.read() if isinstance(content, Kept) else content)
    return not same


def _is(before: Path, content: Content) -> bool:
    if isinstance(content, Path):
        return filecmp.cmp(before, content, shallow=False)
    if before.stat().st_size != (content.size if isinstance(content, Kept) else len(content)):
        return False
    now = before.read_bytes()
    return hashlib.sha256(now).digest() == content.sha256 if isinstance(content, Kept) else now == content


def _listed(target: Path) -> set[str]:
    """Return the files that the marker of a folder lists; none where there is none."""
    marker = target / MARKER
    return {*marker.read_text(encoding="utf-8", errors="replace").splitlines()} if marker.is_file() else set()


def _refuse_foreign(target: Path) -> None:
    """Raise UsageError where `target` holds what :func:`replace_folder` did not put there."""
    if not target.exists():
        return
    if not target.is_dir():
        raise UsageError(f"{target} is a file, not a folder", fix="give --out a folder that is new or empty")
    if not any(target.iterdir()):
        return
    marker = target / MARKER
    if not marker.is_file():
        raise UsageError(
            f"{target} was not made by `bench leaderboard build` and is left unchanged",
            fix="give --out a folder that is new or empty",
        )
    ours = {MARKER, *_listed(target)}
    found = (path.relative_to(target).as_posix() for path in target.rglob("*") if not path.is_dir())
    foreign = sorted(set(found) - ours)
    if foreign:
        raise UsageError(
            f"{target} holds files that `bench leaderboard build` did not write, {foreign[0]} among them",
            fix="move them away, or give --out a folder that is new or empty",
        )


@contextmanager
def explained(out: Path) -> Iterator[None]:
    """Turn a refusal of the file system into an error that says what to do."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "full" not in str(error):
            raise
        fix = "free some space, in the folder for temporary files (TMPDIR) too, and run the same command again"
        raise PrerequisiteError(f"cannot make the site {out}: {error}", fix=fix) from error
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            fix = "free some space and run the same command again; the previous files are unchanged"
        else:
            fix = "check the permissions of the folder, or give --out another one"
        raise PrerequisiteError(f"cannot write the site to {out}: {error.strerror or error}", fix=fix) from error
