"""Rewriting a report: the paper's form, and what is not accepted as a rewriting."""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path
from typing import Any

import pytest

from curation.records import Dropped, Line, Report, RewrittenReport, SplitReport
from curation.schema import REGIONS
from curation.steps import rewrite, split


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


def _faults(source: str, text: str, letter: str = "L", impressions: str = "") -> list[str]:
    """Return what is wrong with `text` as the rewriting of `source`."""
    report = split.split(Report(id="x", findings=source, impressions=impressions))
    regions = dict.fromkeys(REGIONS.values(), ()) | {letter: ({"text": text, "sources": ["F0"]},)}
    kept = [{"text": line, "sources": [f"I{n}"]} for n, line in enumerate(report.impressions)]
    return rewrite.check(report, RewrittenReport.model_validate({"id": "x", "regions": regions, "impressions": kept}))


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("No pleural effusion was observed.", "There is a pleural effusion."),
        ("No enlarged lymph node was observed.", "There are enlarged lymph nodes."),
        ("Emphysema in both lungs.", "No emphysema in both lungs."),
        ("A nodule in the right upper lobe.", "Consolidation in the right upper lobe."),
        ("Minimal bronchiectasis in the lingula.", "Severe bronchiectasis in the lingula."),
        ("Minimal bronchiectasis in the lingula.", "Bronchiectasis in the lingula."),
        ("Nodule in the posterobasal segment.", "Nodule in the superior segment."),
        (
            "5 mm nodule in the right and 8 mm nodule in the left lung.",
            "8 mm nodule in the right and 5 mm nodule in the left lung.",
        ),
        ("A mass cannot be excluded in the right hilum.", "There is a mass in the right hilum."),
        ("There is a mass in the right hilum.", "There may be a mass in the right hilum."),
        ("Two nodules in the right lung.", "Three nodules in the right lung."),
        ("A 9 mm stone in the left kidney.", "A 9 mm stone in the left kidney."),
    ],
)
def test_clinical_changes_are_caught(source: str, text: str) -> None:
    """Polarity, subject, severity, segment, sizes on sides, hedges, counts and the region are those of the source."""
    assert _faults(source, text)


@pytest.mark.parametrize(
    ("source", "text", "letter"),
    [
        ("Trachea, both main bronchi are open.", "The trachea and both main bronchi are patent.", "L"),
        ("Plevral effusion was not observed, heart is natural.", "No pleural effusion; the heart is normal.", "H"),
        ("Sequela changes in the apex of the right lung.", "Scarring at the right lung apex.", "L"),
        ("A millimetric calculus in the left kidney.", "Subcentimeter left nephrolithiasis.", "A"),
        ("A few nodules, suspicious for metastasis.", "Several nodules, concerning for metastasis.", "L"),
        (
            "Bone structures are natural, osteophytes are seen.",
            "Osteophytes are seen; bones are otherwise normal.",
            "B",
        ),
        (
            "Frosted glass density in the lateralobasal segment.",
            "Ground-glass opacity in the lateral basal segment.",
            "L",
        ),
    ],
)
def test_good_rewordings_pass(source: str, text: str, letter: str) -> None:
    """Other words for the same statement are no fault."""
    assert _faults(source, text, letter) == []


def test_tampered_rewritings_are_caught() -> None:
    """Of rewritings that change one thing of their source, in ways no rule was written for first, all are named."""
    table = tomllib.loads(Path(__file__).with_name("tampered.toml").read_text(encoding="utf-8"))
    assert len(table["rewrite"]) >= 90
    assert [what for what, source, letter, text in table["rewrite"] if not _faults(source, text, letter)] == []


def test_the_words_of_a_radiologist_pass() -> None:
    """Sentences of translated reports in the words of a US radiologist are not refused."""
    table = tomllib.loads(Path(__file__).with_name("good_wordings.toml").read_text(encoding="utf-8"))
    assert len(table["rewrite"]) >= 120
    refused = {text: faults for letter, source, text in table["rewrite"] if (faults := _faults(source, text, letter))}
    assert refused == {}


def test_answers_that_the_checks_had_not_read() -> None:
    """Of answers written before the checks had read any, the true ones pass; what is false in the others is told."""
    table = tomllib.loads(Path(__file__).with_name("answers.toml").read_text(encoding="utf-8"))["rewrite"]
    assert len(table["true"]) >= 80
    refused = {str(lines): faults for source, lines, gone in table["true"] if (faults := _answer(source, lines, gone))}
    assert refused == {}
    assert [lines for _, source, lines, gone in table["false"] if not _answer(source, lines, gone)] == []


def _answer(sentences: list[str], lines: list[tuple[str, str, list[int]]], dropped: list[int]) -> list[str]:
    regions: dict[str, tuple[Line, ...]] = dict.fromkeys(REGIONS.values(), ())
    for letter, text, cited in lines:
        regions[letter] += (Line(text=text, sources=tuple(f"F{n}" for n in cited)),)
    gone = tuple(Dropped(source=f"F{n}", reason="nothing of the images") for n in dropped)
    report = SplitReport(id="x", findings=tuple(sentences), impressions=())
    return rewrite.check(report, RewrittenReport(id="x", regions=regions, impressions=(), dropped=gone))


def test_an_impression_lends_no_side_to_another_finding() -> None:
    """Only an impression about the same finding may make a sentence more precise."""
    text = "A 5 mm nodule in the left lung."
    assert _faults("A 5 mm nodule in the lung.", text, impressions="Effusion on the left.")
    assert _faults("A 5 mm nodule in the lung.", text, impressions="Nodule in the left lung.") == []


def test_a_finding_is_never_dropped() -> None:
    """Only what says nothing of the images may be dropped, whether or not it has a number or a side."""
    report = split.split(Report(id="x", findings="Emphysema is observed. Patient 14.10.", impressions=""))
    empty = {"id": "x", "regions": dict.fromkeys(REGIONS.values(), ()), "impressions": ()}
    dropped = [{"source": code, "reason": "x"} for code in ("F0", "F1")]
    problems = rewrite.check(report, RewrittenReport.model_validate(empty | {"dropped": dropped}))
    assert ["F0 was dropped" in problem for problem in problems] == [True]
