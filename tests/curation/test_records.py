"""The record formats reproduce the paper's examples, and the checks find what is planted in them."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from curation.records import CategorizedReport, ExtractedReport, Report, RewrittenReport, SplitReport
from curation.steps import categorize, extract, rewrite, select, split
from curation.steps.step import WrongAnswer


@pytest.fixture
def s3(examples: dict[str, Any]) -> dict[str, Any]:
    """Figure S3."""
    return copy.deepcopy(examples["rewrite_S3"])


@pytest.fixture
def s5(examples: dict[str, Any]) -> dict[str, Any]:
    """Figure S5."""
    return copy.deepcopy(examples["extract_S5"])


def test_figure_s3_to_the_letter(s3: dict[str, Any]) -> None:
    """Input and output of the rewriting example survive our records unchanged, and pass our checks."""
    report = SplitReport.from_coded("x", s3["input"])
    assert report.coded() == s3["input"]
    answer = RewrittenReport.from_paper_form("x", s3["output"])
    assert answer.to_paper_form() == s3["output"]
    assert RewrittenReport.model_validate_json(answer.model_dump_json()) == answer
    assert rewrite.check(report, rewrite.trace(report, answer)) == []


def test_figure_s5_to_the_letter(s5: dict[str, Any]) -> None:
    """Input and output of the extraction example survive our records unchanged, and pass our checks."""
    report = RewrittenReport.from_coded("x", s5["input"])
    assert report.coded() == s5["input"]
    answer = ExtractedReport.from_paper_form("x", s5["output"])
    assert answer.to_paper_form() == s5["output"]
    assert extract.check(report, answer) == []


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


def test_figure_1_extraction() -> None:
    """Figure 1: 43 mm may become 4.3 cm, and sizes of several axes survive."""
    report = RewrittenReport.from_coded(
        "x",
        {
            "Findings": {
                "L0": "There are multiple nodules in both lungs, with the largest measuring 9x5x6 mm in the anterior "
                "segment of the right upper lobe.",
                "H0": "The ascending aorta is dilated, measuring 43 mm in diameter.",
            },
            "Impressions": {"I0": "Ascending aortic dilatation."},
        },
    )
    paper_form = {
        "S1": ["Multiple nodules in both lungs", "L0", "Y", "N"],
        "S2": ["Largest nodule measuring 9x5x6 mm in the anterior segment of the right upper lobe", "L0", "Y", "N"],
        "S3": ["Ascending aorta dilated, measuring 4.3 cm in diameter", "H0,I0", "Y", "N"],
    }
    assert extract.check(report, ExtractedReport.from_paper_form("x", paper_form)) == []


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


@pytest.mark.parametrize(
    ("key", "row", "problem"),
    [
        ("S16", ["Lesion in right adrenal gland, 28x71 mm", "A1,I3", "Y", "Y"], "71 mm is not in A1, I3"),
        ("S16", ["Lesion in right adrenal gland", "A1,I3", "Y", "Y"], "the size 28 mm is lost"),
        ("S5", ["Stable pleural effusion", "L9", "Y", "Y"], "names no sentence"),
        ("S11", ["Stable mediastinal lymph nodes up to 1.04 cm", "M1,I4", "Y", "Y"], "not rounded"),
        ("S15", ["Hepatomegaly", "A0,I2", "Y", "Y"], ""),
    ],
)
def test_a_wrong_extraction_is_caught(s5: dict[str, Any], key: str, row: list[str], problem: str) -> None:
    """An invented or lost size, an unknown sentence and an unrounded size are named; a shorter wording is fine."""
    report = RewrittenReport.from_coded("x", s5["input"])
    problems = extract.check(report, ExtractedReport.from_paper_form("x", s5["output"] | {key: row}))
    assert any(problem in text for text in problems) if problem else problems == []


def test_a_sentence_without_a_phrase_is_caught(s5: dict[str, Any]) -> None:
    """An abnormal sentence that no phrase comes from is lost."""
    report = RewrittenReport.from_coded("x", s5["input"])
    del s5["output"]["S5"]
    s5["output"]["S2"][1] = "L1"
    s5["output"]["S3"][1] = "L1"
    problems = extract.check(report, ExtractedReport.from_paper_form("x", s5["output"]))
    assert any(text.startswith("L2 is lost") for text in problems)


def test_categories_outside_the_schema_are_caught(s5: dict[str, Any]) -> None:
    """A missing key, a key too many and a category that does not exist are named together."""
    report = ExtractedReport.from_paper_form("x", {"S1": ["Nodule", "L0", "Y", "N"], "S2": ["Bulla", "L1", "Y", "N"]})
    question = categorize.STEP.question
    assert question is not None
    with pytest.raises(WrongAnswer) as wrong:
        question.read(report, {"P1": "2z", "P3": "2d"})
    assert len(wrong.value.violations) == 3


@pytest.mark.parametrize(
    ("text", "category", "reason"),
    [
        ("Nodule in the right lung", "2d", ""),
        ("Cyst in the liver", "3b", "outside"),
        ("Mosaic attenuation in both lungs", "1d", "too diffuse"),
        ("Intrapulmonary lymph node on the fissure", "2d", "normal variant"),
        ("Azygos lobe", "1f", "normal variant"),
        ("Covid-19 pneumonia", "2b", "not localizable"),
        ("Consolidation consistent with pneumonia", "2b", ""),
        ("Right upper lobectomy", "2h", "not localizable"),
    ],
)
def test_what_can_be_annotated(text: str, category: str, reason: str) -> None:
    """Section 3.3: outside lung and pleura, too diffuse, normal variants and what has no place are left out."""
    found = select.why_not(text, category)
    assert reason in found if reason else found == ""


def test_scans_come_by_id() -> None:
    """The scan-level filter keeps scans with findings, by id in natural order, up to the limit."""
    finding = {"text": "Nodule", "codes": ["L0"], "abnormal": True, "prior": False, "category": "2d"}
    reports = [
        select.select(CategorizedReport.model_validate({"id": name, "findings": [finding] if has else []}))
        for name, has in [("t_10_a", True), ("t_9_a", True), ("t_1_a", False), ("t_2_a", True)]
    ]
    assert [report.id for report in select.choose_scans(reports)] == ["t_2_a", "t_9_a", "t_10_a"]
    assert [report.id for report in select.choose_scans(reports, 1)] == ["t_2_a"]


def test_split_finds_lost_text() -> None:
    """A sentence that was lost, or added, is told."""
    report = Report(id="x", findings="One. Two.", impressions="")
    assert split.check(report, split.split(report)) == []
    assert split.check(report, SplitReport(id="x", findings=("One.",), impressions=()))
