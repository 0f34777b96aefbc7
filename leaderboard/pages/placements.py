"""Where the masks of a run lie: shares that stand apart from every ranking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.scoring.placement import PLACEMENTS
from leaderboard.board.board import Score, score_from
from leaderboard.published.database import Published

#: What each placement means, for a reader of the page (``docs/scoring.md`` has the rules).
MEANINGS: Mapping[str, str] = {
    "found": "Dice above 0.05, and above that with every other finding of the case",
    "other_finding": "Dice above 0.05 with another finding of the case, and above its own",
    "same_mask": "nearly the mask of another text (Dice of at least 0.9); the finding that it fits best is found",
    "elsewhere": "the mask lies beside the finding (at most 5 % of either is in the other), and on none else",
    "not_found": "an empty mask, or one that meets the finding and is much too large or too small",
    "no_mask": "nothing was delivered that could be scored",
    "nothing_to_find": "the reference is empty",
    "not_known": "scored by an earlier version, or too large to compare",
}


@dataclass(frozen=True)
class PlacedCount:
    """Findings of one placement, None where the number may not be shown, and their share with its interval."""

    n: int | None
    share: Score


def placements_of(published: Published, run: str) -> dict[str, PlacedCount]:
    """Return placement -> its findings, of one run; empty where none of the numbers may be shown."""
    return {
        name: PlacedCount(cell["count"], Score() if cell["value"] is None else score_from(cell))
        for name, cell in published.placements(run).items()
    }


def title_of(name: str) -> str:
    """Return how a placement is called at the head of a column."""
    return PLACEMENTS[name][:1].upper() + PLACEMENTS[name][1:]
