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
    """And reads the commit that the plugin's image is built from."""
    functions = {node.name for node in ast.parse((HERE / "experiments.py").read_text()).body if hasattr(node, "name")}
    for experiment in fidelity.EXPERIMENTS:
        assert experiment.name in functions
        model = discover().get(experiment.model).model
        if experiment.needs:
            repository, _ = experiment.needs
            assert any(
                source.commit == repository.commit and source.git.endswith(f"/{repository.name}")
                for source in model.sources
            )


def test_what_is_not_here_is_skipped_with_what_it_needs(
    fidelity: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without a clone or an image nothing is run, and nothing is fetched."""
    monkeypatch.setattr(fidelity, "image_of", lambda *_: "")
    monkeypatch.setattr(fidelity, "run", lambda *_: pytest.fail("it was run"))
    found = dict(fidelity.compare(fidelity.EXPERIMENTS, tmp_path, tmp_path / "none"))
    said = {experiment.name: result for experiment, result in found.items()}
    assert said["sat_windows"] == "skipped: no clone with SAT at 5676be5a62f5"
    assert said["medsam2_frames"] == "skipped: no clone with MedSAM2 at 332f30d420f1"


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
    wanted = fidelity.Repository("Wanted", git("-C", "some name", "rev-parse", "HEAD"))
    clone = fidelity.find(tmp_path, wanted)
    assert clone == tmp_path / "some name"
    fidelity.take(clone, wanted, "script.py", tmp_path / "files")
    assert "some name" in (tmp_path / "files" / "Wanted" / "script.py").read_text()
    assert fidelity.find(tmp_path / "absent", wanted) is None


def test_a_number_beyond_its_bound_fails(fidelity: ModuleType) -> None:
    """So does an error; only numbers within their bound are kept."""
    experiment = fidelity.EXPERIMENTS[0]
    assert fidelity.passed(experiment, experiment.most)
    assert not fidelity.passed(experiment, experiment.most + 1)
    assert not fidelity.passed(experiment, "ValueError: no")


def test_the_recorded_numbers_are_within_todays_bounds(fidelity: ModuleType) -> None:
    """The page shows no comparison that would fail."""
    record = json.loads(fidelity.RECORD.read_text())
    by_name = {experiment.name: experiment for experiment in fidelity.EXPERIMENTS}
    assert record.keys() <= by_name.keys()
    for name, ran in record.items():
        assert fidelity.passed(by_name[name], ran["result"]), name
