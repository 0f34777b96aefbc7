"""The log of a results repository: which folder was there when, line after line, so that none changes in silence.

``record-log.txt`` has a line for every text folder that was ever merged: the digest of the line before it, the
folder's digest, the digest of its plan, and its path. A line that is gone, changed or put between breaks the chain. A
folder that was made anew, or a plan that was run again for a better number, has two lines, and both are told.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.errors import DataError
from harness.host.sizes import size
from harness.submissions.text_files import sha256, shown
from harness.submissions.travelled import TextFolder

#: Name of the log in a repository; most bytes of one.
LOG: Final = "record-log.txt"
_LARGEST: Final = 16 * 2**20

_FIRST: Final = "0" * 64
_LINE = re.compile(r"([0-9a-f]{64}) ([0-9a-f]{64}) ([0-9a-f]{64}) ([A-Za-z0-9_.+/-]{1,400})")


@dataclass(frozen=True)
class LoggedRecord:
    """One line.

    Attributes
    ----------
    before
        Digest of the line before it; zeros for the first.
    folder, plan
        Digest of the folder's manifest, and of what was run.
    path
        Where the folder lay below the repository.
    """

    before: str
    folder: str
    plan: str
    path: str

    @property
    def line(self) -> str:
        """The line."""
        return f"{self.before} {self.folder} {self.plan} {self.path}"


def read_log(repository: Path) -> list[LoggedRecord]:
    """Read the log of a repository; empty where there is none yet.

    Raises
    ------
    DataError
        A line is not one, or does not follow the line before it.
    """
    path = repository / LOG
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", fix="put the file itself there") from error
    fix = "take it from the history of the repository: nothing in it is ever changed, lines are added at its end"
    if len(content) > _LARGEST or not content.endswith(b"\n"):
        raise DataError(f"{path} is cut short, or larger than {size(_LARGEST)}", fix=fix)
    found: list[LoggedRecord] = []
    before = _FIRST
    for number, line in enumerate(content.decode("utf-8", "replace").split("\n")[:-1], 1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise DataError(f"line {number} of {path} is not one of a log: {shown(line, 60)}", fix=fix)
        if match[1] != before:
            raise DataError(f"line {number} of {path} does not follow the line before it", fix=fix)
        found.append(LoggedRecord(*match.groups()))
        before = sha256(line.encode())
    return found


def changes(log: Sequence[LoggedRecord], folders: Sequence[tuple[str, TextFolder]]) -> Iterator[str]:
    """Yield a line for everything that the log and the folders of a repository do not say alike.

    Parameters
    ----------
    log
        The lines of :func:`read_log`.
    folders
        Path below the repository, and folder, of every row that is there.
    """
    logged = {(one.folder, one.path) for one in log}
    there = {path: folder.digest for path, folder in folders}
    earlier: dict[str, list[LoggedRecord]] = {}
    for one in log:
        earlier.setdefault(one.path, []).append(one)
    for path, digest in sorted(there.items()):
        if (digest, path) not in logged:
            was = f"; the log has {earlier[path][-1].folder[:12]}… there" if path in earlier else ""
            yield f"{path}: the folder {digest[:12]}… is not in the log{was}"
    for path in sorted(earlier.keys() - there.keys()):
        yield f"{path}: is in the log, and is gone"


def repeated(log: Sequence[LoggedRecord]) -> Iterator[str]:
    """Yield a line for every plan that has more than one folder in the log: it was run, or written, again."""
    plans: dict[str, list[LoggedRecord]] = {}
    for one in log:
        plans.setdefault(one.plan, []).append(one)
    for lines in plans.values():
        if len({one.folder for one in lines}) > 1:
            told = ", ".join(f"{one.path} ({one.folder[:12]}…)" for one in lines)
            yield f"one plan, {len(lines)} rows: {told}"


def append_to_log(
    repository: Path, log: Sequence[LoggedRecord], folders: Sequence[tuple[str, TextFolder]]
) -> list[LoggedRecord]:
    """Add a line for every folder that has none; return the lines added."""
    logged = {(one.folder, one.path) for one in log}
    before = sha256(log[-1].line.encode()) if log else _FIRST
    added = []
    for path, folder in sorted(folders, key=lambda one: one[0]):
        if (folder.digest, path) not in logged:
            added.append(LoggedRecord(before, folder.digest, folder.record.run.plan_key, path))
            before = sha256(added[-1].line.encode())
    if added:
        with (repository / LOG).open("a", encoding="utf-8") as file:
            file.writelines(f"{one.line}\n" for one in added)
            file.flush()
            os.fsync(file.fileno())
    return added
