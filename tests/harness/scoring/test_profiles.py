"""The two named sets of metrics, and where they may be used."""

from __future__ import annotations

import pytest

from harness.errors import UsageError
from harness.scoring.profiles import PROFILES, profile_named, profile_on, profiles_on


def test_the_thresholds_are_those_of_the_paper_and_of_the_challenge() -> None:
    """Above 5 and 10 per cent in the paper (section 5.1); 10 per cent or more in the challenge."""
    thresholds = {name: [(hit.threshold, hit.inclusive) for hit in p.hits.values()] for name, p in PROFILES.items()}
    assert thresholds == {"mlhc2025": [(0.05, False), (0.1, False)], "miccai2026": [(0.1, True)]}


def test_instances_are_not_counted_on_partial_masks() -> None:
    """Train masks hold at most three entities a finding: recall of instances would be a number without a meaning."""
    assert list(profiles_on("train")) == ["mlhc2025"]
    assert list(profiles_on("test")) == ["mlhc2025", "miccai2026"]
    with pytest.raises(UsageError, match="three entities"):
        profile_on("miccai2026", "train")


def test_an_unknown_profile_gets_its_neighbour() -> None:
    """A slip of one digit is answered with the name that was meant."""
    with pytest.raises(UsageError) as refused:
        profile_named("mlhc2024")
    assert "mlhc2025" in refused.value.fix
