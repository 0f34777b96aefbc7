"""Zip and tar archives and gzip files within bounds: bytes as they are unpacked, entries, and one read at a time.

The parsers of the standard library believe a header: they read a table of contents, a long name or an extended header
of as many bytes as it says. Here they are handed a file that refuses to be read that far.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, Final

_MIB: Final = 2**20

#: Bytes of a zip's table of contents; about 80,000 entries with names as masks have them.
MOST_CONTENTS: Final = 8 * _MIB

#: Bytes that a tar's reader may ask for at once where no file's content is meant: names and extended headers.
MOST_HEADER: Final = _MIB

#: Bytes of memory that an xz stream may ask for: what it says, most of it the dictionary. `xz -9` needs 65 MiB.
MOST_XZ_MEMORY: Final = 128 * _MIB

_XZ: Final = b"\xfd7zXZ\x00"

#: Bytes that are read of a packed file at once.
_PIECE: Final = 64 * 1024

#: Bytes that no file has.
_FAR: Final = 2**62

#: What the standard library raises for archives that are damaged, truncated, encrypted or of another kind.
_BROKEN: Final = (
    EOFError, tarfile.TarError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, gzip.BadGzipFile, NotImplementedError,
    RuntimeError, OverflowError, struct.error,
)  # fmt: skip


class BoundedFile(io.RawIOBase):
    """A file of which only so much can be read: at once, and in all; raises ValueError beyond.

    Parameters
    ----------
    file
        What is read, unpacked already.
    once, total
        Most bytes of one read, and of all; None: no bound.
    """

    def __init__(self, file: IO[bytes], *, once: int, total: int | None = None) -> None:
        self._file, self._once, self._left = file, once, total

    def readable(self) -> bool:  # noqa: D102 - as its base
        return True

    def seekable(self) -> bool:  # noqa: D102 - as its base
        return self._file.seekable()

    def read(self, size: int | None = -1, /) -> bytes:
        """Read at most `size` bytes; ValueError where they, or those before, are more than allowed."""
        wanted = self._once + 1 if size is None or size < 0 else size
        if wanted > self._once and wanted == size:
            raise ValueError(f"it claims {size:,} bytes in one piece; at most {self._once:,} are read")
        content = self._file.read(wanted)
        if len(content) > self._once:
            raise ValueError(f"it has more than {self._once:,} bytes in one piece")
        self._spend(len(content))
        return content

    def _spend(self, n: int) -> None:
        if self._left is not None:
            self._left -= n
            if self._left < 0:
                raise ValueError("it unpacks to more bytes than are read")

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to a place; what is skipped is unpacked as well, and counts."""
        if whence == os.SEEK_SET and not 0 <= offset < _FAR:
            raise ValueError("it points out of the file")
        if self._left is not None and whence == os.SEEK_SET:
            self._spend(max(0, offset - self._file.tell()))
        return self._file.seek(offset, whence)

    def tell(self) -> int:  # noqa: D102 - as its base
        return self._file.tell()

    def close(self) -> None:  # noqa: D102 - as its base
        if not self.closed:
            self._file.close()
        super().close()


class _XzFile:
    """An xz file, unpacked as it is read, within :data:`MOST_XZ_MEMORY`: ``lzma.LZMAFile`` takes no limit."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.closed = False
        self._restart()

    def _restart(self) -> None:
        self._file.seek(0)
        self._decoder, self._at, self._ended = lzma.LZMADecompressor(memlimit=MOST_XZ_MEMORY), 0, False

    def read(self, size: int) -> bytes:
        """Return the next bytes, fewer than `size` only at the end."""
        pieces, left = [], size
        while left and not self._ended:
            if self._decoder.eof:
                self._ended = not self._next_stream()
                continue
            packed = self._file.read(_PIECE) if self._decoder.needs_input else b""
            if self._decoder.needs_input and not packed:
                raise EOFError("it ends in the middle of an xz stream")
            pieces.append(self._decoder.decompress(packed, left))
            left -= len(pieces[-1])
        self._at += size - left
        return b"".join(pieces)

    def _next_stream(self) -> bool:
        """Begin the stream that follows one; what is none after the first is passed over, as LZMAFile does."""
        self._file.seek(-len(self._decoder.unused_data), os.SEEK_CUR)
        self._decoder = lzma.LZMADecompressor(memlimit=MOST_XZ_MEMORY)
        begin = self._file.read(len(_XZ))
        self._file.seek(-len(begin), os.SEEK_CUR)
        return begin == _XZ

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place by unpacking what lies before it."""
        if whence == os.SEEK_END:
            raise io.UnsupportedOperation("the end of an xz file is not known")
        target = offset + (self._at if whence == os.SEEK_CUR else 0)
        if target < self._at:
            self._restart()
        while self._at < target and self.read(min(_PIECE, target - self._at)):
            pass
        return self._at

    def close(self) -> None:
        self.closed = True


@contextmanager
def _as_value_error() -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error
    except OSError as error:
        if error.errno is None:  # of bzip2, for a damaged stream
            raise ValueError(str(error)) from error
        raise


@contextmanager
def open_zip(path: Path, *, contents: int = MOST_CONTENTS) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive for reading; its table of contents has at most `contents` bytes.

    Raises
    ------
    OSError
        It cannot be read.
    ValueError
        It is not a zip archive, is damaged or encrypted, or lists too much; also for what is done inside.
    """
    with (
        path.open("rb") as file,
        _as_value_error(),
        zipfile.ZipFile(BoundedFile(file, once=max(contents, _MIB))) as archive,
    ):
        _check_contents(archive)
        yield archive


def _check_contents(archive: zipfile.ZipFile) -> None:
    for info in archive.infolist():
        if not info.filename:
            raise ValueError("it lists an entry without a name")
        if info.compress_type == zipfile.ZIP_LZMA:  # it names its own memory, up to 4 GiB
            raise ValueError("it is packed with LZMA; pack it with deflate, as zip programs do by themselves")


def member_of(path: Path, name: str) -> tuple[zipfile.ZipFile, zipfile.ZipInfo]:
    """Return an archive and one of its entries; an archive stays open in a process, so its contents are read once.

    Raises
    ------
    OSError
        It cannot be read.
    ValueError
        As :func:`open_zip`.
    KeyError
        It has no entry of that name.
    """
    status = path.stat()
    # A process that was forked has a table of its own: it would share the place in the file with its parent.
    archive, infos = _kept_open(path, status.st_size, status.st_ctime_ns, os.getpid())
    return archive, infos[name]


@lru_cache(maxsize=2)
def _kept_open(
    path: Path, size: int, changed: int, process: int
) -> tuple[zipfile.ZipFile, Mapping[str, zipfile.ZipInfo]]:
    del size, changed, process  # of the key
    with _as_value_error():
        archive = zipfile.ZipFile(BoundedFile(path.open("rb"), once=MOST_CONTENTS))
        _check_contents(archive)
    return archive, {info.filename: info for info in archive.infolist()}


@contextmanager
def open_tar(source: Path | IO[bytes], *, total: int | None = None) -> Iterator[tarfile.TarFile]:
    """Open a tar archive for reading, unpacking gzip, bzip2 and xz.

    Parameters
    ----------
    source
        The archive: its path, or the open file, which stays open.
    total
        Most bytes that are unpacked of it, skipped ones included; None: no bound, as for images, whose layers are not
        read.

    Raises
    ------
    OSError
        It cannot be read.
    ValueError
        It is not a tar archive, is damaged, or unpacks to too much; also for what is done inside.
    """
    with source.open("rb") if isinstance(source, Path) else nullcontext(source) as file, _as_value_error():
        begin = file.read(6)
        file.seek(0)
        stream: Any = file
        if begin.startswith(b"\x1f\x8b"):
            stream = gzip.GzipFile(fileobj=file)
        elif begin.startswith(b"BZh"):
            stream = bz2.BZ2File(file)
        elif begin == _XZ:
            stream = _XzFile(file)
        with tarfile.open(fileobj=BoundedFile(stream, once=MOST_HEADER, total=total), mode="r:") as tar:
            yield tar


def content_of(file: IO[bytes], *, most: int) -> bytes:
    """Return what is in one file of an archive, at most so many bytes, read piece by piece; ValueError beyond."""
    pieces, left = [], most
    while piece := file.read(min(MOST_HEADER, left + 1)):
        pieces.append(piece)
        left -= len(piece)
        if left < 0:
            raise ValueError(f"a file of it unpacks to more than {most:,} bytes")
    return b"".join(pieces)


def unzipped(content: bytes, *, most: int) -> bytes:
    """Return the content of a gzip file, at most so many bytes.

    Raises
    ------
    ValueError
        It is damaged, ends early, or unpacks to more.
    """
    with _as_value_error(), gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
        found = file.read(most + 1)
    if len(found) > most:
        raise ValueError(f"it unpacks to more than {most:,} bytes")
    return found


def is_zip(path: Path) -> bool:
    """Return whether a file ends as a zip archive does."""
    return zipfile.is_zipfile(path)
