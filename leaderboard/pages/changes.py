"""What changed: every run as an event, newest first, on a page and in an Atom feed."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from leaderboard.board.board import DataSet, Row
from leaderboard.pages.page import label, make_environment, run_address
from leaderboard.pages.site import Pages, Render, Site
from leaderboard.published.database import PublishedRun

#: Events of the page and of the feed, newest first.
MOST, IN_FEED = 2000, 50

#: Characters that XML does not allow.
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Event:
    """One run that came onto the board.

    Attributes
    ----------
    data, row, run
        Where, and what came.
    before
        The newest earlier run of the same model, people and variant on the same data; None for a new row.
    """

    data: DataSet
    row: Row
    run: PublishedRun
    before: Row | None

    @property
    def day(self) -> str:
        """The day of the run, ``YYYY-MM-DD``."""
        return self.run.created[:10]

    @property
    def change(self) -> float | None:
        """Return how far the average Dice is from that before; None where either is not known."""
        now = self.row.scores["average"].value
        then = None if self.before is None else self.before.scores["average"].value
        return None if now is None or then is None else now - then

    @property
    def what(self) -> str:
        """Return what happened in words."""
        if self.row.known_answer:
            return "known answer"
        if self.before is None:
            return "new row"
        return "run again, not ranked" if self.row.reasons and not self.row.replaced else "run again"

    @property
    def updated(self) -> str:
        """The time in the form of a feed; the epoch where it is not known."""
        try:
            time = datetime.fromisoformat(self.run.created)
        except ValueError:
            time = datetime.fromtimestamp(0, UTC)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).isoformat(timespec="seconds")

    @property
    def id(self) -> str:
        """A name of the event that stays."""
        return uuid.uuid5(uuid.NAMESPACE_OID, f"{self.run.id}\n{self.run.created}").urn

    @property
    def title(self) -> str:
        """Return the event in a line."""
        value = self.row.scores["average"].value
        return f"{label(self.row)} on {self.data.title}: {self.what}{'' if value is None else f', Dice {value:.3f}'}"


def events(board: Sequence[DataSet]) -> list[Event]:
    """Return every run of a board, newest first."""
    found = []
    for data in board:
        last: dict[object, Row] = {}
        runs = sorted(((row.run, row) for row in data.rows if row.run), key=lambda one: (one[0].created, one[0].id))
        for run, row in runs:
            key = (run.made_by, run.variant)
            found.append(Event(data, row, run, last.get(key)))
            last[key] = row
    return sorted(found, key=lambda event: (event.run.created, event.run.id), reverse=True)


def changes(site: Site, render: Render) -> Pages:
    """Yield the page of what changed."""
    found = events(site.board)
    yield render(
        "changes.html",
        "changes.html.j2",
        "What changed",
        description="Every run of this board as it came, newest first.",
        events=found[:MOST],
        more=len(found) - MOST,
    )


def feed(site: Site) -> bytes:
    """Return the Atom feed of the newest events; links are absolute where the organiser names the address."""
    found = events(site.board)[:IN_FEED]
    text = (
        make_environment()
        .get_template("changes.xml.j2")
        .render(
            organiser=site.organiser,
            base=site.organiser.address,
            events=found,
            updated=found[0].updated if found else datetime.fromtimestamp(0, UTC).isoformat(timespec="seconds"),
            id=uuid.uuid5(uuid.NAMESPACE_URL, site.organiser.address or site.organiser.title).urn,
            run_address=run_address,
        )
    )
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text).encode()
