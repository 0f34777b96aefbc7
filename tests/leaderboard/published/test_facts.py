"""What a row says of itself: what was not stated is unknown, whatever the record holds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from leaderboard.published.facts import Facts, facts_of, sees


@pytest.mark.parametrize(
    ("record", "what"),
    [
        ({"sees": {"of": "slices with memory", "origin": "paper, section 5.1"}}, "slices with memory"),
        ({"sees": {"of": "nothing", "origin": "ours"}}, "nothing"),
        ({"sees": {"of": "4-D", "origin": "ours"}}, "unknown"),
        ({"sees": {"of": ["3-D"]}}, "unknown"),
        ({"sees": "3-D"}, "unknown"),
        ({}, "unknown"),  # a row from before it was recorded, and every submission
    ],
)
def test_only_what_was_recorded_is_seen(record: dict[str, Any], what: str) -> None:
    """Another word, or another form of the record, is not guessed at."""
    assert sees(record) == what


def test_a_submission_is_of_no_model(bench) -> None:
    """Masks made elsewhere may be called SAT; that does not make them SAT's."""
    run = bench.add(title="SAT", fine_tuned=True, record={"sees": {"of": "3-D", "origin": "paper, section 5.1"}})
    assert facts_of(run) == Facts("SAT", "text", "fine-tuned", "3-D")
    submitted = replace(run, kind="submitted", prompt="", fine_tuned=False, record={})
    assert facts_of(submitted) == Facts("", "", "training not stated", "unknown")
