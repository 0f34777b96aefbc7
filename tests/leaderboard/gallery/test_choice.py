"""Which slices are shown: what is false far from the reference is among them, in a bounded number."""

from __future__ import annotations

import numpy as np

from harness.dataset import Case
from leaderboard.gallery.choice import SLICES, choose_slices
from leaderboard.gallery.parts import Layer, model_layer, reference_layer
from leaderboard.gallery.scans import Marked, Scan

DEPTH = 400


def scan() -> Scan:
    """Return a grid of many slices, without a CT."""
    return Scan(Case("case", "test", (), declared_shape=(8, 8, DEPTH), declared_spacing=(1.0, 1.0, 1.0)), None)


def layers(truth: list[tuple[int, int, int]], mine: list[tuple[int, int, int]] | None = None) -> list[Layer]:
    reference = Marked(np.array(truth, np.int16), np.ones(len(truth), np.int64))
    found = [reference_layer(reference, scan())]
    if mine is not None:
        found.append(model_layer("run", "Model", np.array(mine, np.int16), scan(), reference=reference))
    return found


def test_few_slices_are_all_shown() -> None:
    """From the head downwards."""
    assert choose_slices([layers([(0, 0, 3)])], 10) == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert choose_slices([], 2) == [1, 0]


def test_what_is_false_is_shown_wherever_it_lies() -> None:
    """One slice of each part that is false or missed, however far, beside the reference and a little beyond it."""
    truth = [(1, 1, z) for z in range(200, 206)]
    far = [(7, 7, z) for z in range(0, DEPTH, 10)]
    chosen = choose_slices([layers(truth, [*truth, *far])], DEPTH)
    assert set(range(198, 208)) <= set(chosen)
    assert {z for _, _, z in far} <= set(chosen)
    assert len(chosen) <= SLICES
    assert chosen == sorted(set(chosen), reverse=True)


def test_the_fullest_slice_of_every_finding_is_shown() -> None:
    """Whatever an even spread would miss, and never more slices than are allowed."""
    diffuse = [(0, 0, z) for z in range(DEPTH)]
    findings = [layers([*diffuse, (1, 0, z), (2, 0, z)]) for z in (37, 111, 259)]
    chosen = choose_slices(findings, DEPTH)
    assert {37, 111, 259} <= set(chosen)
    assert len(chosen) == SLICES
    assert max(np.diff(sorted(chosen))) < 20


def test_the_largest_parts_come_first_where_not_all_fit() -> None:
    """More false parts than slices: the largest are shown."""
    small = [(7, 7, z) for z in range(0, DEPTH, 2) if not 190 < z < 210]
    large = [(x, 3, z) for z in (21, 377) for x in range(5)]
    chosen = choose_slices([layers([(1, 1, 200)], [*small, *large])], DEPTH)
    assert {21, 377} <= set(chosen)
    assert len(chosen) == SLICES
