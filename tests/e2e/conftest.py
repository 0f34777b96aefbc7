"""Drives the command line as a user does: a process, a home of its own, exit codes, standard output."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = Path(__file__).parent / "plugins"
BASE_TAG = "groundbench-test-base:latest"


@dataclass
class Bench:
    """The command line with a home of its own."""

    home: Path
    environment: dict[str, str]

    def popen(self, *arguments: object, **options: Any) -> subprocess.Popen[str]:
        """Start a command and return its process."""
        return subprocess.Popen(
            [sys.executable, "-m", "harness", "--home", str(self.home), *map(str, arguments)],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def __call__(self, *arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command, check its exit code and that it shows no traceback."""
        process = self.popen(*arguments)
        out, err = process.communicate(timeout=300)
        assert process.returncode == code, f"exit {process.returncode}, expected {code}\n{out}\n{err}"
        assert "Traceback" not in err, err
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def json(self, *arguments: object, code: int = 0) -> Any:
        """Run a command with --json and return its document."""
        return json.loads(self(*arguments, "--json", code=code).stdout)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return the command line with an empty home."""
    environment = {**os.environ, "BENCH_BASE_IMAGE": BASE_TAG, "BENCH_PLUGIN_DIR": ""}
    for name in [name for name in environment if name.startswith("BENCH_") and name != "BENCH_BASE_IMAGE"]:
        del environment[name]
    return Bench(tmp_path / "home", environment)


@pytest.fixture(
    params=["local", pytest.param("docker", marks=pytest.mark.docker)],
)
def engine(request: pytest.FixtureRequest) -> str:
    """Run a test on both engines."""
    if request.param == "docker":
        request.getfixturevalue("base_image")
    return str(request.param)


@pytest.fixture(scope="session")
def base_image() -> str:
    """Build, once, a base image that holds what the SDK needs, so that the images of tests are two layers each."""
    import docker

    client = docker.from_env(timeout=120)
    try:
        client.images.build(
            path=str(ROOT / "plugins" / "known_answer"),
            dockerfile=str(PLUGINS / "base.Dockerfile"),
            tag=BASE_TAG,
            rm=True,
            forcerm=True,
        )
    finally:
        client.close()
    return BASE_TAG


def write_dataset(folder: Path, cases: int, shape: tuple[int, int, int] = (24, 20, 16)) -> Path:
    """Write a data set of noise with box-shaped findings; every case is in the test split and has two findings."""
    (folder / "ct").mkdir(parents=True)
    (folder / "seg").mkdir()
    affine = np.diag([-2.0, -2.0, 3.0, 1.0])
    entries = []
    for number in range(1, cases + 1):
        name = f"toy_{number}_a_1.nii.gz"
        random = np.random.default_rng(number)
        volume = random.normal(-800, 60, shape).astype(np.int16)
        truth = np.zeros((2, *shape), np.uint8)
        truth[0, 2:8, 3:9, 4:10] = 1
        truth[1, 10:14, 5:9, 2:6] = 1
        truth[1, 16:20, 5:9, 8:12] = 2
        nib.save(nib.Nifti1Image(volume, affine), folder / "ct" / name)
        nib.save(nib.Nifti1Image(truth, np.eye(4)), folder / "seg" / name)
        entries.append(
            {
                "name": name,
                "findings": {"0": "A box in the right lung", "1": "Two boxes in the left lung"},
                "entity_counts": {"0": 1, "1": 2},
                "shape": list(shape),
                "pixels": {str(f): int((truth[f] > 0).sum()) for f in range(2)},
                "categories": {"0": "2d", "1": "1c"},
                "protocol": "protocol1",
            }
        )
    (folder / "dataset.json").write_text(json.dumps({"train": [], "val": [], "test": entries}))
    return folder


@pytest.fixture
def make_dataset(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a small data set."""

    def make(cases: int = 3, name: str = "toy", **options: Any) -> Path:
        return write_dataset(tmp_path / name, cases, **options)

    return make
