"""The page for what does not exist: whole by itself, whatever address it is served for."""

from __future__ import annotations

import re
from typing import Any

from harness.store.database import Store
from leaderboard.board.organiser import Organiser
from leaderboard.board.reported import read_reported
from leaderboard.pages.lost import SCRIPT, STYLE, digest
from leaderboard.pages.pages import render_pages
from leaderboard.pages.site import Site
from leaderboard.published.export import export
from leaderboard.published.privacy import PrivacyPolicy


def test_it_loads_nothing_and_allows_only_what_it_holds(store: Store, pages: Any) -> None:
    """Style and script stand in it and are allowed by their digests; no attribute asks for a file."""
    page = pages(store)["404.html"]
    [policy] = [node.attributes["content"] for node in page.all("meta") if "http-equiv" in node.attributes]
    assert f"style-src '{digest(STYLE)}'; script-src '{digest(SCRIPT)}'" in policy
    assert page.all("style")[0].children == [STYLE]
    assert page.all("script")[0].children == [SCRIPT]
    assert not [node for node in page.all() if "src" in node.attributes or node.tag == "link"]


def test_it_leads_to_the_address_that_the_organiser_names(store: Store) -> None:
    """Where it is known the link is whole."""
    organiser = Organiser(title="Board & more", address="https://example.org/board")
    site = Site(export(store, PrivacyPolicy()), read_reported(), organiser=organiser)
    [html] = [page for path, page in render_pages(site) if path == "404.html"]
    assert re.search(r'<a id="front" href="https://example.org/board/">', html)
    assert "Board &amp; more" in html
