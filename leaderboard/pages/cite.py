"""How to cite a board and a row: BibTeX and the Citation File Format."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

from leaderboard.board.board import DataSet, Row
from leaderboard.pages.page import brief, file_name, label, run_address
from leaderboard.pages.site import Site

#: What LaTeX would not take for itself.
_LATEX: Final = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    **{mark: f"\\{mark}" for mark in "&%$#_"},
}  # fmt: skip


@dataclass(frozen=True)
class Citation:
    """What is cited.

    Attributes
    ----------
    key
        Its name in a list of references.
    title, author, date
        The date is that of the newest run, ``YYYY-MM-DD``, or empty.
    address
        Where it is hosted; empty where nobody has said.
    note
        What identifies it without an address.
    """

    key: str
    title: str
    author: str
    date: str
    address: str
    note: str

    @property
    def bibtex(self) -> str:
        """Return it as an entry of BibTeX."""
        fields = {"title": f"{{{_latex(self.title)}}}", "author": f"{{{_latex(self.author)}}}"}
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", self.date):
            fields |= {"year": self.date[:4], "month": str(int(self.date[5:7]))}
        if self.address:
            fields["url"] = self.address
        fields["note"] = _latex(self.note)
        return "".join([f"@misc{{{self.key},\n", *(f"  {k} = {{{v}}},\n" for k, v in fields.items()), "}\n"])

    @property
    def cff(self) -> str:
        """Return it as a ``CITATION.cff``, version 1.2.0."""
        lines = [
            "cff-version: 1.2.0",
            "message: If you use these results, please cite them.",
            "type: dataset",
            f"title: {_yaml(self.title)}",
            f"authors:\n  - name: {_yaml(self.author)}",
            f"abstract: {_yaml(self.note)}",
        ]
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", self.date):
            lines.append(f"date-released: {self.date}")
        if self.address:
            lines.append(f"url: {_yaml(self.address)}")
        return "\n".join(lines) + "\n"


def of_board(site: Site) -> Citation:
    """Return how a board as it is today is cited."""
    organiser, day = site.organiser, site.newest[:10]
    note = f"Leaderboard made by groundbench{f'; newest run of {day}' if day else ''}"
    return Citation(_key("board", day), organiser.title, organiser.who or organiser.title, day, organiser.address, note)


def of_row(site: Site, data: DataSet, row: Row) -> Citation:
    """Return how one run of a board is cited."""
    assert row.run is not None  # noqa: S101 - only runs have a page
    organiser, run = site.organiser, row.run
    value = row.scores["average"].value
    score = "" if value is None else f": average Dice {value:.3f}"
    return Citation(
        key=_key(file_name(run.id), run.created[:10]),
        title=f"{label(row)} on {brief(data.title, 80)}{score}",
        author=brief(run.who, 80) or organiser.who or organiser.title,
        date=run.created[:10],
        address=organiser.address and organiser.address + run_address(run.id),
        note=f"Run {brief(run.id, 80)} on {organiser.title}; data {data.about.fingerprint[:12]}",
    )


def _key(name: str, day: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]", "-", f"{name}-{day[:4]}" if day[:4].isdigit() else name)


def _latex(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in " ".join(text.split()) if letter.isprintable())


def _yaml(text: str) -> str:
    return json.dumps("".join(letter if letter.isprintable() else " " for letter in text), ensure_ascii=False)
