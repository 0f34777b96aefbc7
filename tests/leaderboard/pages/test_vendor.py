"""Libraries of others that a site carries come with their licence."""

from __future__ import annotations

from leaderboard.pages.vendor import NIIVUE, asset


def test_the_script_and_its_licence_are_there() -> None:
    """Both files are in the package, and the licence is the one that is named."""
    assert len(asset(NIIVUE.script)) > 100_000
    assert b"Redistribution and use in source and binary forms" in asset(NIIVUE.notice)
