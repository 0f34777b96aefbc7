"""What is installed is safe from other people's packages of the same names, and they from ours."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import site
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from hatchling.build import build_editable, build_wheel

ROOT = Path(__file__).resolve().parents[1]
OURS = ("harness", "plugins", "containers", "curation", "leaderboard")
pytestmark = pytest.mark.costly

#: Imports something of each package, as a command does, and says where it lies.
WHERE = """
import groundbench, json
groundbench.import_ours_first()
import curation.cli, groundbench_sdk.testing, harness.cli, leaderboard.commands.leaderboard, plugins.rules
print(json.dumps([m.__file__ for m in (curation, groundbench_sdk, harness, leaderboard, plugins)]))
"""


@pytest.fixture(params=[build_wheel, build_editable])
def installed(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment with the wheel, or with a link to the repository; the libraries are borrowed from this one."""
    monkeypatch.chdir(ROOT)
    wheel = tmp_path / request.param(str(tmp_path))
    venv.create(tmp_path / "env", with_pip=False)
    (packages,) = (tmp_path / "env").glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    borrowed = [path for path in (*site.getsitepackages(), *sys.path) if path.endswith("site-packages")]
    (packages / "borrowed.pth").write_text("\n".join(dict.fromkeys(borrowed)) + "\n", encoding="utf-8")
    return packages


def _python(packages: Path, *arguments: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BENCH_", "PYTHON"))}
    python = packages.parents[2] / "bin" / "python"
    command = [str(python), "-B", *arguments]
    done = subprocess.run(command, cwd=packages.parents[2], env=kept, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _pip(packages: Path, *arguments: str) -> None:
    python = packages.parents[2] / "bin" / "python"
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--python", str(python)]
    subprocess.run([*command, *arguments], check=True, capture_output=True)


def _strangers_wheel(folder: Path) -> Path:
    """Write a wheel that imitates the repository's folders: a model in ``plugins/``, and other people's packages."""
    files = {f"{name}/__init__.py": f"raise RuntimeError('this {name} is not that of groundbench')\n" for name in OURS}
    files |= {"plugins/__init__.py": "", "plugins/mine/__init__.py": "MINE = 1\n"}
    files["mine-1.dist-info/METADATA"] = "Metadata-Version: 2.1\nName: mine\nVersion: 1\n"
    files["mine-1.dist-info/WHEEL"] = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files["mine-1.dist-info/entry_points.txt"] = "[groundbench.plugins]\nmine = plugins.mine\n"
    digests = {
        name: base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        for name, text in files.items()
    }
    files["mine-1.dist-info/RECORD"] = "".join(
        f"{name},sha256={digests[name]},{len(text)}\n" for name, text in files.items()
    )
    with zipfile.ZipFile(folder / "mine-1-py3-none-any.whl", "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return folder / "mine-1-py3-none-any.whl"


def _files(packages: Path) -> dict[str, bytes]:
    return {str(path.relative_to(packages)): path.read_bytes() for path in packages.rglob("*") if path.is_file()}


def test_a_strangers_packages_and_ours_live_side_by_side(installed: Path, tmp_path: Path) -> None:
    """Installed over ours and removed again, they change no file of ours; commands find ours, other programs theirs."""
    before, where = _files(installed), json.loads(_python(installed, "-c", WHERE))
    assert all(Path(path).is_relative_to(installed / "groundbench_rooms") for path in where) or all(
        Path(path).is_relative_to(ROOT) for path in where
    )
    _pip(installed, "install", "--no-deps", "--no-index", str(_strangers_wheel(tmp_path)))
    assert json.loads(_python(installed, "-c", WHERE)) == where
    assert _python(installed, "-c", "import plugins.mine; print(plugins.mine.MINE)") == "1\n"
    listed = json.loads(_python(installed, "-m", "groundbench", "list", "--json"))
    (broken,) = (row for row in listed["broken"] if row["name"] == "mine")
    assert "its package plugins has the name of one of groundbench's" in broken["reason"]
    _pip(installed, "uninstall", "--yes", "mine")
    assert _files(installed) == before
    assert json.loads(_python(installed, "-c", WHERE)) == where
