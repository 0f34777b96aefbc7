"""The 14 categories of the paper, and which of them are focal."""

from __future__ import annotations

import pytest

from harness.categories import CATEGORIES, is_focal


def test_there_are_six_non_focal_and_eight_focal_categories() -> None:
    """Table 3 of the paper: 1a to 1f are typically non-focal, 2a to 2h typically focal."""
    assert list(CATEGORIES) == [f"1{letter}" for letter in "abcdef"] + [f"2{letter}" for letter in "abcdefgh"]


@pytest.mark.parametrize(("code", "focal"), [("1c", False), ("2c", True), ("2h", True)])
def test_focal_is_what_the_code_begins_with(code: str, focal: bool) -> None:
    """Emphysema is non-focal, ground glass and the other focal findings are focal."""
    assert is_focal(code) is focal
