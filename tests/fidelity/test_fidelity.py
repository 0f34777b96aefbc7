"""The comparisons with upstream: what they are, what they need, and what is said when something is missing."""

from __future__ import annotations

import ast
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from harness.registry.discovery import discover

pytestmark = pytest.mark.costly

HERE = Path(__file__).parent


@pytest.fixture
def fidelity(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("fidelity", HERE / "fidelity.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "fidelity", module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_every_experiment_is_a_function_of_a_model_at_its_pinned_commit(fidelity: ModuleType) -> None:
    """And reads the commit that the plugin's image is built from, or that its README names beside a package."""
    functions = {
        node.name
        for path in HERE.glob("*_models.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef)
    }
    for experiment in fidelity.EXPERIMENTS:
        assert experiment.name in functions
        plugin = discover().get(experiment.model)
        if experiment.needs:
            stated = [source.commit for source in plugin.model.sources]
            readme = (fidelity.ROOT / "plugins" / experiment.model.replace("-", "_") / "README.md").read_text()
            commit = experiment.needs[0].commit
            assert commit in stated or f"`{commit}`" in readme


def test_versions_are_those_of_the_plugins(fidelity: ModuleType) -> None:
    """What a plugin that is compared pins is pinned alike, so that the table speaks of what its image has."""
    pinned = dict(
        line.lower().split("==") for line in (HERE / "requirements.txt").read_text().splitlines() if "==" in line
    )
    for model in {experiment.model for experiment in fidelity.EXPERIMENTS}:
        stated = (fidelity.ROOT / "plugins" / model.replace("-", "_") / "requirements.in").read_text().lower()
        for name, version in (line.split("==") for line in stated.splitlines() if "==" in line):
            assert pinned.get(name, version) == version, f"{model}: {name}"


def test_what_is_not_here_is_skipped_with_what_it_needs(
    fidelity: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without a clone or a Python nothing is run, and nothing is fetched."""
    monkeypatch.setattr(fidelity, "run", lambda *_: ("ran", ""))
    said = fidelity.compare(fidelity.EXPERIMENTS, tmp_path / "python", tmp_path / "none")
    assert {text for text, _ in said.values()} == {
        "skipped: no Python with tests/fidelity/requirements.txt; name it in FIDELITY_PYTHON"
    }
    monkeypatch.setattr(fidelity, "lacking", lambda _: "")
    said = fidelity.compare(fidelity.EXPERIMENTS, tmp_path / "python", tmp_path / "none")
    assert said["sat_windows"] == ("skipped: no clone with SAT at 5676be5a62f5", "")
    assert said["voxtell_axes"] == ("ran", "")


def test_a_python_is_asked_for_every_version(
    fidelity: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What it lacks is named, another version too; a local build of a version is that version."""
    monkeypatch.setattr(fidelity, "HERE", tmp_path)
    monkeypatch.setattr(fidelity, "ROOT", tmp_path)
    (tmp_path / "requirements.txt").write_text("# why\npytest\nnumpy==0.1\nno-such-thing==1\n")
    said = fidelity.lacking(Path(sys.executable))
    assert said.endswith("lacks numpy==0.1, no-such-thing==1; install requirements.txt")
    (tmp_path / "requirements.txt").write_text("pytest\n")
    assert fidelity.lacking(Path(sys.executable)) == ""


def test_a_clone_is_found_by_its_content(fidelity: ModuleType, tmp_path: Path) -> None:
    """Whatever it is called, bare or not; one without the commit is passed over."""

    def git(*arguments: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        ended = subprocess.run(["git", *who, *arguments], check=True, capture_output=True, text=True, cwd=tmp_path)
        return ended.stdout.strip()

    for name in ("other", "some name"):
        git("init", "-q", name)
        (tmp_path / name / "script.py").write_text(f"def f():\n    return {name!r}\n")
        git("-C", name, "add", ".")
        git("-C", name, "commit", "-qm", name)
    wanted = fidelity.Files("Wanted", git("-C", "some name", "rev-parse", "HEAD"), ("script.py",))
    clone = fidelity.find(tmp_path, wanted)
    assert clone == tmp_path / "some name"
    fidelity.take(clone, wanted, tmp_path / "files")
    assert "some name" in (tmp_path / "files" / "Wanted" / "script.py").read_text()
    assert fidelity.find(tmp_path / "absent", wanted) is None


def test_a_number_beyond_its_bound_fails(fidelity: ModuleType) -> None:
    """So does an error; only numbers within their bound are kept."""
    experiment = fidelity.EXPERIMENTS[0]
    assert fidelity.passed(experiment, experiment.most)
    assert not fidelity.passed(experiment, experiment.most + 1)
    assert not fidelity.passed(experiment, "ValueError: no")
    assert not fidelity.passed(experiment, float("nan"))


def test_the_recorded_numbers_are_within_todays_bounds(fidelity: ModuleType) -> None:
    """The page shows no comparison that would fail."""
    record = json.loads(fidelity.RECORD.read_text())
    by_name = {experiment.name: experiment for experiment in fidelity.EXPERIMENTS}
    assert record.keys() <= by_name.keys()
    for name, ran in record.items():
        assert fidelity.passed(by_name[name], ran["result"]), name
