"""Files that are not what their name says: what comes in place of weights when something on the way went wrong."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from harness.errors import DataError

#: Bytes that are enough to recognise them.
_HEAD = 1024

#: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:.*\n)*?oid sha256:([0-9a-f]{64})\n(?:.*\n)*?size (\d+)\n"
)
_PAGE = re.compile(rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html)\b", re.IGNORECASE | re.DOTALL)


def refuse_impostor(path: Path, name: str) -> None:
    """Raise DataError where a file is a Git LFS pointer, a web page, or empty.

    Parameters
    ----------
    path
        The file.
    name
        Name of the weights that it is said to be.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not head:
        raise DataError(f"{path} is empty; it is not {name}", fix="download it again", path=path)
    if pointer := _POINTER.match(head):
        raise DataError(
            f"{path} is not {name} but a Git LFS pointer to it: a text that names the SHA-256 {pointer[1].decode()} "
            f"and {int(pointer[2]):,} bytes",
            fix="`git lfs pull` in that clone, or download the file itself",
            path=path,
        )
    if _PAGE.match(head.removeprefix(b"\xef\xbb\xbf")):
        raise DataError(
            f"{path} is not {name} but a web page, such as a log-in or an error page",
            fix="open the address in a browser, log in where it asks for it, and download the file itself",
            path=path,
        )


def git_blob(path: Path) -> str:
    """Return the id (40 hex) that git gives to the content of a file."""
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
