"""The input of the pages, and what every page is rendered by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from leaderboard.board.board import DataSet, read_board
from leaderboard.board.columns import PAPER
from leaderboard.board.comparisons import in_order
from leaderboard.board.organiser import Organiser
from leaderboard.board.reported import Reference, Reported
from leaderboard.pages.attribution import Attribution, attribution
from leaderboard.pages.downloads import File
from leaderboard.pages.page import make_environment
from leaderboard.pages.vendor import Vendored
from leaderboard.published.database import Pair, Published
from leaderboard.published.kept import Kept, digest_of, in_use

#: (path, HTML) of some pages, which may be kept, encoded; and the function that makes one.
Pages = Iterator[tuple[str, str | Kept]]
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

    def under(self, profile: str, *, replaced: bool = True) -> list[DataSet]:
        """Return the data sets with a profile's metrics, in the order of the board; with or without replaced rows."""
        found = {data.about.id: data for data in read_board(self.published, profile, replaced=replaced)}
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
    def environment(self) -> Environment:
        """What templates are rendered with."""
        return make_environment()

    @cached_property
    def own_digests(self) -> dict[str, bytes]:
        """Run -> the digest of everything that is of this run alone."""
        own = {run: one.digest for run, one in self.published.contributed.items()}
        runs = (row.run for data in self.board for row in data.rows if row.run)
        return {run.id: digest_of((repr(run), own.get(run.id))) for run in runs}

    @cached_property
    def row_digests(self) -> dict[str, bytes]:
        """Run -> the digest of its row: of what is of the run alone, of its rank, and of the seeds of those like it."""
        rows = ((row, row.run.id) for data in self.board for row in data.rows if row.run)
        return {run: digest_of((self.own_digests[run], repr(row.rank), repr(row.seeds))) for row, run in rows}

    def page(self, inputs: Iterable[object], make: Callable[[], tuple[str, str]]) -> Kept:
        """Return the HTML, encoded, that `make` renders, or that of an earlier build with the same inputs.

        Parameters
        ----------
        inputs
            What the page shows, as for :meth:`leaderboard.published.kept.KeptResults.content`; what every page shows of
            the site is added.
        make
            Renders the page; only its HTML is used.
        """
        every = repr(self.organiser), self.logo, self.draw
        return in_use().result("page", (*every, *inputs), lambda: make()[1].encode("utf-8", "replace"))

    def fragment(self, template: str, inputs: Iterable[object], values: Callable[[], Mapping[str, Any]]) -> Markup:
        """Return a part of a page, rendered from a template of its own, or that of an earlier build.

        Parameters
        ----------
        template
            Its name.
        inputs
            What the part shows, as for :meth:`page`.
        values
            Returns what the template is rendered with.
        """

        def make() -> bytes:
            return self.environment.get_template(template).render(values()).encode("utf-8", "replace")

        every = template, repr(self.organiser), self.draw
        return Markup(in_use().content("fragment", (*every, *inputs), make).decode())  # noqa: S704 - rendered, escaped

    @property
    def attributions(self) -> list[Attribution]:
        """Whose the data of every data set are."""
        return [attribution(data.about) for data in self.board]
