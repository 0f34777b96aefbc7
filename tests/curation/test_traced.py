"""Each sentence of a report leads to its findings, or to why nothing of it is drawn; none is left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation.offline import Rules
from curation.pipeline import run_all
from curation.records import Report
from curation.traced import NORMAL, NOTHING, Aside, Traced, read_traced
from curation.work import Work

#: Made in the manner of the paper's Figure 1: findings inside and outside the lung, normal ones, a comparison.
REPORT = Report(
    id="case",
    findings="The ascending aorta has a diameter of 44 mm and is dilated. The trachea is open. "
    "There are nodules in both lungs, the largest measuring 8x6 mm in the right upper lobe. "
    "Mosaic attenuation and a small pleural effusion on the right are observed. "
    "12.05.2021. Clinical correlation is recommended.",
    impressions="Pleural effusion on the right. Dilatation of the ascending aorta.",
)


def _traced(report: Report, folder: Path) -> Traced:
    with Work(folder / "work.db") as work:
        run_all([report], folder, method_of=lambda _: Rules(), work=work)
    return read_traced(folder)


@pytest.fixture
def traced(tmp_path: Path) -> Traced:
    return _traced(REPORT, tmp_path)


def test_every_sentence_is_there_in_order(traced: Traced) -> None:
    """The sentences are those of the report, word for word."""
    assert [one.code for one in traced.sentences] == ["F0", "F1", "F2", "F3", "F4", "F5", "I0", "I1"]
    assert " ".join(one.text for one in traced.sentences) == f"{REPORT.findings} {REPORT.impressions}"


def test_sentences_lead_to_their_findings(traced: Traced) -> None:
    """A finding is reached from its sentence, and from the impression that repeats it."""
    assert [finding.category for finding in traced.findings] == ["2d", "2e"]
    said = {one.code: one for one in traced.sentences}
    assert said["F2"].findings == (0,)
    assert said["F3"].findings == said["I0"].findings == (1,)


def test_what_is_not_drawn_has_its_reason(traced: Traced) -> None:
    """Outside the lung, too diffuse, normal, or no part of a report: each part of a sentence says why."""
    said = {one.code: one for one in traced.sentences}
    for code in ("F0", "I1"):
        assert [item.reason.partition(" (")[0] for item in said[code].aside] == ["outside the lung and the pleura"]
    assert said["F1"].aside == (Aside("", NORMAL),)
    assert [item.reason for item in said["F3"].aside] == ["too diffuse to segment"]
    assert said["F4"].aside == (Aside("", "no part of a radiology report"),)
    assert said["F5"].aside == (Aside("", NOTHING),)
    assert all(one.findings or one.aside for one in traced.sentences)


def test_a_report_without_findings(tmp_path: Path) -> None:
    """A report that is not selected has its reasons all the same."""
    traced = _traced(Report(id="case", findings="The lungs are clear.", impressions=""), tmp_path)
    assert traced.findings == ()
    assert [one.aside for one in traced.sentences] == [(Aside("", NORMAL),)]
