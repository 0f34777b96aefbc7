"""What two wordings of one statement must share, and what tells them apart."""

from __future__ import annotations

import pytest

from curation.text import claims


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("A 5 mm nodule in the right lung and a 12 mm nodule in the left lung.", "12 mm nodule in the right lung"),
        (
            "Consolidation on the right and effusion on the left.",
            "Effusion on the right and consolidation on the left.",
        ),
        (
            "Nodule in the right upper lobe and the left lower lobe.",
            "Nodule in the left upper lobe and the right lower lobe",
        ),
    ],
)
def test_places_belong_to_what_they_are_said_of(source: str, target: str) -> None:
    """A size, a finding and a lobe keep their side, though both sides are named in the sentence."""
    assert claims.clashes(source, target)
    assert not claims.clashes(source, source)


def test_another_order_of_words_is_no_clash() -> None:
    """Where a place stands in its clause does not matter."""
    first = "In the right lung a 5 mm nodule, in the left lung a 12 mm nodule are seen."
    assert not claims.clashes(first, "5 mm nodule in the right lung and 12 mm nodule in the left lung.")


def test_findings_with_their_polarity() -> None:
    """What is denied is not there; words for one thing are one thing; what a source denies cannot be said of it."""
    assert claims.findings("No pleural effusion, nodule or mass.") == frozenset()
    assert claims.findings("Bullae") == claims.findings("Emphysema")
    assert claims.lost_findings("Emphysema and bronchiectasis.", "Emphysema") == ["bronchiectasis"]
    assert claims.invented_findings("Honeycombing", ["A nodule is seen.", "No honeycombing."]) == ["honeycomb"]
    assert claims.denied_findings("Lymph nodes", "No lymph node was seen.") == ["lymph_node"]
    assert claims.denied_findings("Lymph nodes", "No effusion. Lymph nodes are seen.") == []


def test_open_findings() -> None:
    """A hedge in other words is a hedge."""
    assert claims.is_open("A mass cannot be excluded.")
    assert not claims.is_open("There is a mass.", widely=True)
    assert claims.is_open("Findings suggestive of a mass.", widely=True)


def test_shared_words() -> None:
    """An invention shares few of its words with what it cites."""
    assert claims.shared_words("Pulmonary embolism", ["There is a nodule."]) == 0
    assert claims.shared_words("Nodule", ["There is a nodule."]) == 1
    assert claims.facts("Two mild nodules of 5 mm in the right lung") == {"right", "slight", "5 mm", "count 2"}


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("A calcified nodule in the lingula.", "A spiculated nodule in the lingula."),
        ("A mass of 4 cm.", "Cavitary mass of 4 cm."),
        ("Peripheral consolidations.", "Central consolidations."),
        ("Stable nodule.", "New nodule."),
        ("The nodule has increased in size.", "The nodule has decreased in size."),
        ("A nodule in the lingula.", "Nodule in the lingula, increased in size."),
        ("Cyst in the left kidney.", "Cyst in the left lobe of the liver."),
    ],
)
def test_what_describes_a_finding_is_compared(source: str, target: str) -> None:
    """Attributes, changes and organs that a source does not name are invented; the source adds nothing to itself."""
    assert claims.descriptions(source, target)
    assert claims.descriptions(source, source) == claims.descriptions(target, target) == []


def test_other_words_describe_the_same() -> None:
    """Densities are no change in time; a granuloma is calcified; what was not there before is new."""
    assert claims.descriptions("Density increases in both lungs.", "Increased density in both lungs.") == []
    assert claims.descriptions("Granuloma, not seen in the previous CT.", "New calcified nodule.") == []
    assert claims.descriptions("Subpleural nodules in the hepatic flexure.", "Peripheral nodules.") == []


def test_a_general_word_is_denied_too() -> None:
    """A lymph node is no specific finding, and yet it may not turn into none."""
    assert claims.turned("Lymph nodes are seen in the axilla.", "No axillary lymph nodes.") == ["lymph_node"]
    assert claims.turned("Lymph nodes are seen in the axilla.", "Axillary lymph nodes.") == []
