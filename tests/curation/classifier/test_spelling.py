"""Slips of the pen are undone before a finding is classified."""

from __future__ import annotations

import pytest

from curation.classifier.spelling import slips, spelled


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("Emphysmatous pneumotorax", "emphysematous pneumothorax"),
        ("Broncheictasis", "bronchiectasis"),
        ("Honeycoming", "honeycombing"),
        ("Ground\u2011glass\u00a0nod\u00adules, n\u00f3dule", "Ground-glass nodules, nodule"),
        ("Consolidation of the lingula", "Consolidation of the lingula"),
        ("costal, distal and medial", "costal, distal and medial"),
    ],
)
def test_slips_are_undone(text: str, meant: str) -> None:
    """Long words that are a slip or two away from a known one are that word."""
    assert spelled(text) == meant


def test_slips_by_hand() -> None:
    """A letter lost, doubled, wrong or exchanged with its neighbour is one slip each."""
    assert [slips("nodule", other) for other in ("nodule", "nodle", "noddule", "nodvle", "nodlue")] == [0, 1, 1, 1, 1]
    assert slips("nodule", "mass") > 2
