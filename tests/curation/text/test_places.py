"""Where in the body a sentence is about, as written and as anatomy adds."""

from __future__ import annotations

import pytest

from curation.text import places


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("both lungs", {"right", "left"}),
        ("right and left hila", {"right", "left"}),
        ("right lung upper, middle and lower lobes", {"right", "upper", "middle", "lower"}),
        ("the lingular segment", {"lingula"}),
        ("upper abdominal organs", set()),
        ("lower lobe of the left lung", {"left", "lower"}),
        ("nodules in RUL, LLL and RML", {"right", "left", "upper", "lower", "middle"}),
    ],
)
def test_places(text: str, named: set[str]) -> None:
    """Sides and lobes are found in any order of words; "upper" is a lobe only with a lobe."""
    assert places.places(text) == named


def test_places_that_anatomy_adds() -> None:
    """The middle lobe is right and the lingula left: saying so invents nothing, leaving it out loses nothing."""
    assert not places.invented("right middle lobe", "middle lobe")
    assert not places.invented("nodule in the left upper lobe", "LUL nodule")
    assert places.invented("nodule in the right upper lobe", "LUL nodule") == ["right"]
    assert not places.lost("left lung lingula", "lingula")
    assert places.lost("left lower lobe", "lower lobe") == ["left"]
    assert places.clashes("left lung", "right lung")
    assert not places.clashes("both lungs", "right lung")
