"""Two rows beside each other: their comparison in words, and one row against every other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from harness.scoring.comparison import verdict
from harness.scoring.simultaneous import ERROR_RATE
from leaderboard.board.board import DataSet, Row
from leaderboard.published.database import Pair


@dataclass(frozen=True)
class Against:
    """One row seen from another, which is the first of the pair."""

    row: Row
    pair: Pair

    @property
    def conclusion(self) -> str:
        """Return the result of the comparison in words."""
        words = {"first": "this row is better", "second": "the other is better"}
        return words.get(better(self.pair), conclusion(self.pair))


def better(pair: Pair) -> str:
    """Return ``"first"`` or ``"second"``; "" where they cannot be told apart."""
    if pair.p >= ERROR_RATE:
        return ""
    return "first" if pair.difference > 0 else "second"


def conclusion(pair: Pair) -> str:
    """Return the result of comparing two rows in words."""
    return verdict(pair.difference, pair.p, pair.n)


def in_order(data: DataSet, pairs: Sequence[Pair]) -> list[Pair]:
    """Put the better row of every pair first, and the pairs of the best rows before the others."""
    rows = sorted((row for row in data.rows if row.run), key=lambda row: -(row.scores["average"].value or 0.0))
    place = {row.run.id: number for number, row in enumerate(rows) if row.run}
    ordered = [pair if place[pair.first] < place[pair.second] else turned(pair) for pair in pairs]
    return sorted(ordered, key=lambda pair: (place[pair.first], place[pair.second]))


def against(data: DataSet, pairs: Sequence[Pair]) -> Mapping[str, list[Against]]:
    """Return every compared run of a data set and, in the board's order, each of those it was compared with."""
    found: dict[str, dict[str, Pair]] = {}
    for pair in pairs:
        found.setdefault(pair.first, {})[pair.second] = pair
        found.setdefault(pair.second, {})[pair.first] = turned(pair)
    rows = [(row, row.run.id) for row in data.rows if row.run]
    return {run: [Against(row, others[id_]) for row, id_ in rows if id_ in others] for run, others in found.items()}


def turned(pair: Pair) -> Pair:
    """Return the same comparison with its second row first."""
    low, high = (None if end is None else -end for end in (pair.high, pair.low))
    return replace(pair, first=pair.second, second=pair.first, difference=-pair.difference, low=low, high=high)
