"""``bench plugin check`` of models in their containers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.authoring.new import NewPlugin, write_plugin
from tests.conftest import Bench

PASSED = ["declares", "builds", "answers", "reads", "orients", "repeats", "heeds", "behaves", "row"]


@pytest.mark.docker
@pytest.mark.parametrize("name", ["rules", "ellipsoid"])
def test_models_of_ours_pass(name: str, base_image: str, bench: Bench) -> None:
    """One prompted with text, one with boxes; nothing is left in the home but the image's log."""
    document = bench.json("plugin", "check", name, "--engine", "docker")
    assert [check["name"].split()[0] for check in document["checks"] if check["outcome"] == "pass"] == PASSED
    assert [check["name"] for check in document["checks"] if check["outcome"] == "skip"] == ["packs", "trains"]
    assert sorted(path.name for path in bench.home.iterdir() if path.name.startswith(".check")) == []


@pytest.mark.docker
def test_a_program_without_the_sdk_passes(
    base_image: str, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ``plugin new --lang none`` writes follows the contract by itself; as a table for a pull request."""
    monkeypatch.setenv("PIP_NO_BUILD_ISOLATION", "0")
    folder = write_plugin(NewPlugin("my-program", sdk=False), tmp_path / "my-program")
    bench.environment["PIP_NO_BUILD_ISOLATION"] = "0"
    table = bench("plugin", "check", folder, "--engine", "docker", "--markdown").stdout.splitlines()
    assert table[0] == "my-program 0.1.0, zero-shot: 10 pass, 0 FAIL, 1 skip"
    assert sorted(row.split(" | ")[1] for row in table[4:]) == ["pass"] * 10 + ["skip"]


def test_what_fails_ends_with_1(bench: Bench, tmp_path: Path) -> None:
    """A declaration that cannot be read, and a model that does not pass."""
    folder = write_plugin(NewPlugin("my-text"), tmp_path / "my-text")
    inside = folder / "my_text"
    (inside / "adapter.py").write_text("class MyText:\n    def load(self, job): raise OSError('no model')\n")
    ended = bench("plugin", "check", inside, "--engine", "local", "--json", code=1)
    outcomes = {check["name"]: check["outcome"] for check in json.loads(ended.stdout)["checks"]}
    assert (outcomes["answers"], outcomes["heeds its prompt"]) == ("FAIL", "skip")
    with (inside / "plugin.toml").open("a", encoding="utf-8") as file:
        file.write("oops = 1\n")
    ended = bench("plugin", "check", folder, code=3)
    assert "oops is not a key of a declaration" in ended.stderr
