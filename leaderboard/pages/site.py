"""The input of the pages, and what every page is rendered by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from leaderboard.board.board import DataSet, read_board
from leaderboard.board.columns import PAPER
from leaderboard.board.comparisons import in_order
from leaderboard.board.organiser import Organiser
from leaderboard.board.reported import Reference, Reported
from leaderboard.pages.attribution import Attribution, attribution
from leaderboard.pages.downloads import File
from leaderboard.pages.vendor import Vendored
from leaderboard.published.database import Pair, Published
from leaderboard.published.kept import digest_of, in_use

#: (path, HTML) of some pages, and the function that makes one.
Pages = Iterator[tuple[str, str]]
Render = Callable[..., tuple[str, str]]


@dataclass(frozen=True)
class Site:
    """The input of the pages.

    Attributes
    ----------
    published
        The site's database.
    reported
        The paper's own rows.
    boards
        Copies of published boards.
    files
        The files of the downloads page.
    draw
        Whether figures are drawn.
    pictures
        (data set, case, finding) -> input of the viewer template; empty without pictures.
    strips
        (data set, case) -> address of the strip of all its findings, from the folder of the case pages.
    undrawn
        Why there is no picture: by data set, by data set and case, or by data set, case and finding.
    vendored
        Software of others that the site holds.
    organiser, logo
        What the organiser states of the board; path of the logo in the site, empty without one.
    """

    published: Published
    reported: Reported
    boards: Sequence[Reference] = ()
    files: Sequence[File] = ()
    draw: bool = False
    pictures: Mapping[tuple[str, str, str], Any] = field(default_factory=dict)
    strips: Mapping[tuple[str, str], str] = field(default_factory=dict)
    undrawn: Mapping[tuple[str, ...], str] = field(default_factory=dict)
    vendored: Sequence[Vendored] = ()
    organiser: Organiser = field(default_factory=Organiser)
    logo: str = ""

    @cached_property
    def board(self) -> list[DataSet]:
        """The data sets with the paper's metrics."""
        return self.under(PAPER)

    def under(self, profile: str) -> list[DataSet]:
        """Return the data sets with a profile's metrics, in the order of the board."""
        found = {data.about.id: data for data in read_board(self.published, profile)}
        return [found[name] for name in self.organiser.in_order(data.about for data in found.values())]

    @cached_property
    def file_names(self) -> frozenset[str]:
        """The names of the downloads."""
        return frozenset(file.name for file in self.files)

    @cached_property
    def newest(self) -> str:
        """When the newest run was begun."""
        return max((e.run.created for data in self.board for e in data.rows if e.run), default="")

    @cached_property
    def pairs(self) -> dict[str, list[Pair]]:
        """The compared pairs of every data set, the best rows' first, the better of a pair as its first."""
        return {data.about.id: in_order(data, self.published.pairs(data.about.id, PAPER)) for data in self.board}

    @cached_property
    def row_digests(self) -> dict[str, bytes]:
        """Run -> the digest of its row and of everything else that the database has of this run alone."""
        own = self.published.contributed
        rows = (row for data in self.board for row in data.rows)
        return {row.run.id: digest_of((repr(row), own.get(row.run.id))) for row in rows if row.run}

    def page(self, inputs: Iterable[object], make: Callable[[], tuple[str, str]]) -> str:
        """Return the HTML that `make` renders, or that of an earlier build with the same inputs.

        Parameters
        ----------
        inputs
            What the page shows, as for :meth:`leaderboard.published.kept.KeptResults.content`; what every page shows of
            the site is added.
        make
            Renders the page; only its HTML is used.
        """
        every = repr(self.organiser), self.logo, self.draw
        return (
            in_use()
            .content("page", (*every, *inputs), lambda: make()[1].encode("utf-8", "surrogatepass"))
            .decode("utf-8", "surrogatepass")
        )

    @property
    def attributions(self) -> list[Attribution]:
        """Whose the data of every data set are."""
        return [attribution(data.about) for data in self.board]
