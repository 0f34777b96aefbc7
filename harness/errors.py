"""The one error tree: every message states the failure, its place, its meaning and the next step.

An error that a user can cause or fix is a :class:`BenchError`; the command line prints it once, without a traceback,
and exits with its code. Anything else is a bug and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Literal


class BenchError(Exception):
    """Base of every expected failure.

    Parameters
    ----------
    message
        What happened and where, in one or two sentences.
    fix
        What the user can do about it; printed on a line of its own.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix


class ModelError(BenchError):
    """A model failed: its image, its adapter, or every mask (with ``--strict``: any mask); exit code 1."""

    exit_code: ClassVar[int] = 1


class UsageError(BenchError):
    """A name or an option does not exist or does not fit the others; exit code 2."""

    exit_code: ClassVar[int] = 2


class UnknownName(UsageError):  # noqa: N818 - read as what happened: `raise UnknownName("plugin", ...)`
    """A name that does not exist; the fix shows the nearest known ones.

    Parameters
    ----------
    kind
        Kind of thing that was named, e.g. ``"plugin"``.
    name
        The name that was given.
    known
        The names that exist.
    fix
        Used when no known name is near; by default the known names are listed.

    Attributes
    ----------
    kind, name
        As given.
    known, near
        The names that exist, sorted; those with a similar spelling, nearest first.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], *, fix: str = "") -> None:
        self.kind, self.name, self.known = kind, name, tuple(sorted(known))
        folded: dict[str, list[str]] = {}
        for one in self.known:
            folded.setdefault(one.casefold(), []).append(one)
        near = difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.5)
        self.near = tuple(one for match in near for one in folded[match])[:3]
        if self.near:
            fix = f"did you mean {' or '.join(self.near)}?"
        elif self.known and not fix:
            fix = f"known: {', '.join(self.known)}"
        super().__init__(f"no {kind} is named {name!r}", fix=fix)


#: Prerequisites of a command that can be missing.
Lacking = Literal["", "engine", "gpu", "memory", "disk", "source", "weights"]


class PrerequisiteError(BenchError):
    """Something that the command needs is missing (engine, GPU, disk, source, weights); exit code 3.

    Parameters
    ----------
    message, fix
        As for every failure.
    lacking
        The missing prerequisite; empty where none of the words applies.
    """

    exit_code: ClassVar[int] = 3

    def __init__(self, message: str, *, fix: str = "", lacking: Lacking = "") -> None:
        super().__init__(message, fix=fix)
        self.lacking: Lacking = lacking


class DataError(BenchError):
    """A data set, a mask, a record or a database is wrong or damaged; exit code 4.

    Parameters
    ----------
    message, fix
        As for every failure.
    path
        The file or folder that is at fault, where it is one.
    """

    exit_code: ClassVar[int] = 4

    def __init__(self, message: str, *, fix: str = "", path: Path | None = None) -> None:
        super().__init__(message, fix=fix)
        self.path = path


class Interrupted(BenchError):  # noqa: N818 - an interruption is not an error
    """The user asked to stop; everything finished so far is kept; exit code 130."""

    exit_code: ClassVar[int] = 130
