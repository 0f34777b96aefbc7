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
