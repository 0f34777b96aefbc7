"""The pictures of one case as they are drawn, and as bytes that an earlier build kept."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.foreign import parse_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from leaderboard.gallery.pictures import Picture
    from leaderboard.gallery.scans import Marked, Points

#: (data set, case, finding).
Key = tuple[str, str, str]

#: Digits of the length of what describes the files, which comes first.
_DIGITS: Final = 12


@dataclass
class DrawnCase:
    """The pictures of one case: its findings, the path of its strip (empty without one), and files by their path.

    Paths are those from the folder of the case pages; `undrawn` says why a finding has no picture.
    """

    pictures: dict[Key, Picture] = field(default_factory=dict)
    strip: str = ""
    undrawn: dict[tuple[str, ...], str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)


def packed(drawn: DrawnCase) -> bytes:
    """Return a case as bytes: what is said of it, then its files one after the other."""
    document = {
        "pictures": [[key, asdict(picture)] for key, picture in drawn.pictures.items()],
        "strip": drawn.strip,
        "undrawn": list(drawn.undrawn.items()),
        "files": [[path, len(content)] for path, content in drawn.files.items()],
    }
    head = json.dumps(document).encode()
    return b"".join([f"{len(head):{_DIGITS}}".encode(), head, *drawn.files.values()])


def unpacked(content: bytes) -> DrawnCase:
    """Return the case of :func:`packed`; tuples in its pictures have become lists."""
    from leaderboard.gallery.pictures import Picture

    place = _DIGITS + int(content[:_DIGITS])
    document = parse_json(content[_DIGITS:place])
    files = {}
    for path, length in document["files"]:
        files[path] = content[place : place + length]
        place += length
    return DrawnCase(
        {tuple(key): Picture(**picture) for key, picture in document["pictures"]},
        document["strip"],
        {tuple(key): why for key, why in document["undrawn"]},
        files,
    )


def digest_of_mask(mask: Marked | Points | None) -> bytes | None:
    """Return the digest of the voxels of a mask, and of the entity of each where it is known; None without a mask."""
    import numpy as np

    if mask is None:
        return None
    parts: list[NDArray[Any]] = [mask] if isinstance(mask, np.ndarray) else [mask.points, mask.labels]
    return hashlib.sha256(
        b"".join(f"{part.dtype.str}{part.shape}\n".encode() + part.tobytes() for part in parts)
    ).digest()


def digest_of_file(path: Path) -> bytes:
    """Return the digest of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()
