"""Sites that the tests of the room share."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from harness.cli.settings import Settings
from harness.store.database import Store
from leaderboard.commands.leaderboard import leaderboard
from leaderboard.published.privacy import PrivacyPolicy
from leaderboard.site.build import Options, build_site


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(leaderboard, arguments, obj=Settings(Path("nowhere")))


@pytest.fixture
def site(full_store: Store, tmp_path: Path) -> Path:
    """Return the folder of a public site."""
    build_site(full_store, tmp_path / "site", Options(policy=PrivacyPolicy(public=True)))
    return tmp_path / "site"
