"""The command line starts fast and imports nothing heavy."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import Bench

pytestmark = pytest.mark.costly

HEAVY = (
    *("torch", "numpy", "scipy", "nibabel", "nrrd", "docker", "sqlite_utils", "pydantic", "jinja2"),
    *("openai", "sklearn", "pyarrow", "PIL", "vl_convert"),
)


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["list", "--json"], ["run", "--help"], ["--version"]])
def test_nothing_heavy_is_imported(arguments: list[str]) -> None:
    """Help pages and the list of plugins import none of the heavy packages."""
    code = (
        "import sys; sys.argv = ['bench', *sys.argv[1:]]\n"
        "from harness.cli import main\n"
        "try:\n    main()\n"
        "finally:\n"
        f"    loaded = sorted(set({HEAVY!r}) & set(sys.modules))\n"
        "    assert not loaded, loaded\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout


#: What a run loads only where it needs it: for distances that are far, dense masks, a mask in NRRD, a container.
SELDOM = ("scipy", "cc3d", "nibabel", "nrrd", "docker", "requests", "jinja2", "openai", "pyarrow", "PIL", "vl_convert")

#: What looking up a finished run does not need either: processes, containers, scoring, training, cards.
WORKING = (
    *("numpy.ma", "multiprocessing", "harness.runs.work", "harness.runs.follow", "harness.runs.shard"),
    *("harness.sandbox.contract", "harness.sandbox.watch", "harness.scoring.case", "harness.scoring.components"),
    *("harness.runs.training.finetune", "harness.registry.card"),
)


def test_a_run_imports_only_what_it_needs(bench: Bench, make_dataset: Callable[..., Path]) -> None:
    """On data that were looked at before, a run is carried out, and looked up with its intervals, without these."""
    data = make_dataset(6)
    for path in data.rglob("*"):  # of files as new as this nothing is kept, since they may change within one tick
        os.utime(path, (1e9, 1e9))
    command = ("run", "--plugin", "empty", "--dataset", data, "--engine", "local")
    told = (
        "import sys\nfrom harness.cli import main\n"
        "try:\n    main()\n"
        f"finally:\n    print('loaded:', *sorted(set({(*SELDOM, *WORKING)!r}) & set(sys.modules)), file=sys.stderr)\n"
    )
    asked = replace(bench, program=("-c", told))
    bench(*command)
    loaded = set(asked(*command, "--fresh").stderr.rpartition("loaded:")[2].split())
    assert not loaded.intersection(SELDOM)
    assert "harness.runs.work" in loaded
    again = asked(*command).stderr
    assert "already finished" in again
    assert not again.rpartition("loaded:")[2].split()


def test_a_start_does_not_look_for_garbage() -> None:
    """What imports make stays, and a search would look through all of it."""
    code = (
        "import gc, sys; sys.argv = ['bench', 'list']\n"
        "from harness.cli import main\n"
        "searched = lambda: [one['collections'] for one in gc.get_stats()]\n"
        "before = searched()\n"
        "try:\n    main()\n"
        "finally:\n    assert searched() == before, (before, searched())\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["list"]])
def test_it_answers_in_no_time(arguments: list[str]) -> None:
    """`bench --help` and `bench list` need less than 0.4 s of processor time (the best of five, as others share it)."""
    import resource

    spent = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.monotonic()
        subprocess.run([sys.executable, "-m", "harness", *arguments], capture_output=True, check=True)
        wall = time.monotonic() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(min(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))
    assert min(spent) < 0.4
