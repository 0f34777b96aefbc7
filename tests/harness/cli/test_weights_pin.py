"""`bench weights pin`: what the hub states, as a patch that applies."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.conftest import Bench
from tests.harness.cli.conftest import BIG
from tests.stand_in_web import HUB, TOKEN, Blob, Web

pytestmark = pytest.mark.costly


def test_pin_prints_a_patch_of_the_declaration(bench: Bench, world: Web, needy: Path) -> None:
    """The large file is not downloaded for it; applied, everything is pinned by the plugin."""
    command = ["--plugin-dir", needy.parent, "--plugin", "needy"]
    bench.environment["HF_TOKEN"] = TOKEN
    ended = bench("weights", "pin", *command)
    assert [one.method for one in world.of(HUB, "HEAD")] == ["HEAD"] * 3
    assert not any("/big.pt" in one.path for one in world.of(HUB))
    subprocess.run(
        ["git", "apply", "--unsafe-paths", "--directory=/"], input=ended.stdout, cwd="/", check=True, text=True
    )
    rows = bench.json("weights", "list", *command)["weights"]
    assert {row["name"]: row["pinned"] for row in rows} == dict.fromkeys([row["name"] for row in rows], True)
    assert next(row["sha256"] for row in rows if row["name"] == "big.pt") == Blob(BIG).sha256
    assert "nothing to pin" in bench("weights", "pin", *command).stderr
