"""Numbers, names and axes as a page writes them."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from harness.store.database import Store
from leaderboard.board.board import Score, read_board
from leaderboard.board.comparisons import conclusion, turned
from leaderboard.board.reported import read_reported
from leaderboard.pages.page import (
    common_basis,
    file_name,
    probability,
    readable_bytes,
    readable_seconds,
    readable_size,
    scale_of,
    short_digest,
    signed,
    three_decimals,
    whisker,
)
from leaderboard.published.database import Pair
from leaderboard.published.export import export
from leaderboard.published.privacy import PrivacyPolicy


def test_texts_of_numbers() -> None:
    """Three decimals for scores; seconds, bytes and digests as a person reads them."""
    assert [three_decimals(v) for v in (0.0, 0.12345, 1.0, None)] == ["0.000", "0.123", "1.000", "—"]
    seconds = [readable_seconds(v) for v in (0.001, 0.25, 3.25, 99.9, 1234.5, None)]
    assert seconds == ["< 0.01", "0.25", "3.2", "99.9", "1234", "—"]
    assert [readable_bytes(v) for v in (0, 25_000_000, 1_500_000_000, None)] == ["0 kB", "25 MB", "1.5 GB", "—"]
    assert [signed(0.5), signed(-0.25)] == ["+0.500", "\N{MINUS SIGN}0.250"]
    assert [probability(0.0001), probability(0.0123)] == ["< 0.001", "0.012"]
    assert [readable_size(2500), readable_size(2_500_000)] == ["2.5 kB", "2 MB"]
    digests = [short_digest(v) for v in ("sha256:0123456789abcdef", "local:00112233445566", "abc", "")]
    assert digests == ["0123456789ab", "001122334455", "abc", "—"]


@pytest.mark.parametrize(
    ("ns", "common"), [([3, 3, None], "3"), ([3, 4], None), ([None], None), ([0, 0], "0"), ([], None)]
)
def test_n_of_a_column(ns: list[int | None], common: str | None) -> None:
    """A column's head shows n only when every row that has one has the same."""
    assert common_basis([Score(n=n) for n in ns]) == common
    assert [Score(n=9, cases=cases).basis for cases in (3, 1, 9, None)] == [
        "9 in 3 cases",
        "9 in 1 case",
        "9 cases",
        "9",
    ]


def test_whisker_lies_on_its_axis() -> None:
    """0 and the end of the scale lie at the margins; without an interval nothing is drawn."""
    drawn = whisker(Score(0.25, 0.0, 0.5), 0.5)
    assert drawn is not None
    assert (drawn.low, drawn.value, drawn.high) == (4.0, 48.0, 92.0)
    assert whisker(Score(0.25), 0.5) is None
    assert whisker(Score(), 0.5) is None


def test_scale_holds_every_interval(bench, store: Store) -> None:
    """A table's drawings end at the next tenth above its highest interval."""
    bench.add(level=0.2, plugin="a")
    bench.add(level=0.33, plugin="b")
    assert scale_of(read_board(export(store, PrivacyPolicy()))[0].ranked) == 0.4
    assert scale_of([]) == 0.1
    assert scale_of(read_reported().rows) == 0.3


def test_file_names_are_safe_and_distinct() -> None:
    """Plain lower-case names stay; anything that a file system could take otherwise becomes a digest."""
    assert file_name("run-01.b_c") == "run-01.b_c"
    strange = ["index", "A", "a/b", "..", "a.", "", "con?", "x" * 300, "\u202e"]
    assert len({file_name(name) for name in strange}) == len(strange)
    assert all(re.fullmatch("x-[0-9a-f]{16}", file_name(name)) for name in strange)


def test_pair_seen_from_its_other_end() -> None:
    """Turned round, a pair has the opposite difference and interval, and the verdict names the other row."""
    pair = Pair("a", "b", 0.1, 0.02, 0.3, 0.003, 9)
    assert turned(pair) == Pair("b", "a", -0.1, -0.3, -0.02, 0.003, 9)
    assert turned(turned(pair)) == pair
    assert (conclusion(pair), conclusion(turned(pair))) == ("first is better", "second is better")
    assert conclusion(replace(pair, p=0.05)) == "cannot be told apart"
