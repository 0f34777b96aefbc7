"""Write a repository of results: README, owners, pull-request template, three workflows, the organisers' keys."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from harness.errors import PrerequisiteError, UsageError
from leaderboard.pages.vendor import asset
from leaderboard.site.publish import require_pinned

#: File of the repository -> the asset that it is made of.
FILES: Final = {
    "README.md": "README.md",
    "signers": "signers",
    "board.toml": "board.toml",
    ".github/CODEOWNERS": "CODEOWNERS",
    ".github/pull_request_template.md": "pull_request_template.md",
    ".github/comment.py": "comment.py.txt",
    ".github/workflows/check.yml": "check.yml",
    ".github/workflows/comment.yml": "comment.yml",
    ".github/workflows/publish.yml": "publish.yml",
}

_OWNER = re.compile(r"@[A-Za-z0-9][A-Za-z0-9-]*(/[A-Za-z0-9_.-]+)?")
_SPLIT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_OPTION = " --public-split SPLIT"


def write_repository(
    folder: Path, *, title: str, address: str, owners: Sequence[str], public_splits: Sequence[str]
) -> list[Path]:
    """Write the files of a repository of results into a folder; returns them.

    Parameters
    ----------
    folder
        New, or without any of these files; a `.git` may be there.
    title
        The board's name, one line.
    address
        Where the workflows install groundbench from: a commit of a git repository.
    owners
        Who merges: ``@name`` or ``@organisation/team``.
    public_splits
        Splits whose single findings the board may show.

    Raises
    ------
    UsageError
        A value is not of its form, or a file is there already; nothing is written then.
    PrerequisiteError
        The folder cannot be written.
    """
    require_pinned(address)
    if not title.isprintable() or not title.strip() or len(title) > 100:
        raise UsageError("the title is not one line of at most 100 characters", fix="give another --title")
    for kind, pattern, values in (("--owner", _OWNER, owners), ("--public-split", _SPLIT, public_splits)):
        for value in values:
            if not pattern.fullmatch(value):
                raise UsageError(f"{kind} {value!r} is not valid", fix="give @name, @organisation/team; a split's name")
    there = [name for name in FILES if os.path.lexists(folder / name)]
    if there:
        raise UsageError(f"{folder / there[0]} is already there", fix="nothing is overwritten: name another folder")
    splits = "".join(f" --public-split {split}" for split in public_splits)
    written = []
    try:
        for name, source in FILES.items():
            text = asset(f"assets/repository/{source}").decode()
            text = text.replace("ADDRESS", address).replace("OWNERS", " ".join(owners)).replace(_OPTION, splits)
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            text = text.replace("# TITLE", f"# {title}", 1).replace('"TITLE"', json.dumps(title, ensure_ascii=False))
            path.write_text(text, encoding="utf-8")
            written.append(path)
        (folder / "submissions").mkdir(exist_ok=True)
        (folder / "submissions" / ".gitkeep").touch()
    except OSError as error:
        raise PrerequisiteError(f"cannot write {folder}: {error.strerror}", fix="choose another folder") from error
    return written
