"""Social cards: a picture of the right size for every row that stands, the same again."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from harness.store.database import Store
from leaderboard.board.reported import read_reported
from leaderboard.pages.cards import BOARD, MARGIN, SIZE, cards, draw
from leaderboard.pages.site import Site
from leaderboard.published.export import export
from leaderboard.published.privacy import PrivacyPolicy


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def test_every_row_that_stands_has_one(bench: Any, store: Store) -> None:
    """One of the board, one a row, none of a replaced run; hostile names draw too."""
    bench.add(plugin="a")
    bench.add(plugin="a")
    bench.add(plugin="b", title="\u202e" + "y" * 10_000, scored=False)
    site = Site(export(store, PrivacyPolicy()), read_reported())
    made = dict(cards(site))
    assert sorted(made) == [BOARD, "cards/run-02.png", "cards/run-03.png"]
    assert all(pixels(content.read()).shape == SIZE[::-1] for content in made.values())
    assert all(content.size < 60_000 for content in made.values())
    assert made == dict(cards(site))


def test_the_score_lies_where_it_is_on_the_bar() -> None:
    """The dot stands at the value's share of the bar, and its interval beside it."""
    image = pixels(draw("b", "t", "", "", (0.5, 0.75, 0.8)).read())
    dark = np.flatnonzero(image[530] < 100)
    width = SIZE[0] - 2 * MARGIN
    assert abs(dark.mean() - (MARGIN + 0.75 * width)) < 2
    line = np.flatnonzero(image[540] < 100)
    assert abs(line.min() - (MARGIN + 0.5 * width)) < 2
