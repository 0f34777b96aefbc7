"""Other words for the same are read as ours."""

from __future__ import annotations

import pytest

from curation.classifier.synonyms import in_our_words


@pytest.mark.parametrize(
    ("text", "ours"),
    [
        ("GGOs in the RUL", "ground-glass opacities in the right upper lobe"),
        ("Oesophageal tumour", "esophageal tumor"),
        ("Splenunculus", "accessory spleen"),
        ("5 ml of contrast", "5 ml of contrast"),
        ("Consolidation of the lingula", "Consolidation of the lingula"),
    ],
)
def test_other_words_are_read_as_ours(text: str, ours: str) -> None:
    """Spellings, abbreviations and names become the usual words; what is usual stays."""
    assert in_our_words(text) == ours


def test_ours_stay() -> None:
    """A replacement is in our words already: replacing once more changes no abbreviation or spelling back."""
    for text in ("GGO", "SVC", "CBD", "PTX", "oedema", "PICC line", "honeycombed lung"):
        assert in_our_words(in_our_words(in_our_words(text))) == in_our_words(in_our_words(text))
