"""Categorising findings: the paper's form, and codes outside the schema."""

from __future__ import annotations

from typing import Any

import pytest

from curation.records import ExtractedReport
from curation.steps import categorize
from curation.steps.step import WrongAnswer


def test_figures_s7_and_s8_to_the_letter(examples: dict[str, Any]) -> None:
    """Findings and categories of both examples survive our records unchanged."""
    for example in examples["categorize_S7_S8"]:
        paper_form = {f"S{n}": [text, "L0", "Y", "N"] for n, text in enumerate(example["input"].values(), start=1)}
        report = ExtractedReport.from_paper_form("x", paper_form)
        assert report.positives() == example["input"]
        question = categorize.STEP.question
        assert question is not None
        result = question.read(report, example["output"])
        assert result.to_paper_form() == example["output"]
        assert categorize.check(report, result) == []


def test_categories_outside_the_schema_are_caught(s5: dict[str, Any]) -> None:
    """A missing key, a key too many and a category that does not exist are named together."""
    report = ExtractedReport.from_paper_form("x", {"S1": ["Nodule", "L0", "Y", "N"], "S2": ["Bulla", "L1", "Y", "N"]})
    question = categorize.STEP.question
    assert question is not None
    with pytest.raises(WrongAnswer) as wrong:
        question.read(report, {"P1": "2z", "P3": "2d"})
    assert len(wrong.value.violations) == 3


def test_nothing_of_bones_or_abdomen_is_of_the_lung() -> None:
    """The region of a finding's sentences bounds its category, offline and in an answer; scores are given out."""
    rows = {"S1": ["Reticular increased density", "B0", "Y", "N"], "S2": ["Reticular opacities", "L0,I0", "Y", "N"]}
    report = ExtractedReport.from_paper_form("x", rows)
    result = categorize.categorize(report)
    assert result.findings[0].category[0] not in "12" or result.findings[0].category == "12"
    assert result.findings[1].category == "1d"
    assert all(0 <= (finding.score or -1) <= 1 for finding in result.findings)
    question = categorize.STEP.question
    assert question is not None
    answer = question.read(report, {"P1": "1d", "P2": "1d"})
    assert ["P1" in problem for problem in categorize.check(report, answer)] == [True]
