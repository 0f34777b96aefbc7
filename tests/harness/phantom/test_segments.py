"""The bronchopulmonary segments of the phantom."""

from __future__ import annotations

from harness.phantom.segments import SEGMENTS, segment


def test_there_are_ten_on_the_right_and_eight_on_the_left() -> None:
    """On the left two pairs of segments have one bronchus each."""
    sides = [each.side for each in SEGMENTS]
    assert (sides.count("right"), sides.count("left")) == (10, 8)


def test_a_side_is_the_patients_side() -> None:
    """The right lung lies at negative x, the left one at positive x, in the phantom's own axes."""
    assert all((each.centre[0] < 0) == (each.side == "right") for each in SEGMENTS)


def test_a_number_is_a_segment() -> None:
    """Labels 1 to 18, each found by its number."""
    assert [segment(number).number for number in range(1, 19)] == list(range(1, 19))
