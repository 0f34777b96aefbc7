"""A model that follows the contract passes every check; each fault has a line of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.authoring import behaviour, check
from harness.authoring.check import check_plugin, check_statically
from harness.authoring.new import NewPlugin, write_plugin
from harness.authoring.torture import forms
from harness.authoring.verdict import PluginCheck, Surroundings
from harness.registry.declaration import NOT_STATED
from harness.registry.discovery import Plugin, discover
from harness.registry.origins import ours
from harness.sandbox.stop import Stop

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


def _statically(plugin: Plugin) -> list[PluginCheck]:
    around = Surroundings(Path("none"), Path("none"), "local", lambda _: None, Stop())
    return [check for variant in plugin.model.variants for check in check_statically(plugin, variant, around)]


@pytest.mark.parametrize("plugin", discover().plugins.values(), ids=lambda plugin: plugin.name)
def test_ours_pass_what_needs_no_image(plugin: Plugin) -> None:
    """Every variant of every model that comes along; what nobody here could know is skipped, with the reason.

    What needs an image of torch is run by the smoke tests (`make models-smoke`), `tiny` and `rules` end to end.
    """
    for one in _statically(plugin):
        open_points = "not pinned: " in one.found
        assert (one.name, one.outcome) in {("declares", "skip" if open_points else "pass"), ("packs", "skip")}
        assert one.outcome == "pass" or open_points or one.found == "there is no pyproject.toml beside it"


def test_a_stranger_pins_what_is_loaded_and_says_what_it_has_seen() -> None:
    """Nobody but its author has the file; why an exposure is unknown is a statement, and silence is none."""
    known = discover().get("biomedparse-v2")
    theirs = replace(discover().get("segvol"), model=replace(discover().get("segvol").model, root=Path("elsewhere")))
    assert known.variant(None).exposure.value == "unknown"
    assert _statically(known)[0].outcome == "pass"
    found = check._declares(theirs, theirs.variant(None))
    assert (found.outcome, found.found) == ("FAIL", "not pinned: SegVol_v1.pth")
    silent = replace(known.variant(None), exposure=NOT_STATED)
    found = check._declares(known, silent)
    assert (found.outcome, found.found) == ("FAIL", "not stated: exposure")


#: Of what follows from the boxes or the truth, not from how a CT is stored, a form of each kind.
FEW = ("16-bit integers", "16-bit integers, big-endian", "two axes reversed", "a single slice", "boxes at the border")

#: What else is skipped, and why, of the models whose answers are known.
KNOWN = {
    "full": {"heeds its prompt": "the same mask, whatever its text; it is a known answer, made from the truth"},
    "shifted": {"orients": "where the array has two axes reversed; it is a known answer, made from the truth"},
    "dropped": {
        "answers": "every form: missing_output, a mask was not delivered; a known answer may leave findings out",
        **dict.fromkeys(
            ("reads", "orients", "repeats", "heeds its prompt"),
            "no CT has a mask for every finding, so that nothing can be compared",
        ),
    },
    "empty": {
        **dict.fromkeys(("reads", "orients"), "the plain CT has no mask with a voxel, so that nothing can be compared"),
        "repeats": "no form has a mask with a voxel",
        "heeds its prompt": "every mask is empty",
    },
}


@pytest.mark.costly
@pytest.mark.parametrize("name", ["ellipsoid", "oracle", "empty", "full", "shifted", "flipped", "dropped"])
def test_a_control_or_a_known_answer_passes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_row: None
) -> None:
    """What it cannot do by what it is, as its declaration says, is skipped with that reason."""
    monkeypatch.setattr(check, "forms", lambda **of: (form for form in forms(**of) if form.words in FEW))
    found = _whole(name, tmp_path)
    skipped = {one.name: one.found for one in found if one.outcome == "skip"}
    assert {one.found for one in found if one.outcome == "FAIL"} == set()
    assert skipped.keys() - KNOWN.get(name, {}).keys() == {"packs", "builds", "trains", "row"}
    for line, why in KNOWN.get(name, {}).items():
        assert skipped[line].endswith(why)


@pytest.mark.parametrize(
    ("name", "sees", "line", "outcome"),
    [
        ("ellipsoid", "nothing", "heeds its prompt", "skip"),
        ("ellipsoid", "nothing", "row", "skip"),
        ("ellipsoid", "nothing", "orients", "FAIL"),
        ("ellipsoid", "3-D", "heeds its prompt", "FAIL"),
        ("oracle", "nothing", "reads", "FAIL"),
        ("oracle", "nothing", "row", "skip"),
    ],
)
def test_what_a_control_need_not_do_follows_from_its_declaration(name: str, sees: str, line: str, outcome: str) -> None:
    """One that says that it sees nothing of a CT, or that was granted the truth; nothing else is excused."""
    plugin = discover().get(name)
    plugin = replace(plugin, model=replace(plugin.model, sees=ours(sees, "as it says")))
    found = check._by_design(PluginCheck(line, "FAIL", "as found", "what to do"), plugin)
    assert found.outcome == outcome
    assert (found.fix == "") == (outcome == "skip")


@pytest.mark.costly
def test_a_light_one_of_ours_passes_in_every_form(tmp_path: Path, no_row: None) -> None:
    """It reads no voxel, and so reads every form alike; in its container `rules` is tried end to end."""
    found = _whole("box", tmp_path)
    assert {check.name for check in found if check.outcome != "pass"} == {"packs", "builds", "trains", "row"}
    assert {check.outcome for check in found} == {"pass", "skip"}


def _whole(name: str, tmp_path: Path) -> list[PluginCheck]:
    plugin = discover().get(name)
    around = Surroundings(tmp_path / "work", tmp_path, "local", lambda _: None, Stop())
    return list(check_plugin(plugin, plugin.variant(None), around))


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
    assert said["repeats"].startswith("other masks under other names and in another order: ")
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
