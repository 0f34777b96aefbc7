"""Step 1, ``split``: a report becomes sentences with codes F0, F1, … and I0, I1, …."""

from __future__ import annotations

from typing import Final

from curation.records import Report, SplitReport
from curation.steps.step import Step
from curation.text.bounded import require_short
from curation.text.sentences import is_lossless, split_sentences


def split(report: Report) -> SplitReport:
    """Cut both sections into sentences; raises TextTooLong where one is too long to be one."""
    findings, impressions = split_sentences(report.findings), split_sentences(report.impressions)
    for sentence in (*findings, *impressions):
        require_short(sentence)
    return SplitReport(id=report.id, findings=tuple(findings), impressions=tuple(impressions))


def check(report: Report, result: SplitReport) -> list[str]:
    """Check that no character of the report is lost or added, blanks and bullets aside."""
    problems = []
    for name, text, sentences in (
        ("findings", report.findings, result.findings),
        ("impressions", report.impressions, result.impressions),
    ):
        if not is_lossless(text, list(sentences)):
            problems.append(f"the sentences of the {name} are not the text that they were cut from")
    return problems


STEP: Final = Step("split", Report, SplitReport, split, check)
