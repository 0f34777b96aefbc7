"""A report is split into sentences without losing text."""

from __future__ import annotations

from curation.records import Report, SplitReport
from curation.steps import split


def test_split_finds_lost_text() -> None:
    """A sentence that was lost, or added, is reported."""
    report = Report(id="x", findings="One. Two.", impressions="")
    assert split.check(report, split.split(report)) == []
    assert split.check(report, SplitReport(id="x", findings=("One.",), impressions=()))
