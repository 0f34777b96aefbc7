"""A mask file as a bounded stream: opened without following links, decoded block by block, hashed meanwhile.

The file is not trusted: its size is bounded before it is opened for reading, the decoded size before it is
decoded, and neither a pipe nor a device nor a symbolic link is ever read.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from zlib_ng import gzip_ng, zlib_ng

from harness.foreign import member_of
from harness.masks.header import GZIP_MAGIC, Header, layout_of, parse_header
from harness.masks.itk import MAX_TEXT, META_MAGICS, NRRD_MAGIC, parse_meta, parse_nrrd
from harness.masks.verdict import Refused, refused

#: Decodes a gzip stream. On masks zlib-ng is 22 times faster than the standard library, with the same answers.
_Gzip: Any = gzip_ng.GzipNGFile

# The OverflowError is zlib-ng's, for a gzip header whose fields are longer than its buffer.
_DAMAGE: Any = (OSError, OverflowError, zlib.error, zlib_ng.error, zipfile.BadZipFile)

#: Bytes decoded at a time: the buffer stays in the processor's cache, which is faster than any larger one.
BLOCK_BYTES = 1024 * 1024

#: Widest voxel that a mask may have.
MAX_ITEMSIZE = 8

#: Compressed bytes read at a time.
_RAW_BYTES = 512 * 1024

#: Bytes of a file, compressed or not, that hold most headers.
_BEGINNING_BYTES = 64 * 1024

_REWRITE = "write the mask again; write to a temporary name and rename it last"


@dataclass(frozen=True)
class ZipMember:
    """A file inside a zip archive, read in place."""

    archive: Path
    name: str
    size: int = 0  #: bytes, as the archive lists it; 0: not known

    def __str__(self) -> str:
        return f"{self.archive}:{self.name}"


#: The place of a mask.
Source = Path | ZipMember


def file_limit(voxels: int) -> int:
    """Return the largest plausible size in bytes of a mask file of so many voxels, compressed or not."""
    return voxels * MAX_ITEMSIZE * 101 // 100 + 32 * 1024 * 1024


@dataclass
class Volume:
    """An open mask file, placed before its first voxel.

    Attributes
    ----------
    header
        The declared content of the file.
    """

    header: Header
    _content: _Content

    @property
    def trailing(self) -> bool:
        """Whether bytes that are not gzip follow the compressed stream; known once the blocks have been read."""
        return self._content.trailing

    def blocks(self, unit: int) -> Iterator[memoryview]:
        """Decode the voxels, in blocks of a whole number of units.

        Parameters
        ----------
        unit
            Bytes that must stay together.

        Yields
        ------
        memoryview
            About :data:`BLOCK_BYTES`; the last one may be shorter than the others. The next block takes its place.

        Raises
        ------
        Refused
            The stream is damaged, shorter or longer than the header says. No more than the declared bytes are ever
            decoded, and one byte to see that the stream ends.
        """
        left = self.header.nbytes
        size = max(1, BLOCK_BYTES // unit) * unit
        buffer = memoryview(
            bytearray(min(left, size))
        )  # one for all blocks: allocating memory costs more than decoding
        with _explained():
            while left:
                block = buffer[: min(left, size)]
                self._content.fill(block)
                left -= len(block)
                yield block
            if self._content.goes_on():
                raise refused(
                    "longer_than_declared",
                    f"the stream goes on after the {self.header.nbytes} bytes that its header declares",
                    cause="a header with a wrong shape or type, or two files written into one",
                    fix=_REWRITE,
                )

    def sha256(self) -> str:
        """Return the digest of the whole file, once the blocks have been read."""
        return self._content.digest()


@contextmanager
def open_volume(source: Source, *, limit: int, root: Path | None = None) -> Iterator[Volume]:
    """Open a volume and read its header; its content decides the format: NIfTI, compressed or not, NRRD or MetaImage.

    Parameters
    ----------
    source
        The file, or a member of a zip archive.
    limit
        Largest size in bytes of the file itself.
    root
        A folder that must contain the file; below it no component may be a symbolic link.

    Raises
    ------
    FileNotFoundError
        The file does not exist.
    Refused
        It is not a regular file, too large, or not a NIfTI volume.
    """
    with _open(source, limit, root) as raw:
        content = _Content(raw)
        yield Volume(_header(content), content)


def header_of(source: Source, *, limit: int) -> Header:
    """Return the header of a volume as :func:`open_volume` does; of most files no more than 64 KiB are read.

    Where these do not hold a whole and valid header, the file is opened as a volume, which says what is wrong with it.
    """
    try:
        with _open(source, limit, None) as raw:
            return _header(_Content(io.BytesIO(raw.read(_BEGINNING_BYTES))))
    except Refused:
        with open_volume(source, limit=limit) as volume:
            return volume.header


def _header(content: _Content) -> Header:
    """Read a header; the content goes on with the voxels."""
    with _explained("within its header"):
        first = content.read(4)
        if first == NRRD_MAGIC:
            header, compressed = parse_nrrd(content.text(first, until=""))
            content.decompress(compressed, wbits=31)
        elif first in META_MAGICS:
            header, compressed = parse_meta(content.text(first, until="ElementDataFile"))
            content.decompress(compressed, wbits=15)
        else:
            layout, order = layout_of(first)
            header = parse_header(first + content.read(layout.size - 4), layout, order)
            content.read(header.offset - layout.size)
    return header


class _Content:
    """The decompressed content of a file, read as a stream.

    The decoders cannot find the end of a stream that is followed by other bytes. Only when one fails is the file read
    again, by a slower decoder that can.

    Attributes
    ----------
    trailing
        Whether bytes that are not gzip follow the compressed stream.
    """

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._position = 0  # bytes returned so far
        self._members: _Members | None = None
        self._hashing = _Hashing(raw)
        self._buffered = io.BufferedReader(self._hashing, _RAW_BYTES)
        with _explained():
            self._is_gzip = self._buffered.peek(2)[:2] == GZIP_MAGIC
        self._stream: Any = _Gzip(fileobj=self._buffered, mode="rb") if self._is_gzip else self._buffered

    @property
    def trailing(self) -> bool:
        return self._members is not None and self._members.trailing

    def fill(self, block: memoryview) -> None:
        """Fill a block; raises EOFError where the content ends before."""
        try:
            _fill(self._stream, block)
        except (EOFError, gzip.BadGzipFile):
            if not self._is_gzip or self._members is not None:
                raise
            self._read_again()
            _fill(self._stream, block)
        self._position += len(block)

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes; raises EOFError where the content ends before."""
        block = bytearray(size)
        self.fill(memoryview(block))
        return bytes(block)

    def text(self, first: bytes, *, until: str) -> list[str]:
        """Return the lines of a text header that begins with `first`; the last is the one that begins with `until`.

        With `until` empty, an empty line ends the header, and is not returned.
        """
        lines: list[str] = []
        left = MAX_TEXT
        begun = first
        while left > 0:
            line = begun + self._stream.readline(left)
            begun = b""
            left -= len(line)
            if not line.endswith(b"\n"):
                raise EOFError
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            if not until and not text:
                return lines
            lines.append(text)
            if until and text.startswith(until):
                return lines
        raise EOFError

    def decompress(self, compressed: bool, *, wbits: int) -> None:  # noqa: FBT001 - what a header says
        """Take what follows as the voxels: compressed in this format of zlib, or plain."""
        self._is_gzip = False
        if compressed:
            self._stream = io.BufferedReader(_Members(self._stream, wbits=wbits), BLOCK_BYTES)

    def goes_on(self) -> bool:
        """Return whether more bytes follow; a gzip stream checks its length and sum here."""
        try:
            return bool(self._stream.read(1))
        except (EOFError, gzip.BadGzipFile) as error:
            if not self._is_gzip or self._members is not None:
                raise OSError("it lacks the end of a gzip stream") from error
            self._read_again()
            return self.goes_on()

    def digest(self) -> str:
        """Read the rest of the file and return the digest of all of it."""
        return self._hashing.digest()

    def _read_again(self) -> None:
        self._raw.seek(0)
        self._hashing = _Hashing(self._raw)
        self._buffered = io.BufferedReader(self._hashing, _RAW_BYTES)
        self._members = _Members(self._buffered)
        self._stream = io.BufferedReader(self._members, BLOCK_BYTES)
        left = self._position
        while left:
            left -= len(_read(self._stream, min(left, BLOCK_BYTES)))


class _Members(io.RawIOBase):
    """Decodes one gzip stream after another, and stops at other bytes."""

    def __init__(self, raw: IO[bytes], *, wbits: int = 31) -> None:
        self._raw = raw
        self._input = b""
        self._decoder = zlib.decompressobj(wbits=wbits)
        self.trailing = False
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        while not self._ended:
            self._input = self._input or self._raw.read(_RAW_BYTES)
            if not self._input:
                raise EOFError
            data = self._decoder.decompress(self._input, len(buffer))
            self._input = self._decoder.unconsumed_tail
            if self._decoder.eof:
                self._next_member()
            if data:
                buffer[: len(data)] = data
                return len(data)
        return 0

    def _next_member(self) -> None:
        self._input = self._decoder.unused_data
        if len(self._input) < len(GZIP_MAGIC):
            self._input += self._raw.read(_RAW_BYTES)
        if self._input[: len(GZIP_MAGIC)] == GZIP_MAGIC:
            self._decoder = zlib.decompressobj(wbits=31)
        else:
            self._ended, self.trailing = True, bool(self._input)


class _Hashing(io.RawIOBase):
    """Hashes the bytes that are read through it."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._hash = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        n = self._raw.readinto(buffer)  # type: ignore[attr-defined]
        self._hash.update(memoryview(buffer)[:n])
        return int(n)

    def digest(self) -> str:
        """Read the rest and return the digest."""
        while block := self._raw.read(BLOCK_BYTES):
            self._hash.update(block)
        return self._hash.hexdigest()


@contextmanager
def _open(source: Source, limit: int, root: Path | None) -> Iterator[IO[bytes]]:
    if isinstance(source, ZipMember):
        with _open_member(source, limit) as stream:
            yield stream
        return
    try:
        descriptor = _open_nofollow(source, root)
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise
        raise _no_file(error) from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise refused(
                "not_a_file",
                "the mask is not a regular file",
                cause="a folder, a pipe or a device under a mask's name",
                fix="write the mask as a plain file",
            )
        _check_size(status.st_size, limit)
        with os.fdopen(descriptor, "rb", buffering=0, closefd=False) as stream:
            yield stream
    finally:
        os.close(descriptor)


@contextmanager
def _open_member(member: ZipMember, limit: int) -> Iterator[IO[bytes]]:
    try:
        archive, info = member_of(member.archive, member.name)
        if stat.S_ISLNK(info.external_attr >> 16):
            raise _link()
        _check_size(info.file_size, limit)
        stream = archive.open(info)
    except KeyError as error:
        raise FileNotFoundError(str(member)) from error
    except (ValueError, zipfile.BadZipFile, RuntimeError) as error:  # damaged; encrypted, or compressed in an odd way
        raise refused(
            "archive",
            f"the archive's entry cannot be read: {error}",
            cause="a damaged or encrypted zip archive, or an unusual compression",
            fix="make the archive again with plain deflate or stored entries",
        ) from error
    with stream:
        yield stream


def _open_nofollow(path: Path, root: Path | None) -> int:
    """Open without following a link at the last component and, given `root`, at any component below it."""
    # A pipe would block for ever without O_NONBLOCK; it has no effect on a regular file.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    if root is None:
        return os.open(path, flags)
    *folders, name = path.relative_to(root).parts
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in folders:
            inner = os.open(part, flags | os.O_DIRECTORY, dir_fd=folder)
            os.close(folder)
            folder = inner
        return os.open(name, flags, dir_fd=folder)
    finally:
        os.close(folder)


def _link() -> Refused:
    return refused(
        "link",
        "the mask, or a folder above it, is a symbolic link",
        cause="a link in the folder of masks, which could lead to any file",
        fix="put the mask itself there: cp -rL copies what links lead to",
    )


def _no_file(error: OSError) -> Refused:
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return _link()
    return refused(
        "unreadable",
        f"the mask cannot be opened: {error.strerror}",
        cause="file permissions, or something that is not a file",
        fix="write the mask as a plain file that all users may read",
    )


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise refused(
            "too_large",
            f"the file has {size} bytes; a mask of this case needs at most {limit}",
            cause="another volume, or a file that is not a mask",
            fix="write one mask of the CT's shape as compressed uint8",
        )


def _read(stream: IO[bytes], size: int) -> bytes:
    block = stream.read(size)
    if len(block) < size:
        raise EOFError
    return block


def _fill(stream: IO[bytes], block: memoryview) -> None:
    while len(block):
        n = stream.readinto(block)  # type: ignore[attr-defined]
        if not n:
            raise EOFError
        block = block[n:]


@contextmanager
def _explained(where: str = "before the voxels that its header declares") -> Iterator[None]:
    try:
        yield
    except EOFError as error:
        raise refused(
            "truncated",
            f"the file ends {where}",
            cause="an incomplete write: a full disk or a killed process",
            fix=_REWRITE,
        ) from error
    except _DAMAGE as error:
        raise refused(
            "corrupt",
            f"the compressed stream is damaged: {error}",
            cause="a damaged file: bytes were lost or changed in transfer",
            fix=_REWRITE,
        ) from error
