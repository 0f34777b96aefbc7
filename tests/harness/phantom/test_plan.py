"""What cases are planned to show."""

from __future__ import annotations

from collections import Counter

import pytest

from harness.categories import CATEGORIES
from harness.phantom.plan import plan_case, split_of
from harness.phantom.segments import SEGMENTS


@pytest.mark.parametrize("seed", range(40))
def test_four_test_cases_show_every_category(seed: int) -> None:
    """The first four cases are test, have at most five findings each, and cover the 14 categories."""
    plans = [plan_case(seed, number) for number in range(4)]
    assert [plan.split for plan in plans] == ["test"] * 4
    assert {finding.category for plan in plans for finding in plan.findings} == set(CATEGORIES)
    assert all(1 <= len(plan.findings) <= 5 for plan in plans)


@pytest.mark.parametrize("block", range(3))
def test_every_later_block_covers_them_too(block: int) -> None:
    """The test cases of any twenty cover the 14 categories."""
    plans = [plan_case(3, 20 * block + place) for place in range(4)]
    assert {finding.category for plan in plans for finding in plan.findings} == set(CATEGORIES)


def test_twenty_cases_split_60_20_20() -> None:
    """Of twenty cases 12 are train, 4 val and 4 test; a single one is test."""
    assert Counter(split_of(number) for number in range(20)) == {"train": 12, "val": 4, "test": 4}
    assert split_of(0) == "test"


def test_findings_own_their_segments() -> None:
    """No segment is given to two findings of a case, nor one that pleural fluid or air would press away."""
    for seed in range(60):
        plan = plan_case(seed, seed)
        owned = [number for finding in plan.findings for number in finding.site.segments]
        assert len(owned) == len(set(owned))
        assert all(finding.site.segments or finding.category in {"2e", "2g"} for finding in plan.findings)


def test_diseases_keep_to_their_places() -> None:
    """Emphysema is planned in the upper lobes, honeycombing at the bases."""
    by_number = {segment.number: segment for segment in SEGMENTS}
    for seed in range(60):
        for finding in plan_case(seed, seed % 4).findings:
            segments = [by_number[number] for number in finding.site.segments]
            if finding.category == "1c":
                assert all(segment.lobe in {1, 4} for segment in segments)
            if finding.category == "2f":
                assert all("basal" in segment.name for segment in segments)


def test_names_follow_the_pattern() -> None:
    """Source, patient, scan and reconstruction; one patient a case."""
    assert [plan_case(0, number).name for number in (0, 11)] == ["phantom_1_a_1.nii.gz", "phantom_12_a_1.nii.gz"]
