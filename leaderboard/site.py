"""The site: what the database says, drawn, as a folder of files."""

from __future__ import annotations

from pathlib import Path

from harness.store import Store
from leaderboard.board import read_board
from leaderboard.folder import replace_folder
from leaderboard.page import render_index
from leaderboard.reported import read_reported


def build_site(store: Store, out: Path) -> Path:
    """Write the leaderboard of `store` to the folder `out` and return the path of its ``index.html``.

    The same database gives the same bytes. The page needs no server, no network and no JavaScript.

    Raises
    ------
    UsageError
        When `out` holds anything but a site made here.
    PrerequisiteError
        When `out` cannot be written.
    """
    page = render_index(read_board(store), read_reported())
    replace_folder(out, {"index.html": page.encode()})
    return out / "index.html"
