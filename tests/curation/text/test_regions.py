"""Which anatomical region a sentence belongs to."""

from __future__ import annotations

import pytest

from curation.text.regions import region_of


@pytest.mark.parametrize(
    ("sentence", "letter"),
    [
        ("The trachea and both main bronchi are patent.", "L"),
        ("No pericardial effusion.", "H"),
        ("Mediastinal main vascular structures are normal.", "H"),
        ("Lymph nodes in the mediastinum.", "M"),
        ("Sliding type hiatal hernia.", "M"),
        ("Hypodense nodule in the thyroid gland.", "N"),
        ("Gynecomastia.", "C"),
        ("Osteophytes in the vertebrae.", "B"),
        ("A stone in the left kidney.", "A"),
    ],
)
def test_regions(sentence: str, letter: str) -> None:
    """Every sentence goes to the region that an American report would have it in."""
    assert region_of(sentence) == letter


def test_a_sentence_that_names_nothing_stays_with_the_one_before() -> None:
    """Without a named organ the region of the sentence before holds."""
    assert region_of("It has a diameter of 5 mm.", before="A") == "A"
