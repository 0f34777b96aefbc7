"""Citations of a board and a row are what BibTeX and the Citation File Format take."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from harness.store.database import Store
from leaderboard.board.organiser import Organiser
from leaderboard.board.reported import read_reported
from leaderboard.pages.cite import Citation, of_board, of_row
from leaderboard.pages.site import Site
from leaderboard.published.export import export
from leaderboard.published.privacy import PrivacyPolicy

ODD = "100 % \\ {of} $x_1$ & ~#^ \n\x07"


@pytest.mark.parametrize("text", ["plain", ODD])
def test_whatever_a_row_is_called_the_entry_is_one(text: str) -> None:
    """Braces are balanced, nothing that LaTeX reads otherwise is left bare, and YAML reads the text back."""
    citation = Citation("key", text, text, "2026-11-01", "https://example.org/", text)
    bare = re.sub(r"\\(?:textbackslash|textasciitilde|textasciicircum)\{\}|\\[&%$#_{}]", "", citation.bibtex)
    assert bare.count("{") == bare.count("}") == 9
    assert not set("\\%$#_^~&") & set(bare)
    assert "year = {2026},\n  month = {11}" in citation.bibtex
    [title] = re.findall(r"^title: (.*)$", citation.cff, re.MULTILINE)
    assert json.loads(title) == "".join(letter if letter.isprintable() else " " for letter in text)
    assert "date-released: 2026-11-01" in citation.cff


def test_a_row_is_cited_with_its_run_score_data_and_address(bench: Any, store: Store) -> None:
    """The board by its organiser and newest run; a date that is none is left out."""
    bench.add(title="SAT", level=2.0)
    site = Site(
        export(store, PrivacyPolicy()),
        read_reported(),
        organiser=Organiser(title="B", who="Lab", address="https://example.org/b"),
    )
    row = of_row(site, site.board[0], site.board[0].rows[0])
    assert "SAT zero-shot on phantom-small, test: average Dice 1.000" in row.bibtex
    assert "url = {https://example.org/b/runs/run-01.html}" in row.bibtex
    assert "data abababababab" in row.bibtex
    board = of_board(site)
    assert "author = {{Lab}}" in board.bibtex
    assert "newest run of 2026-11-01" in board.cff
    assert "year" not in Citation("k", "t", "a", "soon", "", "n").bibtex
