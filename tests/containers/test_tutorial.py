"""The tutorial works as it is written: its files make the plugin, its commands run in order."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from harness.registry.discovery import discover

if TYPE_CHECKING:
    from conftest import Bench

pytestmark = pytest.mark.costly

DOCS = Path(__file__).resolve().parents[2] / "docs"
TEXT = (DOCS / "tutorial.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`(my-threshold/[^`]+)`\n\n```\w+\n(.*?)^```$", TEXT, flags=re.DOTALL | re.MULTILINE))
COMMANDS = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```$", TEXT, flags=re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
]
SMALLEST = (DOCS / "training.md").read_text(encoding="utf-8").split("\n## ")[2]
LEARNING = re.findall(r"^```\w+\n(.*?)^```$", SMALLEST, flags=re.DOTALL | re.MULTILINE)


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """Write the plugin as a reader of the tutorial would."""
    for name, content in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return tmp_path / "my-threshold"


def _run(command: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    program, *arguments = shlex.split(command)
    assert program == "bench"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BENCH_")}
    done = subprocess.run(
        [sys.executable, "-m", "harness", *arguments],
        cwd=folder,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Make a smaller phantom than the one that a reader gets."""
    folder = tmp_path_factory.mktemp("data")
    _run("bench data phantom phantom --cases 5 --size small", folder)
    return str(folder / "phantom")


def test_every_block_is_a_file_or_a_command() -> None:
    """Nothing in the tutorial escapes these tests."""
    assert sorted(FILES) == [f"my-threshold/{name}" for name in ("adapter.py", "plugin.toml", "requirements.lock")]
    assert TEXT.count("```") == 2 * (len(FILES) + TEXT.count("```sh"))
    assert [c for c in COMMANDS if not c.startswith("bench ")] == ["mkdir my-threshold"]


def test_registry_takes_the_plugin(plugin: Path) -> None:
    """The declaration is found by its folder, and nothing of it is broken."""
    registry = discover((plugin,))
    assert registry.broken == []
    found = registry.get("my-threshold")
    assert found.origin == str(plugin)
    assert not found.granted_truth


def test_adapter_answers_by_the_words_of_the_finding(bench: Bench) -> None:
    """A known word chooses its range of Hounsfield units, any other text the variant's parameters."""
    bench.ask({"a": ["0", "1"]}, low=-900, high=-880)
    lines = (bench.root / "cases.jsonl").read_text(encoding="utf-8")
    (bench.root / "cases.jsonl").write_text(lines.replace("nodule 1", "Centrilobular EMPHYSEMA"), encoding="utf-8")
    done = bench.run_adapter(FILES["my-threshold/adapter.py"] + "\nMine = Threshold\n")
    assert done.returncode == 0, done.stderr
    volume = np.arange(np.prod(bench.shape)).reshape(bench.shape) - 1000
    np.testing.assert_array_equal(bench.mask("a", "0").dataobj, (volume >= -900) & (volume < -880))
    np.testing.assert_array_equal(bench.mask("a", "1").dataobj, volume < -950)


def test_the_page_works_in_its_order(tmp_path: Path, phantom: str) -> None:
    """A file is written and a command is run when the page comes to it; each command ends well."""
    for name, block in re.findall(
        r"(?:^`(my-threshold/[^`]+)`\n\n)?^```\w+\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE
    ):
        if name:
            (tmp_path / name).write_text(block, encoding="utf-8")
            continue
        for command in block.splitlines():
            if command == "mkdir my-threshold":
                (tmp_path / "my-threshold").mkdir()
            elif "--engine docker" not in command:
                local = " --engine local" if command.startswith("bench plugin check") else ""
                done = _run(command + local, tmp_path, BENCH_RUN_DATASET=phantom)
                assert "my-threshold" in done.stdout or "--out site" in command
    assert "My threshold" in (tmp_path / "site" / "index.html").read_text(encoding="utf-8")


def test_the_plugin_learns_as_the_page_on_training_says(plugin: Path, phantom: str) -> None:
    """With the page's variants and adapter, its command trains, delivers learned ranges, and predicts with them."""
    variant, adapter, command = LEARNING
    with (plugin / "plugin.toml").open("a", encoding="utf-8") as declaration:
        declaration.write(variant)
    (plugin / "adapter.py").write_text(adapter, encoding="utf-8")
    local = {"BENCH_RUN_DATASET": phantom, "BENCH_RUN_ENGINE": "local"}
    shown = json.loads(_run(f"{command.strip()} --json", plugin.parent, **local).stdout)
    assert set(shown["coverage"]) == {"ok"}
    (learned,) = plugin.parent.glob(".bench/checkpoints/*/**/ranges.json")
    ranges = json.loads(learned.read_text(encoding="utf-8"))
    assert list(ranges)[-1] == ""
    assert ranges[""] != [-100, 200]
    assert all(low < high for low, high in ranges.values())


@pytest.mark.docker
def test_container_gives_what_the_local_engine_gives(plugin: Path, phantom: str) -> None:
    """The image of the tutorial builds, and its container delivers the same masks as the plain process."""
    (command,) = (command for command in COMMANDS if "--engine docker" in command)
    contained, local = (
        json.loads(_run(f"{command.replace('docker', engine)} --json", plugin.parent, BENCH_RUN_DATASET=phantom).stdout)
        for engine in ("docker", "local")
    )
    assert set(contained["coverage"]) == {"ok"}
    assert contained["metrics"] == local["metrics"]
