"""What is installed is enough: the wheel alone, outside the repository, runs a model, builds a board, reads reports."""

from __future__ import annotations

import csv
import os
import site
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow

#: Kinds of files beside modules that commands need, each with one that must be in the wheel.
DATA = [
    "containers/base/torch.lock",
    "containers/sdk/groundbench_sdk/runtime.py",
    "curation/prompts/prompts.toml",
    "curation/prompts/rewrite.md",
    "leaderboard/assets/app.js",
    "leaderboard/assets/workflow.yml",
    "leaderboard/boards.json",
    "leaderboard/reported.json",
    "leaderboard/templates/base.html.j2",
    "plugins/rules/Dockerfile",
    "plugins/rules/requirements.lock",
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(ROOT)], check=True)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def bench(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack the wheel into an environment that borrows the libraries of this one, and return its Python."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False)
    (packages,) = folder.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    borrowed = [path for path in (*site.getsitepackages(), *sys.path) if path.endswith("site-packages")]
    (packages / "borrowed.pth").write_text("\n".join(dict.fromkeys(borrowed)) + "\n")
    return folder / "bin" / "python"


def run(python: Path, where: Path, *arguments: str) -> str:
    """Run ``bench`` from the wheel in a folder outside the repository, and return what it prints."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BENCH_", "PYTHON", "OPENAI_"))}
    command = [str(python), "-m", "groundbench", "--home", str(where / "home"), *arguments]
    done = subprocess.run(command, cwd=where, env=kept, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_has_what_commands_need(wheel: Path) -> None:
    """Templates, assets, prompts, locks, Dockerfiles and the SDK are in it: one of each by name, and all in all."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    held = {name.removeprefix("groundbench_rooms/") for name in names}
    assert not set(DATA) - held
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    rooms = ("harness/", "plugins/", "containers/", "curation/", "leaderboard/")
    assert not {name for name in tracked if name.startswith(rooms)} - held


def test_the_code_is_that_of_the_wheel(bench: Path, tmp_path: Path) -> None:
    """The commands below run what the wheel brought, not this checkout."""
    code = "import harness, plugins, curation, leaderboard as l; print(harness.__file__, l.__file__)"
    done = subprocess.run([str(bench), "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert str(ROOT) not in done.stdout
    assert str(bench.parents[1]) in done.stdout


def test_demo_and_board(bench: Path, tmp_path: Path) -> None:
    """The demo runs and draws its page; a board is built again with figures and Parquet files, and is in order."""
    assert "the leaderboard is at" in run(bench, tmp_path, "demo", "--engine", "local")
    run(bench, tmp_path, "leaderboard", "build", "--out", "site", "--cases", "public", "--dataset", "phantom")
    assert (tmp_path / "site" / "index.html").is_file()
    assert list((tmp_path / "site").rglob("*.parquet"))
    assert list((tmp_path / "site").rglob("*.webp"))
    run(bench, tmp_path, "leaderboard", "check", "site")


def test_curation(bench: Path, tmp_path: Path) -> None:
    """A report becomes findings with categories, offline."""
    with (tmp_path / "reports.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["VolumeName", "Findings_EN", "Impressions_EN"])
        rows.writerow(["case_1_a", "Heart size is normal. There is a 5 mm nodule in the right upper lobe.", "Nodule."])
    run(bench, tmp_path, "curate", "run", "reports.csv", "--out", "out", "--llm", "none")
    assert "nodule" in (tmp_path / "out" / "select.jsonl").read_text().lower()
