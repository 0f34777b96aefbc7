"""The files of a text folder: which there may be, how large, and how they are read from a stranger and written.

A folder from elsewhere is data to distrust. Nothing in it is followed, opened twice or read without a bound: a link, a
pipe, a file that is too large or that no text folder has is refused by name, and what is read is UTF-8 without a
character that a terminal or a page would obey.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import tempfile
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from harness.errors import DataError, PrerequisiteError, UsageError
from harness.host.sizes import size

RECORD, FINDINGS, INSTANCES, CASES = "record.json", "findings.csv", "instances.csv", "cases.csv"
MASKS, CARD, TRAINING = "masks.json", "card.toml", "training.json"
MANIFEST, SIGNATURE = "SHA256SUMS", "SHA256SUMS.sig"
VERIFICATION, VERIFIED_BY = "verification.json", "verification.json.sig"

_KIB, _MIB = 2**10, 2**20

#: Every file that a text folder may hold, with the most bytes of each.
LIMITS: Final[Mapping[str, int]] = {
    RECORD: _MIB,
    FINDINGS: 2 * _MIB,
    INSTANCES: 3 * _MIB,
    CASES: _MIB,
    MASKS: 2 * _MIB,
    CARD: 64 * _KIB,
    TRAINING: 2 * _MIB,
    MANIFEST: 4 * _KIB,
    SIGNATURE: 8 * _KIB,
    VERIFICATION: 64 * _KIB,
    VERIFIED_BY: 8 * _KIB,
}

#: Files that every folder holds; those that the manifest does not list.
REQUIRED: Final = (RECORD, MASKS, CARD, MANIFEST)
BESIDE: Final = (MANIFEST, SIGNATURE, VERIFICATION, VERIFIED_BY)

#: Most bytes of a folder.
LARGEST: Final = 5 * _MIB

#: Below this folder of a repository lie text folders; so many parts below it, so many of them are read.
SUBMISSIONS: Final = "submissions"
_DEPTH, _MOST = 8, 20_000

#: Characters that change the direction of what follows, so that a text reads otherwise than it is.
_TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")


def read_files(folder: Path) -> dict[str, bytes]:
    """Return the files of a text folder by name.

    Raises
    ------
    DataError
        It is not a folder, lacks a file, or holds a link, a special file, a foreign or an oversized one, or bytes that
        are not plain text.
    """
    try:
        if not stat.S_ISDIR(folder.lstat().st_mode):
            raise DataError(f"{folder} is not a folder", fix="give the folder itself, not a link to it", path=folder)
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry, _ in zip(entries, range(len(LIMITS) + 1), strict=False))
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror}", fix="check its path", path=folder) from error
    for name in names:
        if name not in LIMITS:
            raise DataError(
                f"{folder} holds {shown(name)}, which is not part of a text folder",
                fix=f"remove it; a text folder holds nothing but {', '.join(LIMITS)}",
                path=folder,
            )
    for name in REQUIRED:
        if name not in names:
            raise DataError(f"{folder} lacks {name}", fix="make it with `bench submit`", path=folder)
    files = {name: _read(folder / name, LIMITS[name]) for name in names}
    if (total := sum(map(len, files.values()))) > LARGEST:
        raise DataError(
            f"{folder} has {total:,} bytes, more than {LARGEST:,}", fix="submit a smaller part", path=folder
        )
    return files


def _read(path: Path, limit: int) -> bytes:
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(number, "rb") as file:
            status = os.fstat(number)
            if not stat.S_ISREG(status.st_mode):
                raise DataError(f"{path} is not a regular file", fix="put the file itself there", path=path)
            content = file.read(limit + 1)
    except OSError as error:
        why = "is a link" if error.errno == errno.ELOOP else f"cannot be read: {error.strerror}"
        raise DataError(f"{path} {why}", fix="put the file itself there", path=path) from error
    if len(content) > limit:
        raise DataError(f"{path} has more than {size(limit)}", fix="it was not made by `bench submit`", path=path)
    if why := _not_plain(content):
        raise DataError(f"{path} {why}", fix="it was not made by `bench submit`; make it again", path=path)
    return content


def _not_plain(content: bytes) -> str:
    """Return why some bytes are not plain text; empty where they are."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"is not UTF-8 text (byte {error.start})"
    for number, line in enumerate(text.split("\n"), 1):
        if not plain(line):
            return f"has a control character, or one that turns the direction of text, in line {number}"
    return ""


def plain(text: str) -> bool:
    """Return whether a text has no control character but line breaks and tabs, and none that turns its direction."""
    return (
        not _TURNING.search(text)
        and all(unicodedata.category(one) not in {"Cc", "Cs", "Co", "Zl", "Zp"} or one in "\n\t" for one in text)
        and not text.startswith("\ufeff")
    )


def shown(text: object, most: int = 120) -> str:
    """Return a stranger's text as one line that a terminal and a page show and do not obey."""
    told = " ".join(str(text)[: 4 * most].split())
    told = "".join(one if one.isprintable() and not _TURNING.match(one) else "\ufffd" for one in told)
    return told if len(told) <= most else f"{told[:most]}…"


def manifest_of(files: Mapping[str, bytes]) -> bytes:
    """Return the manifest of some files: a line for each, its SHA-256 and its name, as ``sha256sum`` writes them."""
    lines = (f"{sha256(files[name])}  {name}\n" for name in sorted(files) if name not in BESIDE)
    return "".join(lines).encode()


def sha256(content: bytes) -> str:
    """Return the SHA-256 of some bytes (hex)."""
    return hashlib.sha256(content).hexdigest()


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a new folder, whole or not at all.

    Raises
    ------
    UsageError
        There is something at its place.
    PrerequisiteError
        The file system refuses.
    """
    if os.path.lexists(folder):
        raise UsageError(f"{folder} is already there", fix="nothing is overwritten: look at it, or remove it first")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".partial-") as beside:
            new = Path(beside, folder.name)
            new.mkdir(mode=0o755)
            for name, content in files.items():
                (new / name).write_bytes(content)
            new.rename(folder)
    except OSError as error:
        if error.errno in {errno.EEXIST, errno.ENOTEMPTY}:
            raise UsageError(f"{folder} is already there", fix="nothing is overwritten") from error
        raise PrerequisiteError(f"cannot write {folder}: {error.strerror}", fix="choose another place") from error


def find_folders(place: Path) -> Iterator[Path]:
    """Yield the text folders at and below a place, sorted; links are not followed.

    Raises
    ------
    DataError
        It holds none, or more than this version reads.
    """
    found = 0
    for folder, names, files in os.walk(place, followlinks=False):
        names[:] = sorted(name for name in names if not name.startswith("."))
        if len(Path(folder).relative_to(place).parts) > _DEPTH:
            names.clear()
        if RECORD in files or CARD in files:
            names.clear()
            found += 1
            if found > _MOST:
                raise DataError(f"{place} holds more than {_MOST:,} text folders", fix="name a part of it", path=place)
            yield Path(folder)
    if not found:
        raise DataError(f"{place} does not hold a text folder", fix="make one: `bench submit RUN --to DIR`", path=place)
