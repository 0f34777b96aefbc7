"""A row is run again from its plugin, and an organiser's word raises its level: for this folder, by a listed key."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cli.results_import import import_rows
from harness.cli.run import run
from harness.cli.submission import verify
from harness.cli.submit import submit
from harness.submissions import rerun

from .conftest import Made, call

PLUGIN = """
name = "blocks"
title = "Blocks"
summary = "Segments what is bright."
version = "1"
licence = "Apache-2.0"
adapter = "adapter:Blocks"
[[variants]]
name = "plain"
exposure = { value = "none", origin = "ours: it has no weights" }
"""
ADAPTER = """
from groundbench_sdk import Adapter

class Blocks(Adapter):
    def predict(self, case):
        for finding in case.findings:
            yield finding.id, case.volume() > -780
"""


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an organiser's key, and the file that lists it."""
    folder = tmp_path_factory.mktemp("keys")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "o", "-f", folder / "key"], check=True)
    listed = f'ada namespaces="groundbench-verification" {(folder / "key.pub").read_text()}'
    (folder / "signers").write_text(listed)
    return folder


def test_masks_that_were_scored_again_raise_a_level(folder: Path, made: Made, keys: Path, tmp_path: Path) -> None:
    """Without masks nothing is raised; with them the word is signed, and counts by a listed key."""
    word = ("--raise-as", "ada", "--key", keys / "key")
    refused = call(made.home, verify, folder, *word, code=2)
    assert "neither were masks scored" in str(refused.exception)
    call(made.home, verify, folder, "--masks", made.masks, "--dataset", made.data, "--jobs", 1, *word)
    lines = call(made.home, verify, folder, "--signers", keys / "signers").stdout
    assert "pass  level: rescored, signed by an organiser" in lines
    assert "skip  level" in call(made.home, verify, folder).stdout
    rows = json.loads(call(tmp_path / "a", import_rows, folder, "--signers", keys / "signers", "--json").stdout)["rows"]
    assert [row["level"] for row in rows] == ["rescored"]
    assert json.loads(call(tmp_path / "b", import_rows, folder, "--json").stdout)["rows"][0]["level"] == "reported"
    text = (folder / "verification.json").read_text()
    (folder / "verification.json").write_text(text.replace('"level": "rescored"', '"level": "sealed"'))
    forged = call(made.home, verify, folder, "--signers", keys / "signers", code=4)
    assert "not signed by a key of" in str(forged.exception)
    (keys / "others").write_text("")
    (folder / "verification.json").write_text(text)
    assert "not signed" in str(call(made.home, verify, folder, "--signers", keys / "others", code=4).exception)


@pytest.mark.costly
def test_a_row_is_run_again(
    make_dataset: Callable[..., Path], keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it was, every mask is the same; jittered, the mean Dice holds; another plugin, or no isolation, is refused."""
    data = make_dataset(3, shape=(26, 24, 24))
    plugin = tmp_path / "blocks"
    plugin.mkdir()
    (plugin / "plugin.toml").write_text(PLUGIN)
    (plugin / "adapter.py").write_text(ADAPTER)
    (data / "groundbench.json").write_text('{"terms": {"scores": "yes"}}')
    options = ("--plugin-dir", plugin, "--engine", "local", "--dataset", data)
    row = json.loads(call(tmp_path / "home", run, "--plugin", "blocks", *options, "--json").stdout)["run"]
    arguments = (row, "--to", tmp_path / "to", "--public-split", "test", "--jobs", 1, "--json")
    folder = Path(json.loads(call(tmp_path / "home", submit, *arguments).stdout)["folder"])
    same = call(tmp_path / "other", verify, folder, "--rerun", "as-it-was", *options).stdout
    assert "6 of 6 masks are the same; it was not isolated, so that no level follows" in same
    word = ("--raise-as", "ada", "--key", keys / "key")
    refused = call(tmp_path / "other", verify, folder, "--rerun", "as-it-was", *options, *word, code=2)
    assert "nor was the image run again, isolated" in str(refused.exception)
    monkeypatch.setattr(rerun, "_isolated", lambda _: True)  # as in a container
    jittered = call(tmp_path / "other", verify, folder, "--rerun", "jittered", *options, *word)
    assert "pass  run again" in jittered.stdout
    said = json.loads((folder / "verification.json").read_text())
    assert (said["level"], said["how"], said["tolerance"]) == ("reproduced", "run again, jittered", 0.02)
    lines = call(tmp_path / "other", verify, folder, "--signers", keys / "signers").stdout
    assert "level: reproduced, signed" in lines
    assert list((tmp_path / "other").glob(".rerun-*")) == []
    (plugin / "adapter.py").write_text(ADAPTER.replace("-780", "-700"))
    other = call(tmp_path / "other", verify, folder, "--rerun", "as-it-was", *options, code=4)
    assert "is another one" in str(other.exception)
