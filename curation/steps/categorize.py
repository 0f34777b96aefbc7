"""Step 4, ``categorize``: every abnormal phrase gets one of the schema's codes (paper, Figures S6 to S8)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from curation.classifier.model import load
from curation.records import CategorizedFinding, CategorizedReport, ExtractedReport
from curation.schema import CODES
from curation.steps.step import Question, Step, WrongAnswer, closed


def categorize(report: ExtractedReport) -> CategorizedReport:
    """Categorise offline, with the trained classifier."""
    classifier = load()
    return _with(report, {key: classifier.categorise(text) for key, text in report.positives().items()})


def _with(report: ExtractedReport, codes: Mapping[str, str]) -> CategorizedReport:
    positive = (phrase for phrase in report.phrases if phrase.abnormal)
    return CategorizedReport(
        id=report.id,
        findings=tuple(
            CategorizedFinding(**phrase.model_dump(), category=codes[f"P{n}"])
            for n, phrase in enumerate(positive, start=1)
        ),
    )


def check(report: ExtractedReport, result: CategorizedReport) -> list[str]:
    """Check that every abnormal phrase is there, as it was and in order, and nothing else."""
    before = list(report.positives().values())
    after = [finding.text for finding in result.findings]
    return [] if before == after else ["the findings are not those that were to be categorised"]


def _content(report: ExtractedReport) -> str:
    return json.dumps(report.positives(), ensure_ascii=False, indent=1)


def _schema(report: ExtractedReport) -> dict[str, Any]:
    return closed({key: {"type": "string", "enum": list(CODES)} for key in report.positives()})


def _read(report: ExtractedReport, answer: Mapping[str, Any]) -> CategorizedReport:
    wanted = set(report.positives())
    problems = [f"{key} lacks a category" for key in sorted(wanted - set(answer))]
    problems += [f"{key} is not a finding of the list" for key in sorted(set(answer) - wanted)]
    problems += [
        f"{key}: {answer[key]!r} is not a category of the schema"
        for key in sorted(wanted & set(answer))
        if answer[key] not in CODES
    ]
    if problems:
        raise WrongAnswer(problems)
    return _with(report, answer)


STEP: Final = Step(
    "categorize",
    ExtractedReport,
    CategorizedReport,
    categorize,
    check,
    Question("categorize", _content, _schema, _read, _schema, _read),
    needless=lambda report: not report.positives(),
)
