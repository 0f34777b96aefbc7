"""The packaging examples of the reference hold what an image is built from; what a wheel lacks is named."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from harness.authoring.check import check_statically
from harness.authoring.new import NewPlugin, write_plugin
from harness.authoring.packing import check_packing
from harness.authoring.verdict import Surroundings
from harness.registry.discovery import discover
from harness.sandbox.stop import Stop

PAGE = Path(__file__).resolve().parents[3] / "docs" / "plugin-reference.md"
EXAMPLES = re.findall(r"```toml\n(\[build-system\].*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
DEFAULTS = """
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"
[project]
name = "groundbench-my-model"
version = "1.0.0"
"""


def _packed(project: str, folder: Path) -> tuple[str, str]:
    new = NewPlugin("my-model", image="python:3.11-slim-bookworm")
    (write_plugin(new, folder / "plugin") / "pyproject.toml").write_text(project, encoding="utf-8")
    plugin = discover((folder / "plugin",)).get("my-model")
    check = check_packing(plugin, folder / "wheels")
    return check.outcome, check.found


@pytest.mark.costly
def test_the_example_with_hatchling_packs_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Built with what is installed here."""
    monkeypatch.setenv("PIP_NO_BUILD_ISOLATION", "0")
    (example,) = (block for block in EXAMPLES if "hatchling" in block)
    assert _packed(example, tmp_path)[0] == "pass"


#: Builds as setuptools does, which is not among our packages: with folders beside the project.
BACKEND = """
import pathlib, zipfile

def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "my_model-1.0-py3-none-any.whl"
    for made in ("build", "my_model.egg-info", "src/my_model.egg-info"):
        pathlib.Path(made).mkdir(exist_ok=True)
    with zipfile.ZipFile(pathlib.Path(folder) / name, "w") as wheel:
        for path in pathlib.Path("src/my_model").rglob("*"):
            wheel.write(path, path.relative_to("src"))
        wheel.writestr("my_model-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: my_model\\nVersion: 1.0\\n")
        wheel.writestr("my_model-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
        wheel.writestr("my_model-1.0.dist-info/RECORD", "")
    return name
"""


@pytest.mark.costly
def test_a_package_below_src_is_packed_and_nothing_of_the_build_stays(tmp_path: Path) -> None:
    """What was there before the check stays, also where a build would have made it."""
    folder = write_plugin(NewPlugin("my-model"), tmp_path / "plugin")
    (folder / "src").mkdir()
    (folder / "my_model").rename(folder / "src" / "my_model")
    (folder / "backend.py").write_text(BACKEND, encoding="utf-8")
    build = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    (folder / "pyproject.toml").write_text(f'{build}[project]\nname = "my-model"\nversion = "1.0"\n', encoding="utf-8")
    (folder / "build").mkdir()
    check = check_packing(discover((folder / "src" / "my_model",)).get("my-model"), tmp_path / "wheels")
    assert (check.outcome, check.found) == (
        "pass",
        "my_model-1.0-py3-none-any.whl holds the 5 files that the image needs",
    )
    assert (folder / "build").is_dir()
    assert list(folder.rglob("*.egg-info")) == []


@pytest.mark.network
@pytest.mark.slow
def test_the_example_with_setuptools_packs_everything_and_its_defaults_do_not(tmp_path: Path) -> None:
    """Setuptools is not among our packages: pip brings it."""
    (example,) = (block for block in EXAMPLES if "setuptools" in block)
    assert _packed(example, tmp_path / "told")[0] == "pass"
    outcome, found = _packed(DEFAULTS, tmp_path / "untold")
    assert outcome == "FAIL"
    assert "Dockerfile" in found


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_what_is_no_file_fails(kind: str, tmp_path: Path) -> None:
    """An adapter that is a link would be another one elsewhere; nothing is built of it."""
    adapter = write_plugin(NewPlugin("my-model"), tmp_path / "plugin") / "my_model" / "adapter.py"
    adapter.rename(tmp_path / "adapter.py")
    if kind == "link":
        adapter.symlink_to(tmp_path / "adapter.py")
    else:
        os.mkfifo(adapter)
    plugin = discover((tmp_path / "plugin",)).get("my-model")
    around = Surroundings(tmp_path, tmp_path, "local", lambda _: None, Stop())
    _, check = check_statically(plugin, plugin.variant(None), around)
    assert (check.outcome, "adapter.py is a link or a special file" in check.found) == ("FAIL", True)
    assert check.fix
