"""Bad input on the command line: an exit code, a sentence, a fix, and nothing half-written."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.costly

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a function that runs ``bench`` with its own home."""

    def call(*arguments: object, home: Path = tmp_path / "home", **options: object) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("BENCH_")}
        ended = subprocess.run(
            [sys.executable, "-m", "harness", "--home", str(home), *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            timeout=120,
            **options,  # type: ignore[call-overload]
        )
        assert "Traceback" not in ended.stderr, ended.stderr
        return ended

    return call


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Return a valid data set of one tiny case."""
    import nibabel as nib
    import numpy as np

    folder = tmp_path / "data"
    (folder / "ct").mkdir(parents=True)
    (folder / "seg").mkdir()
    name = "toy_1_a_1.nii.gz"
    truth = np.zeros((1, 8, 8, 8), np.uint8)
    truth[0, 2:4, 2:4, 2:4] = 1
    nib.save(nib.Nifti1Image(np.full((8, 8, 8), -800, np.int16), np.diag([-1.0, -1.0, 1.0, 1.0])), folder / "ct" / name)
    nib.save(nib.Nifti1Image(truth, np.eye(4)), folder / "seg" / name)
    entry = {"name": name, "findings": {"0": "A box"}, "entity_counts": {"0": 1}, "shape": [8, 8, 8],
             "pixels": {"0": 8}, "categories": {"0": "2d"}}  # fmt: skip
    (folder / "dataset.json").write_text(json.dumps({"train": [], "val": [], "test": [entry]}))
    return folder


def _failed(ended: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert ended.returncode == code, ended.stderr
    assert ended.stderr.splitlines()[-1].startswith("  fix: ") or code == 2, ended.stderr
    for word in words:
        assert word in ended.stderr


def test_no_path(run: Run, tmp_path: Path) -> None:
    """A data set that is not there is a usage error that names the path."""
    _failed(run("run", "--plugin", "empty", "--dataset", tmp_path / "nowhere", "--engine", "local"), 2, "nowhere")


def test_not_json(run: Run, dataset: Path) -> None:
    """An index that is not JSON is a data error that names the file."""
    (dataset / "dataset.json").write_text("{not json")
    _failed(run("run", "--plugin", "empty", "--dataset", dataset, "--engine", "local"), 4, "dataset.json")


def test_zero_cases(run: Run, dataset: Path) -> None:
    """A data set without any case is a data error; an empty split is one that names the splits with some."""
    base = ["run", "--plugin", "empty", "--dataset", dataset, "--engine", "local"]
    _failed(run(*base, "--split", "val"), 4, "does not contain any cases", "test")
    (dataset / "dataset.json").write_text(json.dumps({"train": [], "val": [], "test": []}))
    _failed(run(*base), 4, "does not contain any cases")


def test_unknown_names_get_their_neighbours(run: Run, dataset: Path) -> None:
    """An unknown split, plugin, variant or command is a usage error with the nearest known name."""
    base = ["run", "--dataset", dataset, "--engine", "local"]
    _failed(run(*base, "--plugin", "empty", "--split", "tset"), 2, "did you mean test")
    _failed(run(*base, "--plugin", "orcale"), 2, "did you mean oracle")
    _failed(run(*base, "--plugin", "empty", "--variant", "defualt"), 2, "did you mean default")
    _failed(run("rnu"), 2, "did you mean run")


def test_truncated_ct(run: Run, dataset: Path) -> None:
    """A CT whose stream breaks off is a data error before anything runs, and no run is recorded."""
    path = dataset / "ct" / "toy_1_a_1.nii.gz"
    path.write_bytes(path.read_bytes()[:-12])
    _failed(run("run", "--plugin", "rules", "--dataset", dataset, "--engine", "local"), 4, "toy_1_a_1", "ends before")
    assert json.loads(run("results", "list", "--json").stdout)["runs"] == []


def test_truncated_header_of_ct(run: Run, dataset: Path) -> None:
    """A CT without a whole header is a data error before anything runs."""
    (dataset / "ct" / "toy_1_a_1.nii.gz").write_bytes(gzip.compress(b"x" * 100))
    _failed(run("run", "--plugin", "empty", "--dataset", dataset, "--engine", "local"), 4, "toy_1_a_1")


def test_truncated_truth(run: Run, dataset: Path) -> None:
    """A ground truth whose stream breaks off is a data error, not a model's."""
    path = dataset / "seg" / "toy_1_a_1.nii.gz"
    path.write_bytes(path.read_bytes()[:-12])
    _failed(run("run", "--plugin", "empty", "--dataset", dataset, "--engine", "local"), 4, "toy_1_a_1")


def test_gpus_where_there_are_none(run: Run, dataset: Path) -> None:
    """Asking for GPUs on a machine without a driver is exit 3 and says what was looked for, and what to do."""
    if shutil.which("nvidia-smi"):
        pytest.skip("this machine has an NVIDIA driver")
    _failed(
        run("run", "--plugin", "empty", "--dataset", dataset, "--gpus", 2), 3, "nvidia-smi is not on PATH", "--gpus"
    )
    without_data = run("run", "--plugin", "empty", "--gpus", 1)
    _failed(without_data, 3, "nvidia-smi is not on PATH")
    assert "phantom" not in without_data.stderr, "a data set was made for a run that cannot be"


def test_nothing_to_list_says_what_to_do(run: Run, dataset: Path) -> None:
    """A home in which no run has ended yet names the command that makes the first."""
    run("run", "--plugin", "rulez", "--dataset", dataset)
    listed = run("results", "list")
    assert listed.returncode == 0
    assert (listed.stdout, "bench demo" in listed.stderr) == ("", True)


def test_no_engine(run: Run, dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``--engine docker`` without a daemon is exit 3 and names the way out."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    _failed(run("run", "--plugin", "empty", "--dataset", dataset, "--engine", "docker"), 3, "--engine local")


def test_home_is_a_file(run: Run, dataset: Path, tmp_path: Path) -> None:
    """A home that is not a folder is a usage error and leaves the file alone."""
    home = tmp_path / "file"
    home.write_text("precious")
    _failed(run("run", "--plugin", "empty", "--dataset", dataset, "--engine", "local", home=home), 2)
    assert home.read_text() == "precious"


@pytest.mark.skipif(os.getuid() != 0, reason="mounting a small file system needs root")
def test_home_on_a_full_disk(run: Run, dataset: Path, tmp_path: Path) -> None:
    """A full disk is exit 3 with what to do; with space again the same command finishes."""
    home = tmp_path / "small"
    home.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(home)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a tmpfs here: {mounted.stderr.strip()}")
    try:
        filler = home / "filler"
        with filler.open("wb", buffering=0) as out, pytest.raises(OSError, match="No space"):
            while True:
                out.write(bytes(4096))
        ended = run("run", "--plugin", "empty", "--dataset", dataset, "--engine", "local", home=home)
        _failed(ended, 3, "full")
        filler.unlink()
        subprocess.run(["mount", "-o", "remount,size=64m", str(home)], check=True)
        assert run("run", "--plugin", "empty", "--dataset", dataset, "--engine", "local", home=home).returncode == 0
    finally:
        subprocess.run(["umount", "-l", str(home)], check=True)


def test_no_results_yet(run: Run) -> None:
    """Asking for results before anything ran is exit 4 and names the first command."""
    _failed(run("results", "list"), 4, "bench demo")


def test_no_database(run: Run, tmp_path: Path) -> None:
    """A file that is not a database is exit 4 and stays as it is."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "results.db").write_bytes(b"not a database" * 100)
    _failed(run("results", "list"), 4, "results.db")
    assert (home / "results.db").read_bytes() == b"not a database" * 100
