"""Fixtures of the tests that drive the command line and real containers."""

from __future__ import annotations

import pytest


@pytest.fixture(
    params=["local", pytest.param("docker", marks=pytest.mark.docker)],
)
def engine(request: pytest.FixtureRequest) -> str:
    """Run a test on both engines."""
    if request.param == "docker":
        request.getfixturevalue("base_image")
    return str(request.param)
