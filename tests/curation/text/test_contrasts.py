"""Words that are not exchanged for each other, and signs that are denied."""

from __future__ import annotations

import pytest

from curation.text import contrasts


def test_every_choice_is_one() -> None:
    """Each has at least two alternatives, and no alternative matches the name of another one."""
    for name, alternatives in contrasts.choices().items():
        assert len(alternatives) >= 2, name


@pytest.mark.parametrize(
    ("source", "target", "exchanged"),
    [
        ("The ascending aorta is dilated.", "The descending aorta is dilated.", True),
        ("The ascending and descending aorta are dilated.", "Dilated descending aorta.", False),
        ("Nodes not exceeding 1 cm.", "Nodes exceeding 1 cm.", True),
        ("Nodes not exceeding 1 cm.", "Nodes less than 1 cm.", False),
        ("Effusions, more prominent on the right.", "Effusions, right greater than left.", False),
        ("Effusions, more prominent on the right.", "Effusions, left greater than right.", True),
        ("A solid nodule.", "A nodule.", False),
        ("A solid nodule.", "A ground-glass nodule.", True),
        ("The mass has decreased.", "The mass has progressed.", True),
        ("A nodule in the lingula.", "A cyst in the lingula.", True),
        ("A nodular lesion compatible with a cyst.", "A cyst.", False),
    ],
)
def test_one_word_in_place_of_another(source: str, target: str, exchanged: bool) -> None:
    """What is left out is no exchange, nor what both say in other words."""
    assert bool(contrasts.exchanged(source, target)) is exchanged


def test_signs_turned() -> None:
    """A sign that is there in one text and denied in the other is named; what a denial goes on to is not denied."""
    here, gone = "Consolidation with air bronchograms.", "Consolidation without air bronchograms in the lingula."
    assert contrasts.turned_signs(here, gone) == ["it says that air bronchogram is not there"]
    assert contrasts.turned_signs(gone, here) == ["it says that air bronchogram is there"]
    assert contrasts.turned_signs(gone, gone) == []
    assert contrasts.turned_signs("A cavity in the mass.", "A mass without cavitation.")
    assert contrasts.lacking("A nodule without significant change and with calcification.") == frozenset()
