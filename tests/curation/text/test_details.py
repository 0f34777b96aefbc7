"""Severity, segments and counts in which two texts differ."""

from __future__ import annotations

from curation.text import details


def test_severity_segments_and_counts() -> None:
    """Severity, segments and counts are compared; a digit and its word are the same."""
    assert details.compare("Minimal effusion", "Severe effusion") == [
        "the severity 'slight' is lost",
        "the severity 'severe' is not in its source",
    ]
    assert details.compare("Nodule in the posterobasal segment", "Nodule in the posterior basal segment") == []
    assert details.compare("Nodule in the anterior segment", "Nodule in the apical segment")
    assert details.compare("Two nodules", "2 nodules") == []
    assert details.compare("Two nodules", "Three nodules")
    assert details.compare("Several nodules", "A few nodules") == []


def test_one_and_many() -> None:
    """One of several is another count than several; "a nodule" and "one nodule" are the same."""
    assert details.compare("Multiple nodules", "One nodule") == ["the count '1' is not in its source"]
    assert details.compare("A nodule in the lingula", "One nodule in the lingula") == []
    assert details.compare("Reticulation in subpleural areas at the bases", "Subpleural basilar reticulation") == []
