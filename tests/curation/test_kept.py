"""What a data set keeps of its reports: known answers, and nothing where nothing is known."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from curation.annotation.tasks import Task, TaskFinding, task_of
from curation.kept import Curated, facts_of, phrases_of, read_curated, region_of_codes
from curation.llm.conversation import converse
from curation.llm.prompts import load_prompts
from curation.offline import Rules
from curation.pipeline import STEPS, run_all, write_records
from curation.records import CategorizedFinding, CategorizedReport, ExtractedReport, Phrase, Report, SplitReport
from curation.work import Work
from harness.errors import UsageError

DIGEST = "ab" * 32
PHRASES = (
    Phrase(text="The trachea is open", codes=("L0",), abnormal=False, prior=False),
    Phrase(text="Stable 5 mm nodule in the right lung", codes=("I0", "L1"), abnormal=True, prior=True),
    Phrase(text="Stone in the right kidney", codes=("A0",), abnormal=True, prior=False),
)


def categorized() -> CategorizedReport:
    """Return the abnormal phrases with their categories."""
    findings = [
        CategorizedFinding(**phrase.model_dump(), category=code)
        for phrase, code in zip(PHRASES[1:], ("2d", "9a"), strict=True)
    ]
    return CategorizedReport(id="p_1_a", findings=tuple(findings), report_sha256=DIGEST)


def test_facts_of_a_finding_go_into_the_index() -> None:
    """Codes, region, flag and digest, by channel; those that no version kept are left out, not false."""
    task = task_of("p_1_a_1", categorized().findings, DIGEST)
    assert facts_of(task, task.findings[:1]) == {
        "sentence_codes": {"0": ["I0", "L1"]},
        "regions": {"0": "Lungs/Airways/Pleura"},
        "prior": {"0": True},
        "report_sha256": DIGEST,
    }
    old = Task.model_validate_json(
        '{"id": "p_1_a_1", "findings": [{"id": "0-0123abcd", "text": "Nodule", "category": "2d"}]}'
    )
    assert facts_of(old, old.findings) == {}
    mixed = (TaskFinding(id="0-0123abcd", text="Nodule", category="2d"), task.findings[0])
    assert facts_of(old, mixed)["prior"] == {"1": True}


@pytest.mark.parametrize(
    ("codes", "region"),
    [(None, None), ((), None), (("I0",), None), (("I0", "B2"), "Bones"), (("H1", "L0"), "Heart/Vessels")],
)
def test_region_is_that_of_the_first_sentence_of_the_findings(codes: tuple[str, ...] | None, region: str) -> None:
    """An impression has none."""
    assert region_of_codes(codes) == region


def test_all_phrases_of_a_report_stand_beside_the_index() -> None:
    """Normal ones and those of other organs, too; the one with a mask names its channel."""
    curated = Curated(
        {DIGEST: ExtractedReport(id="p_1_a", phrases=PHRASES, report_sha256=DIGEST)}, {DIGEST: categorized()}
    )
    entry = {"name": "p_1_a_1.nii.gz", "findings": {"0": PHRASES[1].text}, "report_sha256": DIGEST}
    assert phrases_of(entry, curated) == {
        "name": "p_1_a_1.nii.gz",
        "report_sha256": DIGEST,
        "findings": {"0": PHRASES[0].text, "1": PHRASES[1].text, "2": PHRASES[2].text},
        "sentence_codes": {"0": ["L0"], "1": ["I0", "L1"], "2": ["A0"]},
        "regions": {"0": "Lungs/Airways/Pleura", "1": "Lungs/Airways/Pleura", "2": "Upper abdomen"},
        "prior": {"0": False, "1": True, "2": False},
        "abnormal": {"0": False, "1": True, "2": True},
        "categories": {"1": "2d", "2": "9a"},
        "channels": {"1": 0},
    }
    uncategorised = phrases_of(entry, Curated(curated.extracted, {}))
    assert uncategorised is not None
    assert uncategorised["categories"] == {}
    assert phrases_of({**entry, "report_sha256": "cd" * 32}, curated) is None
    assert phrases_of({"name": "x.nii.gz", "findings": {}}, curated) is None


def test_every_step_passes_the_digest_on(tmp_path: Path) -> None:
    """The digest is that of both sections of the report, in every file; two scans with one report share it."""
    texts = {"findings": "Trachea is open. There is a nodule in the right lung.", "impressions": "Nodule."}
    reports = [Report(id=name, **texts) for name in ("p_1_a_1", "p_1_a_2")]
    with Work(tmp_path / "work.db") as work:
        run_all(reports, tmp_path, method_of=lambda _: Rules(), work=work)
    digest = hashlib.sha256(f"{texts['findings']}\0{texts['impressions']}".encode()).hexdigest()
    for step in STEPS:
        assert (tmp_path / f"{step}.jsonl").read_text().count(f'"report_sha256":"{digest}"') == 2, step
    assert list(read_curated(tmp_path).extracted) == [digest]


def test_files_of_earlier_versions_are_of_no_known_report(tmp_path: Path) -> None:
    """They are read, and match nothing; a folder of something else is refused."""
    write_records(tmp_path / "extract.jsonl", [ExtractedReport(id="p_1_a", phrases=PHRASES)])
    with pytest.raises(UsageError, match="categorize"):
        read_curated(tmp_path)
    write_records(tmp_path / "categorize.jsonl", [])
    assert read_curated(tmp_path) == Curated({}, {})


def test_the_digest_asks_nothing_anew() -> None:
    """A language model's answer is known by the sentences, whichever report they are of."""
    keys = {
        converse(
            STEPS["rewrite"],
            SplitReport(id="x", findings=("One.",), impressions=(), report_sha256=digest),
            load_prompts(None),
            model="m",
            parameters={},
        ).key
        for digest in (None, DIGEST)
    }
    assert len(keys) == 1
