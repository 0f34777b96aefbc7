"""Two rows side by side: which is better, and in which order they are shown."""

from __future__ import annotations

import pytest

from leaderboard.board.comparisons import better, conclusion, turned
from leaderboard.published.database import Pair


def _pair(difference: float, p_holm: float | None) -> Pair:
    return Pair("a", "b", difference, difference - 0.1, difference + 0.2, p=0.01, p_holm=p_holm, n=9)


@pytest.mark.parametrize(
    ("difference", "p_holm", "which", "words"),
    [
        (0.3, 0.01, "first", "first is better"),
        (-0.3, 0.01, "second", "second is better"),
        (0.3, 0.2, "", "no significant difference"),
        (0.3, None, "", "not tested: beyond the best rows"),
    ],
)
def test_only_a_significant_difference_has_a_winner(
    difference: float, p_holm: float | None, which: str, words: str
) -> None:
    """What was not tested is not called a tie, and a difference that may be chance has no winner."""
    assert better(_pair(difference, p_holm)) == which
    assert conclusion(_pair(difference, p_holm)) == words


def test_seen_from_the_other_end_everything_changes_sign() -> None:
    """Rows, difference and interval are exchanged; twice is as before."""
    pair = _pair(0.3, 0.01)
    other = turned(pair)
    assert (other.first, other.second, other.difference) == ("b", "a", -0.3)
    assert (other.low, other.high) == (-pair.high, -pair.low)
    assert turned(other) == pair
