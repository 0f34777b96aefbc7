"""The images of this home: a list of its own, so that nothing is used or removed for a mark that others inherit.

Labels pass to whatever is built from an image, and a tag can be given to any. The list says which image (by its id,
the digest of its content) this home has made, or has used, under which tag.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from harness.foreign import parse_json

_NAME: Final = "own.jsonl"


class OwnImages:
    """Tag and id of images, in a text file that is only appended to; a line cut short by a killed process is ignored.

    Parameters
    ----------
    folder
        The home's ``images/``.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _NAME

    def made(self) -> set[tuple[str, str]]:
        """Return tag and id of what this home has built or imported: what it may remove."""
        return {(tag, image) for tag, image, made in self._lines() if made}

    def is_another(self, tag: str, image: str) -> bool:
        """Return whether this home knows a tag, and not for this image: somebody has given it away."""
        ids = {known for name, known, _ in self._lines() if name == tag}
        return bool(ids) and image not in ids

    def note(self, tag: str, image: str, *, made: bool) -> None:
        """Keep that an image was made, or only used, under a tag; what is known is not written again."""
        if not tag or (tag, image, made) in self._lines():
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as file:
            file.write((json.dumps([tag, image, made]) + "\n").encode())

    def _lines(self) -> set[tuple[str, str, bool]]:
        try:
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return set()
        found = set()
        for line in lines:
            try:
                tag, image, made = parse_json(line)
                found.add((str(tag), str(image), bool(made)))
            except (ValueError, TypeError):
                continue
        return found
