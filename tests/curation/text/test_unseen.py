"""What a text names and these images do not show."""

from __future__ import annotations

import pytest

from curation.text.assertion import is_seen
from curation.text.unseen import is_former, is_only_thought_of, is_undecided


@pytest.mark.parametrize(
    "text",
    [
        "Miliary tuberculosis was considered first",
        "Septic emboli are considered with priority",
        "Lymphangioleiomyomatosis should be kept in mind",
        "Findings suggest metastases",
        "Motion limits evaluation for small nodules",
    ],
)
def test_a_disease_that_is_considered_is_not_seen(text: str) -> None:
    """Whatever words say that it is."""
    assert is_only_thought_of(text)
    assert not is_seen(text)


@pytest.mark.parametrize(
    "text",
    ["Consolidation was considered as pneumonia in the lingula", "Findings suggestive of emphysema in both lungs"],
)
def test_a_finding_that_is_interpreted_is_seen(text: str) -> None:
    """What stands before the interpretation, or has a place, stays."""
    assert is_seen(text)


@pytest.mark.parametrize(
    ("text", "former"),
    [
        ("There was an effusion on the left before", True),
        ("An opacity that was suspected turned out to be a costochondral ossification", True),
        ("What was thought to be an infiltrate is a prominent fat pad", True),
        ("The effusion was 2 cm before and is now 5 mm", False),
        ("The opacity turned out to be a nodule", False),
        ("The nodule was in fact present in 2019", False),
    ],
)
def test_what_was_there_or_was_taken_for_a_finding(text: str, former: bool) -> None:
    """What is told of it today, or is a finding itself, is seen."""
    assert is_former(text) is former


def test_only_a_single_finding_is_left_undecided() -> None:
    """A finding beside it is stated."""
    assert is_undecided("A pneumothorax cannot be excluded at the apex")
    assert not is_undecided("Effusion, and a pneumothorax cannot be excluded")
