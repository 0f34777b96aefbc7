"""Words that describe a finding."""

from __future__ import annotations

from curation.text import attributes


def test_an_attribute_that_no_word_of_the_source_means_is_added() -> None:
    """Other words for the same are none."""
    assert attributes.added("Consolidation", "Consolidation with air bronchograms") == [
        "'air bronchogram' is not in its source"
    ]
    assert attributes.added("Nodule with ground glass around it", "Nodule with a halo") == []


def test_a_shape_is_not_left_out() -> None:
    """What is calcified in any case may go without the word."""
    assert attributes.dropped("Spiculated nodule", "Nodule") == ["'spiculated' is lost"]
    assert attributes.dropped("Calcified nodule", "Nodule") == ["'calcified' is lost"]
    assert attributes.dropped("Calcified granuloma", "Granuloma") == []
