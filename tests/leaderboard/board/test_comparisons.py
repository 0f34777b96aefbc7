"""Two rows side by side: which is better, and in which order they are shown."""

from __future__ import annotations

import pytest

from leaderboard.board.comparisons import better, conclusion, turned
from leaderboard.published.database import Pair


def _pair(difference: float, p: float, n: int = 9) -> Pair:
    return Pair("a", "b", difference, difference - 0.1, difference + 0.2, p=p, n=n)


@pytest.mark.parametrize(
    ("difference", "p", "n", "which", "words"),
    [
        (0.3, 0.01, 9, "first", "first is better"),
        (-0.3, 0.01, 9, "second", "second is better"),
        (0.3, 0.05, 9, "", "cannot be told apart"),
        (0.3, 0.125, 4, "", "too few cases to tell"),
    ],
)
def test_only_rows_that_are_told_apart_have_a_winner(
    difference: float, p: float, n: int, which: str, words: str
) -> None:
    """A difference that may be chance has no winner, and too few cases are not called a tie."""
    assert better(_pair(difference, p, n)) == which
    assert conclusion(_pair(difference, p, n)) == words


def test_seen_from_the_other_end_everything_changes_sign() -> None:
    """Rows, difference and interval are exchanged; twice is as before."""
    pair = _pair(0.3, 0.01)
    other = turned(pair)
    assert (other.first, other.second, other.difference) == ("b", "a", -0.3)
    assert (other.low, other.high) == (-pair.high, -pair.low)
    assert turned(other) == pair
