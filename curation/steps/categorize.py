"""Step 4, ``categorize``: every abnormal phrase gets one of the schema's codes (paper, Figures S6 to S8)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from curation.classifier.model import load
from curation.records import CategorizedFinding, CategorizedReport, ExtractedReport, Phrase
from curation.schema import CODES, is_lung
from curation.steps.step import Question, Step, WrongAnswer, closed

_MOST_ENUMERATED: Final = 1000  # values of all enumerations of a schema (OpenAI, structured outputs: limitations)
_NOT_LUNG: Final = frozenset(code for code in CODES if not is_lung(code))


def categorize(report: ExtractedReport) -> CategorizedReport:
    """Categorise offline, with the trained classifier, and give out how sure it is."""
    classifier = load()
    judged = [
        classifier.judge(phrase.text, _NOT_LUNG if _is_elsewhere(phrase) else CODES)
        for phrase in report.phrases
        if phrase.abnormal
    ]
    result = _with(report, {f"P{n}": code for n, (code, _) in enumerate(judged, start=1)})
    scored = (
        finding.model_copy(update={"score": round(score, 3)})
        for finding, (_, score) in zip(result.findings, judged, strict=True)
    )
    return CategorizedReport(id=report.id, findings=tuple(scored))


def _is_elsewhere(phrase: Phrase) -> bool:
    """Return whether every sentence of the findings that a phrase comes from is filed under bones or abdomen."""
    regions = {code[0] for code in phrase.codes} - {"I"}
    return bool(regions) and regions <= {"B", "A"}


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
    """Check that every abnormal phrase is there, in order, and that none of bones or abdomen is one of the lung."""
    before = list(report.positives().values())
    after = [finding.text for finding in result.findings]
    if before != after:
        return ["the findings are not those that were to be categorised"]
    return [
        f"P{n} comes from a sentence about bones or the abdomen, and {finding.category} is a category of the lung"
        for n, finding in enumerate(result.findings, start=1)
        if is_lung(finding.category) and _is_elsewhere(finding)
    ]


def _content(report: ExtractedReport) -> str:
    return json.dumps(report.positives(), ensure_ascii=False, indent=1)


def _schema(report: ExtractedReport) -> dict[str, Any]:
    keys = report.positives()
    code: dict[str, Any] = {"type": "string"}
    if len(keys) * len(CODES) <= _MOST_ENUMERATED:
        code["enum"] = list(CODES)  # beyond it the answer is checked here alone
    return closed(dict.fromkeys(keys, code))


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
