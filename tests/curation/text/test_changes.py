"""What a text says of an earlier examination."""

from __future__ import annotations

import pytest

from curation.text import changes


@pytest.mark.parametrize(
    ("text", "then", "now"),
    [
        ("It measures 18 mm now and was 34 mm before", {"34"}, {"18"}),
        ("A nodule, 5 mm today and 3 mm in the previous study", {"3"}, {"5"}),
        ("The nodule has grown from 3 mm to 5 mm", {"3"}, {"5"}),
        ("A 1.9 cm nodule, previously 1.6 cm", {"16"}, {"19"}),
        ("The diameter was 42 mm", set(), set()),
        ("Nodules of 4 mm and 6 mm", set(), set()),
    ],
)
def test_sizes_of_then_and_of_now(text: str, then: set[str], now: set[str]) -> None:
    """Sizes are told apart only where a word of time stands beside one; "was" alone is the tense of a report."""
    assert tuple(map(set, changes.times(text))) == (then, now)


def test_sizes_say_which_way_a_change_goes() -> None:
    """A change that two sizes show may be named; the other way, or with the sizes exchanged, it is another finding."""
    source = "A nodule, 5 mm today and 3 mm in the previous study."
    assert changes.invented(source, "The nodule has grown from 3 mm to 5 mm.") == []
    assert changes.invented(source, "The nodule has decreased in size.")
    assert changes.invented("It measures 18 mm now and was 34 mm before.", "Decreased, now 34 mm, previously 18 mm.")


def test_what_is_new_or_unchanged_may_not_be_left_out() -> None:
    """A rewriting that says nothing of a comparison loses it."""
    assert changes.compares_less("Stable nodule in the lingula", "Nodule in the lingula")
    assert not changes.compares_less("Stable nodule in the lingula", "Unchanged nodule in the lingula")
    assert changes.compares_time("New nodule")
    assert not changes.compares_time("Nodule")
