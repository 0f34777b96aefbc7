"""A model that follows the contract passes every check; each fault has a line of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.authoring import behaviour, check
from harness.authoring.check import check_plugin, check_statically
from harness.authoring.new import NewPlugin, write_plugin
from harness.authoring.verdict import PluginCheck, Surroundings
from harness.registry.discovery import discover
from harness.sandbox.watch import Stop

#: All lines, in their order.
LINES = (
    *("declares", "packs", "builds", "trains", "answers", "reads", "orients", "repeats", "heeds its prompt"),
    *("behaves", "row"),
)

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
        self.seen = getattr(self, "seen", 0) + 1  # what came before decides
        mask[0, 0, 0] = self.seen > 9
        for finding in case.findings:
            yield finding.id, mask
"""


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pip build with what is installed here; to a stranger it brings the packing tool of his choice."""
    monkeypatch.setenv("PIP_NO_BUILD_ISOLATION", "0")


@pytest.fixture
def no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the row beside other models, which is the same whatever the fault."""
    monkeypatch.setattr(check, "check_row", lambda *_: PluginCheck("row", "skip", "left out"))


def _checked(folder: Path, work: Path, name: str, variant: str | None = None) -> dict[str, PluginCheck]:
    registry = discover((folder,))
    assert registry.broken == []
    plugin = registry.get(name)
    work.mkdir()
    around = Surroundings(work, work.parent, "local", lambda _: None, Stop())
    return {check.name: check for check in check_plugin(plugin, plugin.variant(variant), around)}


def _adapter(folder: Path, body: str) -> None:
    head = "import signal, time\nfrom groundbench_sdk import Adapter\nclass MyText(Adapter):\n"
    (folder / "my_text" / "adapter.py").write_text(head + body, encoding="utf-8")


@pytest.mark.costly
@pytest.mark.parametrize("new", [NewPlugin("my-text", trainable=True), NewPlugin("my-box", prompt="box")])
def test_what_plugin_new_writes_passes(new: NewPlugin, tmp_path: Path) -> None:
    """Every check, also of the variant that is trained first, killed on the way and taken up again."""
    folder = write_plugin(new, tmp_path / "plugin")
    found = _checked(folder, tmp_path / "work", new.name, "fine-tuned" if new.trainable else None)
    assert tuple(found) == LINES
    skipped = {"builds", "row" if new.trainable else "trains"}
    assert {name for name, check in found.items() if check.outcome == "skip"} == skipped
    assert {name: check.found for name, check in found.items() if check.outcome == "FAIL"} == {}
    if new.trainable:
        assert found["trains"].found.endswith("; its checkpoint predicts")
    else:
        assert "beside it empty 0, ellipsoid (box) 0." in found["row"].found


def test_ours_are_declared_as_a_strangers_has_to_be() -> None:
    """Of every model that comes along: what is not stated or not pinned says so, and nothing else is wrong.

    What needs an image of torch is run by the smoke tests (`make models-smoke`), `rules` and the known answers by
    tests of their own.
    """
    open_points = set()
    around = Surroundings(Path("none"), Path("none"), "local", lambda _: None, Stop())
    for plugin in discover().plugins.values():
        for variant in plugin.model.variants:
            for found in check_statically(plugin, variant, around):
                assert found.name in {"declares", "packs"}
                if found.outcome == "FAIL":
                    open_points |= {part.partition(":")[0] for part in found.found.split("; ")}
                    assert "licence" not in found.found
    assert open_points <= {"not stated", "not pinned"}


@pytest.mark.costly
@pytest.mark.parametrize("name", ["box", "ellipsoid"])
def test_a_light_one_of_ours_passes_the_whole(name: str, tmp_path: Path, no_row: None) -> None:
    """They read no voxel, and so read every form alike; in its container `rules` is tried end to end."""
    plugin = discover().get(name)
    around = Surroundings(tmp_path / "work", tmp_path, "local", lambda _: None, Stop())
    found = list(check_plugin(plugin, plugin.variant(None), around))
    assert {check.name for check in found if check.outcome != "pass"} == {"packs", "builds", "trains", "row"}
    assert {check.outcome for check in found} == {"pass", "skip"}


@pytest.mark.costly
def test_each_fault_has_its_line(tmp_path: Path, no_row: None) -> None:
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
    assert {name for name, check in found.items() if check.outcome != "FAIL"} == {"builds", "trains", "behaves", "row"}
    said = {name: check.found for name, check in found.items()}
    assert said["declares"] == "not stated: licence"
    assert said["packs"] == "the wheel lacks requirements.lock, which the image needs"
    assert "a single slice: plugin_error, ValueError: a single slice" in said["answers"]
    assert "big-endian" in said["reads"]
    assert "two axes reversed" in said["orients"]
    assert "16-bit integers" in said["repeats"]
    assert said["heeds its prompt"] == "every finding of a CT has the same mask, whatever its text"
    assert all(check.fix for check in found.values() if check.outcome == "FAIL")


@pytest.mark.costly
def test_nothing_is_said_of_masks_that_hold_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_row: None
) -> None:
    """A model that finds nothing was not seen to read, to turn, to repeat or to heed; here, it does not end either."""
    monkeypatch.setattr(behaviour, "_GRACE_S", 0.2)
    folder = write_plugin(NewPlugin("my-text"), tmp_path / "plugin")
    _adapter(
        folder,
        """
    broken = False

    def load(self, job):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def predict(self, case):
        if self.broken:
            raise ValueError("it is broken")
        self.broken = True  # until a case has been read
        mask = case.volume() > 9999
        self.broken = False
        time.sleep(0.1)
        return [(finding.id, mask) for finding in case.findings]
""",
    )
    found = _checked(folder, tmp_path / "work", "my-text")
    assert found["answers"].outcome == "pass"
    assert {found[name].outcome for name in ("reads", "orients", "repeats", "heeds its prompt")} == {"skip"}
    assert found["behaves"].outcome == "FAIL"
    assert "after a CT that cannot be read, others failed until" in found["behaves"].found
    assert "it still ran 0.2 s after SIGTERM" in found["behaves"].found
