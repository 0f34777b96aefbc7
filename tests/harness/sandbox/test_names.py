"""Names inside the wall say nothing and are mapped back; what a model draws does not depend on them."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.engines.base import Mount
from harness.sandbox.contract import CaseDone, CaseFailed, CasePrompt, Event, FindingPrompt, Progress, Started, Warned
from harness.sandbox.job import JobCase
from harness.sandbox.names import InsideNames, case_seed, draw_salt

TEXTS = {"0": "Nodule.", "1": "Effusion.", "2": "Nodule."}


def _case(name: str, texts: dict[str, str] = TEXTS) -> JobCase:
    findings = [FindingPrompt(id=key, text=text) for key, text in texts.items()]
    prompt = CasePrompt(id=name, ct=f"ct/{name}.nii.gz", shape=(2, 3, 4), spacing=(1, 1, 2.5), findings=findings)
    return JobCase(prompt, (Mount(Path("/data/scan.nii.gz"), f"ct/{name}.nii.gz"),))


CASES = [_case(f"train_{number}_a_1") for number in range(20)]


def test_nothing_inside_is_a_public_name() -> None:
    """No id, path or order of one run is that of the data set, or of another run."""
    first, second = (InsideNames(CASES, draw_salt(), 0) for _ in range(2))
    for names in (first, second):
        inside = "".join(case.prompt.model_dump_json() + "".join(m.target for m in case.mounts) for case in names.cases)
        assert "train_" not in inside
        assert [case.mounts[0].target for case in names.cases] == [case.prompt.ct for case in names.cases]
        assert sorted(names.order) == sorted(case.prompt.id for case in CASES)
    assert first.order != second.order
    assert {case.prompt.id for case in first.cases}.isdisjoint(case.prompt.id for case in second.cases)


def test_everything_is_mapped_back() -> None:
    """Each name inside leads to its case and finding, and to no other."""
    names = InsideNames(CASES, "salt", 0)
    for own, case in zip(names.order, names.cases, strict=True):
        assert names.inside(own) == case.prompt.id
        found = names.findings(own)
        assert {found[finding.id]: finding.text for finding in case.prompt.findings} == TEXTS


def test_findings_are_ordered_by_content() -> None:
    """Renumbering the findings of a case changes neither their order inside nor its seed."""
    turned = _case("x", {"7": "Nodule.", "3": "Effusion.", "1": "Nodule."})
    ours, theirs = (InsideNames([case], "salt", 0).cases[0].prompt for case in (_case("y"), turned))
    assert [finding.text for finding in ours.findings] == [finding.text for finding in theirs.findings]
    assert ours.seed == theirs.seed == case_seed(0, turned.prompt)


@pytest.mark.parametrize("other", [_case("x", {"0": "A nodule."}), _case("x", {"0": "Nodule."})])
def test_the_seed_knows_job_and_content(other: JobCase) -> None:
    """Another job's seed, or another text, is another draw."""
    mine = _case("x").prompt
    assert case_seed(0, mine) != case_seed(1, mine)
    assert case_seed(0, mine) != case_seed(0, other.prompt)


def test_without_a_salt_names_stay() -> None:
    """A model that is shown the ground truth gets names and order as they are."""
    names = InsideNames(CASES, "", 0)
    assert [case.prompt.id for case in names.cases] == [case.prompt.id for case in CASES] == list(names.order)
    assert names.told("c" + "0" * 16) == "c" + "0" * 16


def test_events_are_read_under_own_names() -> None:
    """A public name in an event is as foreign as any other; a name inside in a text is shown as the case's own."""
    names = InsideNames(CASES, "salt", 0)
    own, inside = "train_7_a_1", names.inside("train_7_a_1")
    finding = next(iter(names.findings(own)))
    events: list[tuple[Event, Event]] = [
        (CaseDone(event="case_done", case=inside), CaseDone(event="case_done", case=own)),
        (CaseDone(event="case_done", case=own), CaseDone(event="case_done", case="")),
        (Progress(event="progress", stage="loaded"), Progress(event="progress", stage="loaded")),
        (Started(event="started"), Started(event="started")),
        (
            CaseFailed(event="case_failed", case=inside, reason=f"{inside}/{finding}.nii.gz: no lungs"),
            CaseFailed(event="case_failed", case=own, reason=f"{own}/{names.findings(own)[finding]}.nii.gz: no lungs"),
        ),
        (
            Warned(event="warning", case="", text=f"c{'0' * 16}"),
            Warned(event="warning", case="", text=f"c{'0' * 16}"),
        ),
    ]
    assert [names.read(event) for event, _ in events] == [read for _, read in events]


def test_a_log_is_told_with_own_names(tmp_path: Path) -> None:
    """Whatever bytes it holds; a missing log is not an error."""
    names = InsideNames(CASES, "salt", 0)
    log = tmp_path / "0-1.log"
    names.tell(log)
    log.write_bytes(b"\xff case " + names.inside("train_3_a_1").encode() + b" began\n")
    names.tell(log)
    assert log.read_bytes() == b"\xff case train_3_a_1 began\n"
