"""What earlier builds computed, kept by the digest of what it was computed from: a build only computes what is new.

A result is found by what it depends on: the words of its kind, its inputs, and the version of everything that may
change it (:func:`version`: our own code and the libraries that draw and count). Names, paths and times of files are no
part of that. So a result that is found is the one that would be computed, and a board built without the file that
keeps them has the same bytes.

The file may be deleted at any time. One that is damaged, or in use, is done without; an entry whose digest is not that
of its content is computed again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import marshal
import platform
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final, Self

from harness.foreign import open_database, parse_json

#: Builds after which a result that none of them used is dropped.
BUILDS: Final = 4

#: Most bytes of one result.
MOST_BYTES: Final = 64 * 2**20

#: Our packages, and the libraries that numbers and pictures come from.
_PACKAGES: Final = ("harness", "leaderboard")
_LIBRARIES: Final = ("numpy", "scipy", "pillow", "jinja2", "vl-convert-python", "scikit-image", "nibabel", "pyarrow")

_TABLES: Final = """
create table if not exists results (
  key blob primary key, digest blob not null, sha256 blob not null, size integer not null, content blob not null);
create table if not exists used (key blob primary key, build integer not null) without rowid;
"""


@dataclass(frozen=True)
class Kept:
    """A result that is known by its digest, and read only where somebody asks for its bytes.

    Attributes
    ----------
    sha256, size
        Of its bytes.
    read
        Returns them.
    """

    sha256: bytes
    size: int
    read: Callable[[], bytes] = field(compare=False)


class KeptResults:
    """Results of functions without side effects, in a SQLite file; or none, where `path` is None.

    Use it as a context: inside, :func:`in_use` returns it; what was computed is written when the context ends well.

    Parameters
    ----------
    path
        The file; its folder is made. Where it cannot be read or written, everything is computed.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._db = None if path is None else _opened(path)
        self._used: set[bytes] = set()
        self.found = self.computed = 0

    def __enter__(self) -> Self:
        self._before = _IN_USE.set(self)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        _IN_USE.reset(self._before)
        if self._db is None:
            return
        with contextlib.suppress(sqlite3.Error), contextlib.closing(self._db) as db:
            if kind is None:
                self._drop(db)
                db.commit()
        self._db = None

    def content(self, what: str, inputs: Iterable[object], compute: Callable[[], bytes]) -> bytes:
        """Return the result of `compute`, or what it returned for the same inputs before.

        Parameters
        ----------
        what
            The kind of the result; results of one kind are computed by one function.
        inputs
            Everything that the result depends on but the code: bytes, texts, numbers, and tuples of these.
        compute
            Computes it.
        """
        if self._db is None:
            return compute()
        key = digest_of((version(), what, *inputs))
        content = self._content(key)
        if content is None:
            return self._compute(key, compute)
        self.found += 1
        self._used.add(key)
        return content

    def result(self, what: str, inputs: Iterable[object], compute: Callable[[], bytes]) -> Kept:
        """Return the same as :meth:`content` without its bytes, where they were computed before.

        They are read when they are asked for; what is damaged by then is computed again. Without a file they are held.
        """
        key = digest_of((version(), what, *inputs))

        def read() -> bytes:
            content = self._content(key)
            return compute() if content is None else content

        known = self._digest(key)
        if known is None:
            content = self._compute(key, compute)
            return Kept(hashlib.sha256(content).digest(), len(content), read if self._path else lambda: content)
        self.found += 1
        self._used.add(key)
        return Kept(*known, read)

    def value(self, what: str, inputs: Iterable[object], compute: Callable[[], Any]) -> Any:
        """Return a result that JSON can hold, as :meth:`content`; tuples in it become lists."""
        content = self.content(what, inputs, lambda: json.dumps(compute(), ensure_ascii=True).encode())
        return parse_json(content, finite=False, levels=len(content))  # its digest is right: it is ours

    def _compute(self, key: bytes, compute: Callable[[], bytes]) -> bytes:
        self.computed += 1
        content = compute()
        self._keep(key, content)
        self._used.add(key)
        return content

    def _digest(self, key: bytes) -> tuple[bytes, int] | None:
        """Return digest and size of the result of a key; None where there is none, or another's."""
        row = self._row(key, "digest, sha256, size")
        return None if row is None or _check(key, row[1], row[2]) != row[0] else (row[1], row[2])

    def _content(self, key: bytes) -> bytes | None:
        row = self._row(key, "digest, sha256, size, content")
        if row is None or _check(key, row[1], row[2]) != row[0] or not isinstance(row[3], bytes):
            return None
        unpacker = zlib.decompressobj()
        try:
            content = unpacker.decompress(row[3], MOST_BYTES)
        except zlib.error:
            return None
        return content if (hashlib.sha256(content).digest(), len(content)) == row[1:3] else None

    def _row(self, key: bytes, columns: str) -> tuple[Any, ...] | None:
        if self._db is None:
            return None
        try:
            found = self._db.execute(f"select {columns} from results where key = ?", [key]).fetchone()  # noqa: S608
        except sqlite3.Error:
            self._without()
            return None
        return found  # type: ignore[no-any-return] # of any types, if the file is damaged

    def _keep(self, key: bytes, content: bytes) -> None:
        if self._db is None or len(content) >= MOST_BYTES:
            return
        sha256 = hashlib.sha256(content).digest()
        row = [key, _check(key, sha256, len(content)), sha256, len(content), zlib.compress(content, 1)]
        try:
            self._db.execute("insert or replace into results values (?, ?, ?, ?, ?)", row)
        except sqlite3.Error:  # a full disk, or a damaged page
            self._without()

    def _drop(self, db: sqlite3.Connection) -> None:
        """Count this build, and drop what the last builds have not used."""
        (last,) = db.execute("select coalesce(max(build), 0) from used").fetchone()
        db.executemany("insert or replace into used values (?, ?)", [(key, last + 1) for key in self._used])
        db.execute("delete from used where build <= ?", [last + 1 - BUILDS])
        db.execute("delete from results where key not in (select key from used)")

    def _without(self) -> None:
        """Go on without the file, which is damaged, or too large for its disk."""
        if self._db is not None and self._path is not None:
            with contextlib.suppress(sqlite3.Error):
                self._db.close()
            _remove(self._path)
        self._db = None


_IN_USE: Final[ContextVar[KeptResults]] = ContextVar("results that are kept")


def in_use() -> KeptResults:
    """Return the results of the build that calls; outside of one, none are kept."""
    return _IN_USE.get(_NONE)


_NONE: Final = KeptResults()


def _check(key: bytes, sha256: object, size: object) -> bytes:
    """Return what shows that a digest and a size are those of the result of a key."""
    return digest_of((key, sha256, size)) if isinstance(sha256, bytes) and isinstance(size, int) else b""


def digest_of(inputs: Any) -> bytes:
    """Return the digest of bytes, texts, numbers, None, and tuples or lists of these; unlike inputs differ in it."""
    return hashlib.sha256(marshal.dumps(inputs, 2)).digest()  # version 2 writes equal objects alike, shared or not


@cache
def version() -> bytes:
    """Return the digest of everything but its inputs that may change a result: our code, Python, and the libraries."""
    ours = hashlib.sha256()
    for package in _PACKAGES:
        for path, content in _sources(files(package), package):
            ours.update(f"{path}\n{len(content)}\n".encode() + content)
    return digest_of((ours.digest(), platform.python_version(), platform.machine(), *map(_installed, _LIBRARIES)))


def _sources(folder: Traversable, name: str) -> Iterator[tuple[str, bytes]]:
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        if entry.is_dir():
            yield from _sources(entry, f"{name}/{entry.name}")
        elif not entry.name.endswith(".pyc"):
            yield f"{name}/{entry.name}", entry.read_bytes()


def _installed(library: str) -> str:
    try:
        return installed(library)
    except PackageNotFoundError:
        return ""


def _opened(path: Path) -> sqlite3.Connection | None:
    """Open the file for this build alone, a new one in place of one that is no such file; None where that fails."""
    for attempt in range(2):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            db = open_database(path, timeout=1.0)
            try:
                db.executescript(_TABLES)
                db.execute("begin immediate")
                db.execute("select key, digest, sha256, size, content from results limit 1").fetchone()
                db.execute("select key, build from used limit 1").fetchone()
            except BaseException:
                db.close()
                raise
            else:
                return db
        except (sqlite3.Error, OSError) as error:
            if attempt or "locked" in str(error):  # by another build
                return None
            _remove(path)
    return None


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        for name in (path, path.with_name(f"{path.name}-journal")):
            name.unlink(missing_ok=True)
