"""What changed: runs in order, what each took the place of, and a feed that programs read."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

import pytest

from harness.store.database import Store
from leaderboard.board.organiser import Organiser
from leaderboard.board.reported import read_reported
from leaderboard.pages.changes import events, feed
from leaderboard.pages.site import Site
from leaderboard.published.export import export
from leaderboard.published.privacy import PrivacyPolicy

ATOM = "{http://www.w3.org/2005/Atom}"


def site_of(store: Store, organiser: Organiser | None = None) -> Site:
    return Site(export(store, PrivacyPolicy()), read_reported(), organiser=organiser or Organiser())


def test_newest_first_with_what_was_before(bench: Any, store: Store) -> None:
    """A run of the same model and variant says how far it moved, also where it fell; another model is new."""
    bench.add(title="A", plugin="a", level=0.4)
    bench.add(title="B", plugin="b", level=0.3)
    bench.add(title="A", plugin="a", level=0.2)
    found = events(site_of(store).board)
    assert [(event.run.id, event.what) for event in found] == [
        ("run-03", "run again"), ("run-02", "new row"), ("run-01", "new row"),
    ]  # fmt: skip
    assert found[0].before is not None
    assert found[0].before.run is not None
    assert found[0].before.run.id == "run-01"
    assert found[0].change == pytest.approx(-0.2, abs=0.05)
    assert found[1].change is None


def test_the_feed_is_well_formed_whatever_rows_are_called(bench: Any, store: Store) -> None:
    """Control letters and markup stay text, a time that is none is the epoch, and ids do not depend on the address."""
    bench.add(title="<b>\x00&", plugin="odd", created="yesterday")
    bench.add(plugin="b")
    plain = ET.fromstring(feed(site_of(store)))  # noqa: S314 - our own
    named = Organiser(title="T", address="https://example.org/b")
    hosted = ET.fromstring(feed(site_of(store, named)))  # noqa: S314 - our own
    entries = plain.findall(f"{ATOM}entry")
    assert [entry.findtext(f"{ATOM}updated") for entry in entries] == [
        "1970-01-01T00:00:00+00:00", "2026-11-02T10:00:00+00:00",
    ]  # fmt: skip
    assert "<b>\ufffd&" in (entries[0].findtext(f"{ATOM}title") or "")
    ids = [[entry.findtext(f"{ATOM}id") for entry in one.findall(f"{ATOM}entry")] for one in (plain, hosted)]
    assert ids[0] == ids[1]
    link = hosted.find(f"{ATOM}entry/{ATOM}link")
    assert link is not None
    assert link.attrib["href"].startswith("https://example.org/b/runs/")
    assert feed(site_of(store)) == feed(site_of(store))
