"""A model that follows the contract passes every check; each fault has a line of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.authoring.check import PluginCheck, Surroundings, check_plugin
from harness.authoring.new import NewPlugin, write_plugin
from harness.registry.discovery import discover
from harness.sandbox.watch import Stop

#: Reads a CT as a program would that knows one kind of file, goes by the case's name, and does not look at the text.
BLIND = """
import gzip
import numpy as np
from groundbench_sdk import Adapter

class MyText(Adapter):
    def predict(self, case):
        raw = case.path.read_bytes()
        raw = gzip.decompress(raw) if case.path.suffix == ".gz" else raw
        if case.shape[2] == 1:
            raise ValueError("a single slice")
        ct = np.frombuffer(raw[-2 * int(np.prod(case.shape)):], "<i2").reshape(case.shape, order="F")
        mask = ct > -100
        mask[: case.shape[0] // 2] = False  # of what the array begins with, wherever that lies
        mask[0, 0, 0] = int(case.id.split("_")[1]) % 2
        for finding in case.findings:
            yield finding.id, mask
"""


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pip build with what is installed here; to a stranger it brings the packing tool of his choice."""
    monkeypatch.setenv("PIP_NO_BUILD_ISOLATION", "0")


def _checked(folder: Path, work: Path, name: str, variant: str | None = None) -> dict[str, PluginCheck]:
    registry = discover((folder,))
    assert registry.broken == []
    plugin = registry.get(name)
    work.mkdir()
    around = Surroundings(work, work.parent, "local", lambda _: None, Stop())
    return {check.name: check for check in check_plugin(plugin, plugin.variant(variant), around)}


@pytest.mark.costly
@pytest.mark.parametrize("new", [NewPlugin("my-text", trainable=True), NewPlugin("my-box", prompt="box")])
def test_what_plugin_new_writes_passes(new: NewPlugin, tmp_path: Path) -> None:
    """Every check, also of the variant that is trained first."""
    folder = write_plugin(new, tmp_path / "plugin")
    found = _checked(folder, tmp_path / "work", new.name, "fine-tuned" if new.trainable else None)
    assert {name: (check.outcome, check.found) for name, check in found.items() if check.outcome != "pass"} == {}
    assert list(found) == ["declares", "packs", "answers", "reads", "orients", "repeats", "heeds its prompt"]


@pytest.mark.costly
def test_each_fault_has_its_line(tmp_path: Path) -> None:
    """Not stated, not packed, not answered, misread, not turned, not repeated, and the prompt not heeded."""
    folder = write_plugin(NewPlugin("my-text"), tmp_path / "plugin")
    inside = folder / "my_text"
    (inside / "adapter.py").write_text(BLIND, encoding="utf-8")
    declared = (inside / "plugin.toml").read_text(encoding="utf-8")
    (inside / "plugin.toml").write_text(declared.replace("Apache-2.0", "not stated"), encoding="utf-8")
    packing = '[tool.hatch.build.targets.wheel]\npackages = ["my_text"]\nexclude = ["*.lock"]\n'
    project = (folder / "pyproject.toml").read_text(encoding="utf-8").split("[tool.hatch")[0]
    (folder / "pyproject.toml").write_text(project + packing, encoding="utf-8")
    found = _checked(folder, tmp_path / "work", "my-text")
    assert {name: check.found for name, check in found.items() if check.outcome != "FAIL"} == {}
    said = {name: check.found for name, check in found.items()}
    assert said["declares"] == "not stated: licence"
    assert said["packs"] == "the wheel lacks requirements.lock, which the image needs"
    assert "a single slice: plugin_error, ValueError: a single slice" in said["answers"]
    assert "big-endian" in said["reads"]
    assert "two axes reversed" in said["orients"]
    assert "16-bit integers" in said["repeats"]
    assert said["heeds its prompt"] == "every finding of a CT has the same mask, whatever its text"
    assert all(check.fix for check in found.values())


@pytest.mark.costly
@pytest.mark.parametrize(
    ("body", "answers"),
    [("raise ValueError('no')", "FAIL"), ("return ((f.id, case.volume() > 9999) for f in case.findings)", "pass")],
)
def test_nothing_is_said_of_masks_that_hold_nothing(body: str, answers: str, tmp_path: Path) -> None:
    """A model that fails, or finds nothing, was not seen to read, to turn, to repeat or to heed anything."""
    folder = write_plugin(NewPlugin("my-text"), tmp_path / "plugin")
    adapter = (
        f"from groundbench_sdk import Adapter\nclass MyText(Adapter):\n    def predict(self, case):\n        {body}\n"
    )
    (folder / "my_text" / "adapter.py").write_text(adapter, encoding="utf-8")
    found = _checked(folder, tmp_path / "work", "my-text")
    assert found["answers"].outcome == answers
    assert {found[name].outcome for name in ("reads", "orients", "repeats", "heeds its prompt")} == {"skip"}
