"""What a licence's name allows: known names only; a note takes a yes back; share-alike licences exclude each other."""

from __future__ import annotations

import pytest

from harness.registry.licences import against_sharing, commercial_use, may_be_passed_on
from harness.registry.pinned import Hub
from harness.status import Answer, of_parts


@pytest.mark.parametrize(
    ("licence", "commercial", "copies"),
    [
        ("Apache-2.0", "yes", "yes"),
        ("MIT", "yes", "yes"),
        ("BSD-3-Clause AND Apache-2.0", "yes", "yes"),
        ("CC-BY-SA-4.0", "yes", "yes"),
        ("CC BY-NC-SA 4.0", "no", "yes"),
        ("cc-by-nc-nd-4.0", "no", "yes"),
        ("MIT AND CC-BY-NC-4.0", "no", "yes"),
        ("none", "no", "no"),
        ("Apache-2.0 AND none", "no", "no"),
        ("not stated", "unknown", "unknown"),
        ("", "unknown", "unknown"),
        ("LicenseRef-IHTSDO-and-NLM", "unknown", "unknown"),
        ("CC-BY-NC-SA-4.0, for friends", "unknown", "unknown"),
        ("MIT AND LicenseRef-NC-1", "unknown", "unknown"),
        ("MIT OR none", "unknown", "unknown"),
    ],
)
def test_a_name_allows_what_it_is_known_for(licence: str, commercial: str, copies: str) -> None:
    """No licence allows nothing; a name that is not known, or more than a name, tells nothing."""
    assert commercial_use(licence) == commercial
    assert may_be_passed_on(licence) == copies


def test_a_note_takes_a_yes_back() -> None:
    """What else is asked may forbid what the licence allows; what the licence forbids stays forbidden."""
    assert commercial_use("MIT", "research only") is Answer.UNKNOWN
    assert commercial_use("CC-BY-NC-4.0", "ask us") is Answer.NO
    file = Hub("owner/name", licence="CC-BY-SA-4.0", note="for education").file("model.pt")
    assert (file.note, file.commercial) == ("for education", Answer.UNKNOWN)


def test_a_whole_is_as_free_as_its_least_free_part() -> None:
    """One part that is not known leaves the whole unknown, one that is forbidden forbids it; nothing tells nothing."""
    assert of_parts(["yes", "unknown", "no"]) is Answer.NO
    assert of_parts(["yes", "unknown"]) is Answer.UNKNOWN
    assert of_parts(["yes", "yes"]) is Answer.YES
    assert of_parts([]) is Answer.UNKNOWN


@pytest.mark.parametrize(
    ("licences", "answers", "words"),
    [
        (["MIT", "Apache-2.0"], [], ""),
        (["CC-BY-SA-4.0", "MIT"], [], ""),
        (["CC-BY-NC-SA-4.0", "CC BY-NC-SA 4.0"], [], ""),
        (["CC-BY-SA-3.0", "CC-BY-SA-4.0"], [], ""),
        (["CC-BY-SA-4.0", "MIT", "CC BY-NC-SA 4.0"], ["no"], "both cannot be kept"),
        (["CC-BY-SA-4.0 AND CC-BY-NC-SA-4.0"], ["no"], "both cannot be kept"),
        (["none"], ["no"], "w0 has no licence"),
        (["MIT", "CC-BY-NC-ND-4.0"], ["no"], "w1 may not be passed on in a changed form"),
        (["MIT", "not stated"], ["unknown"], "the licence of w1 allows is not known"),
        (["none", "", "CC-BY-SA-4.0"], ["no", "unknown"], ""),
    ],
)
def test_what_is_derived_must_keep_every_licence(licences: list[str], answers: list[str], words: str) -> None:
    """Two licences that each ask for themselves exclude each other; a version of the same one does not."""
    found = against_sharing((f"w{number}", licence) for number, licence in enumerate(licences))
    assert [answer for answer, _ in found] == answers
    assert all(words in reason for _, reason in found)
