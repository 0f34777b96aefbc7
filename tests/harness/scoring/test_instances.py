"""Matching predicted components with entities of the truth."""

from __future__ import annotations

from harness.scoring.instances import match


def test_the_best_pairs_are_taken_one_to_one() -> None:
    """Greedy, best first: an entity and a component that are taken are not taken again."""
    pairs = [(-0.9, 0, 1), (-0.8, 0, 0), (-0.7, 1, 1), (-0.2, 1, 0)]
    assert match(pairs) == [(-0.9, 0, 1), (-0.2, 1, 0)]


def test_ties_do_not_depend_on_the_order_of_the_pairs() -> None:
    """Of equal pairs the lower entity and then the lower component comes first."""
    pairs = [(-0.5, 1, 0), (-0.5, 0, 1), (-0.5, 0, 0), (-0.5, 1, 1)]
    assert match(pairs) == match(pairs[::-1]) == [(-0.5, 0, 0), (-0.5, 1, 1)]
