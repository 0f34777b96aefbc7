"""`bench get`: everything in one command, which goes on after a failure, resumes, and says what is still lacking."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Bench
from tests.stand_in_web import CODE, COMMIT, RELEASES, TOKEN, Web

pytestmark = pytest.mark.costly


def test_one_command_gets_everything_that_can_be_had(bench: Bench, world: Web, needy: Path) -> None:
    """What cannot is told at the end with what to do; the next call gets that and nothing else, and pins it."""
    command = ["get", "--plugin-dir", needy.parent, "--plugin", "needy"]
    listed = bench.json(*command, "--dry-run")
    assert {item["state"] for item in listed["items"]} == {"missing"}
    assert not world.asked
    first = bench.json(*command, code=3)
    states = {item["name"]: item["state"] for item in first["items"]}
    assert states == {
        "code-network": "fetched", "code-training": "fetched", "a.bin": "fetched",
        "b.bin": "failed", "big.pt": "failed", "free--config.json": "fetched",
    }  # fmt: skip
    assert not first["complete"]
    failed = {item["name"]: item for item in first["items"] if item["state"] == "failed"}
    assert "accept its terms" in failed["big.pt"]["fix"]
    assert f"put the file at {needy / 'weights' / 'b.bin'}" in failed["b.bin"]["fix"]
    world.asked.clear()
    (needy / "weights" / "b.bin").write_bytes(b"beside")
    bench.environment["HF_TOKEN"] = TOKEN
    second = bench.json(*command)
    assert second["complete"]
    assert {item["name"] for item in second["items"] if item["state"] == "fetched"} == {"big.pt"}
    pinned = {item["name"]: item["pinned_by"] for item in second["items"]}
    assert pinned["big.pt"] == pinned["free--config.json"] == f"hub at {COMMIT}"
    assert pinned["a.bin"] == pinned["b.bin"] == "plugin"
    assert not world.of(CODE) + world.of(RELEASES)
    world.asked.clear()
    shown = bench(*command)
    assert "next: bench run --plugin needy" in shown.stderr
    assert not world.asked
    assert "(the hub's, at cccccccccccc)" in bench("weights", "list", *command[1:]).stdout
    bench("weights", "verify", *command[1:])


def test_a_variant_needs_its_own_weights_only(bench: Bench, world: Web, needy: Path) -> None:
    """So that nobody downloads four sizes of a model to use one."""
    found = bench.json("get", "--plugin-dir", needy.parent, "--plugin", "needy", "--variant", "small")
    assert [item["name"] for item in found["items"]] == ["code-network", "code-training", "free--config.json"]


def test_a_run_says_everything_that_is_missing_at_once(bench: Bench, needy: Path, make_dataset) -> None:
    """Code and weights in one message, and the one command that gets them."""
    command = ["run", "--plugin-dir", needy.parent, "--plugin", "needy", "--variant", "all"]
    (needy / "adapter.py").write_text("")
    text = (needy / "__init__.py").read_text().replace('version="1",', 'version="1", adapter="adapter:X",')
    (needy / "__init__.py").write_text(text)
    ended = bench(*command, "--dataset", make_dataset(1), "--engine", "local", code=3)
    assert "needy all needs weights (big.pt, free--config.json, a.bin, b.bin; owner/name wants a log-in" in ended.stderr
    assert "`bench get --plugin needy`" in ended.stderr


def test_what_licences_ask_is_said_before_anything_is_downloaded(bench: Bench) -> None:
    """Code that nobody licensed, and what is asked beside the licence of weights, once for each repository."""
    told = bench("get", "--plugin", "sat,rules", "--dry-run").stderr.splitlines()
    assert told[0] == "sat: sat-model, sat-train: no licence; ask the authors what you may do with it"
    assert told[1].startswith("sat: weights of FremyCompany/BioLORD-2023-C: LicenseRef-IHTSDO-and-NLM; each user needs")
    assert sum("BioLORD" in line for line in told if line.startswith("sat:")) == 1
    assert not any(line.startswith("rules:") for line in told)
