"""Records of a run survive their JSON, also that of other versions."""

from __future__ import annotations

import json

from harness.rows import FindingDetails, InstanceCounts, MaskProblem, MaskVerdict, Matches, Other, Others

WARNING = MaskProblem("affine", "warning", "slightly off", "rounding", "save it as float32")
REFUSED = MaskProblem("shape", "refused", "another grid", "resampled", "undo the resampling")


def test_a_verdict_is_as_bad_as_its_worst_problem() -> None:
    """Nothing, a warning, a refusal; only refusals are the reason for not scoring."""
    assert [MaskVerdict(p).level for p in ((), (WARNING,), (REFUSED, WARNING))] == ["ok", "warning", "refused"]
    assert MaskVerdict((WARNING,)).reason == ""
    assert "another grid" in MaskVerdict((WARNING, REFUSED)).reason


def test_a_verdict_survives_its_json() -> None:
    """And a key that this version does not know is ignored."""
    verdict = MaskVerdict((WARNING,)).plus([REFUSED])
    stored = json.loads(json.dumps(verdict.to_json()))
    assert MaskVerdict.from_json(stored) == verdict
    assert MaskVerdict.from_json({**stored, "of_a_later_version": 1}) == verdict


def test_details_survive_their_json() -> None:
    """Counts stay counts; what was not counted is not stored as 0."""
    counts = InstanceCounts(10, 5, Matches(1, 2, 3), 0.5, None)
    details = FindingDetails(truth_entities=2, size_ratio=1.5, instances=counts)
    assert FindingDetails.from_json(json.loads(json.dumps(details.to_json()))) == details
    stated = FindingDetails(truth_entities=1, prior=False, age=0, sex="F")
    assert FindingDetails.from_json(json.loads(json.dumps(stated.to_json()))) == stated
    assert not {"prior", "age", "sex", "rows"} & details.to_json().keys()  # as versions before wrote it
    assert FindingDetails().to_json() == {}
    assert FindingDetails.from_json({}) == FindingDetails()


def test_the_others_survive_their_json() -> None:
    """None is "not known" and is not stored, as earlier versions stored it; empty is "known, and none"."""
    for others in (None, Others(), Others(Other("2", 0.5), None), Others(Other("2", 0.5), Other("3", 1.0))):
        details = FindingDetails(truth_entities=2, size_ratio=1.5, others=others)
        stored = json.loads(json.dumps(details.to_json()))
        assert FindingDetails.from_json(stored) == details
        assert ("others" in stored) == (others is not None)
    later = {**stored, "others": {**stored["others"], "of_a_later_version": 1}}
    assert FindingDetails.from_json(later) == details
