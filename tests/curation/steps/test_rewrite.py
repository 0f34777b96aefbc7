"""Rewriting a report: the paper's form, and what is not accepted as a rewriting."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from curation.records import RewrittenReport, SplitReport
from curation.steps import rewrite


@pytest.fixture
def s3(examples: dict[str, Any]) -> dict[str, Any]:
    """Figure S3."""
    return copy.deepcopy(examples["rewrite_S3"])


def test_figure_s3_to_the_letter(s3: dict[str, Any]) -> None:
    """Input and output of the rewriting example survive our records unchanged, and pass our checks."""
    report = SplitReport.from_coded("x", s3["input"])
    assert report.coded() == s3["input"]
    answer = RewrittenReport.from_paper_form("x", s3["output"])
    assert answer.to_paper_form() == s3["output"]
    assert RewrittenReport.model_validate_json(answer.model_dump_json()) == answer
    assert rewrite.check(report, rewrite.trace(report, answer)) == []


def _traced(s3: dict[str, Any]) -> tuple[SplitReport, dict[str, Any]]:
    report = SplitReport.from_coded("x", s3["input"])
    return report, rewrite.trace(report, RewrittenReport.from_paper_form("x", s3["output"])).model_dump()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            lambda d: d["regions"]["A"][1].update(text="An accessory spleen measuring 31 mm."),
            "the number 13 mm is lost",
        ),
        (
            lambda d: d["regions"]["L"][3].update(text="A subcentimeter nodule in the right lower lobe."),
            "'left' is lost",
        ),
        (lambda d: d["regions"]["L"].pop(), "F8 is lost"),
        (lambda d: d["regions"]["B"].append({"text": "Rib fracture.", "sources": []}), "comes from no sentence"),
        (
            lambda d: d["regions"]["B"].append({"text": "Fracture of the 4th rib.", "sources": ["F15"]}),
            "not in its source",
        ),
        (
            lambda d: d["dropped"].append({"source": "F11", "reason": "irrelevant"}) or d["regions"]["A"].pop(1),
            "was dropped",
        ),
    ],
)
def test_a_wrong_rewriting_is_caught(s3: dict[str, Any], change: Any, problem: str) -> None:
    """A changed number, a changed side, a lost, new or wrongly dropped sentence: each is named."""
    report, document = _traced(s3)
    for region in document["regions"].values():
        assert isinstance(region, tuple)
    document["regions"] = {letter: list(lines) for letter, lines in document["regions"].items()}
    document["dropped"] = list(document["dropped"])
    change(document)
    problems = rewrite.check(report, RewrittenReport.model_validate(document))
    assert any(problem in text for text in problems), problems
