"""Page and document say the same of each sentence and each finding, and nothing that was not measured."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from curation.records import CategorizedFinding
from curation.report_text import Section
from curation.traced import Aside, Sentence, Traced
from harness.dataset import Finding
from harness.runs.predict import FindingMask
from harness.status import Status
from leaderboard.grounded.masks import Measured
from leaderboard.grounded.result import Result, Shown, document, facts_of, page, side_of
from leaderboard.pages.report_page import render_report

MEASURED = Measured(
    voxels=1234, ml=6.17, slices=3, heights=(-20.0, -10.0), first=(1, 2, 3), last=(4, 5, 5), extent=(8.0, 8.0, 15.0),
    left=0.25,
)  # fmt: skip


def _finding(text: str, code: str, **more: object) -> CategorizedFinding:
    return CategorizedFinding(text=text, codes=(code,), abnormal=True, prior=False, category="2d", **more)


def _mask(number: int, status: Status = Status.OK, reason: str = "") -> FindingMask:
    return FindingMask(Finding(number, str(number), f"finding {number}"), status, reason, None, "", ())


@pytest.fixture
def result() -> Result:
    """Three findings of two sentences: measured, empty, and without a mask."""
    findings = (
        _finding("Nodule <b>8 mm</b>", "L0", score=0.9),
        _finding("Possible nodule", "L0", uncertain=True, score=0.3),
        _finding("Mass", "I0"),
    )
    sentences = (
        Sentence("F0", "A nodule <b>8 mm</b> and possibly another.", (0, 1), ()),
        Sentence("F1", "The aorta is wide.", (), (Aside("Wide aorta", "outside the lung"),)),
        Sentence("I0", "Nodule and mass.", (0, 2), ()),
    )
    shown = (
        Shown(_mask(0), "masks/0.nii.gz", "d" * 64, MEASURED),
        Shown(_mask(1), "masks/1.nii.gz", "e" * 64),
        Shown(_mask(2, Status.TIMEOUT, "it took too long")),
    )
    return Result(
        Traced(sentences, findings),
        (Section("Technique", "Low dose."),),
        shown,
        report={"sha256": "f" * 64},
        ct={"name": "ct.nii.gz", "sha256": "a" * 64, "shape": [9, 9, 9], "spacing_mm": [2.0, 2.0, 5.0]},
        model={"plugin": "m", "title": "M", "version": "1", "variant": "v", "engine": "docker", "weights": "pinned"},
        by={"steps": "rules"},
        notes=("How it was run: slowly",),
    )


def test_the_document_refers_to_sentences_by_their_place(result: Result) -> None:
    """From a finding to its sentences and back; what there is no number for is null, what is empty is 0."""
    told = json.loads(json.dumps(document(result)))
    assert told["truth"] is None
    assert [one["findings"] for one in told["report"]["sentences"]] == [["0", "1"], [], ["0", "2"]]
    one, two, three = told["findings"]
    assert [found["sentences"] for found in (one, two, three)] == [[0, 2], [0], [2]]
    assert (one["mask"], one["sha256"], one["voxels"], one["volume_ml"]) == ("masks/0.nii.gz", "d" * 64, 1234, 6.17)
    assert one["measured"]["box_voxels"] == [[1, 2, 3], [4, 5, 5]]
    assert (two["voxels"], two["volume_ml"], two["measured"]) == (0, 0.0, None)
    assert (three["status"], three["reason"]) == ("timeout", "it took too long")
    assert (three["mask"], three["voxels"], three["volume_ml"]) == (None, None, None)
    assert not {"dice", "score", "hit"} & set(json.dumps(told).replace('"', " ").split())


def test_the_page_shows_each_finding_once(result: Result) -> None:
    """Below the first sentence that names it; a later one points there. Sections that are not read are named."""
    (findings, said), (impression, repeated), (other, unread) = page(result).sections
    assert (findings, impression, other) == ("Findings", "Impression", "Technique")
    assert [[found.id for found in one.findings] for one in said] == [["0", "1"], []]
    assert [([found.id for found in one.findings], list(one.elsewhere)) for one in repeated] == [(["2"], ["0"])]
    assert [one.aside for one in said][1] == [("Wide aorta", "outside the lung")]
    assert unread[0].aside[0][0] == ""


def test_the_page_says_what_is_unknown(result: Result) -> None:
    """No truth, nothing marked, no mask and why, an open finding, an uncertain category; and no tag of a report."""
    html = render_report(page(result))
    for words in (
        "There is no truth here",
        "The model marked nothing.",
        "No mask: it took too long",
        "1 finding without a mask",
        "The report leaves open whether it is there.",
        "Its category is uncertain.",
        "How it was run: slowly",
        "outside the lung",
    ):
        assert words in html
    assert "<b>8 mm" not in html
    assert "Dice" not in html
    assert 'href="http' not in html


def test_the_lead_counts(result: Result) -> None:
    """How many sentences, findings, and findings that were marked; without findings, that there are none."""
    assert result.lead == "3 sentences with 3 findings that can be drawn; the model marked 1 of 3."
    none = replace(result, traced=Traced(result.traced.sentences[1:2], ()), shown=(), model={})
    assert none.lead.startswith("1 sentence, and no finding")
    assert ("Model", "not run") in page(none).facts
    assert document(none)["model"] is None
    assert "viewer" not in render_report(page(none))


@pytest.mark.parametrize(
    ("ml", "said"),
    [(0.004, "less than 0.01 ml"), (0.5, "0.50 ml"), (12.34, "12.3 ml"), (345.6, "346 ml")],
)
def test_volumes_in_words(ml: float, said: str) -> None:
    """Two or three digits; never 0 for what is there."""
    assert dict(facts_of(replace(MEASURED, ml=ml)))["Volume"] == f"{said} (1,234 voxels)"


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (1.0, "all of it left of the middle of the scan"),
        (0.0, "all of it right of the middle of the scan"),
        (0.25, "25 % of it left of the middle of the scan, 75 % right"),
        (0.999, "99 % of it left of the middle of the scan, 1 % right"),
        (0.001, "1 % of it left of the middle of the scan, 99 % right"),
    ],
)
def test_sides_in_words(left: float, said: str) -> None:
    """All of it only where it is all of it."""
    assert side_of(left) == said
