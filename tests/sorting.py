"""Which tests are costly, and which run in one process where several share them."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

#: The group of all modules whose tests start containers or jobs.
CONTAINERS = "containers"

#: Fixtures of tests that start commands, a browser or containers, or read real scans.
_COSTLY_FIXTURES = {
    *("new_bench", "base_image", "podman", "apptainer", "slurm"),
    *("tiny_image", "real_data", "small_disk"),
}

#: Folders and modules whose tests do, or serve, wait and write as much as such.
_COSTLY_FOLDERS = {"e2e", "faults", "hostile", "smoke", "llm", "upstream", "cluster"}
_COSTLY_MODULES = {
    "test_daemon.py",
    "test_discovery.py",
    "test_follow.py",
    "test_judge.py",
    "test_lock.py",
    "test_several.py",
    "test_shard.py",
    "test_submission.py",
}


def is_costly(item: pytest.Item) -> bool:
    """Return whether a test starts commands, a browser or containers, reads real scans, or draws examples."""
    fixtures = _COSTLY_FIXTURES.intersection(getattr(item, "fixturenames", ()))
    drawn = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
    places = (_COSTLY_FOLDERS | _COSTLY_MODULES).intersection(item.path.relative_to(ROOT).parts)
    return bool(fixtures or drawn or places)


#: In the text of a module: its tests start containers or jobs, or share what takes long to make.
_STARTS_CONTAINERS = re.compile(
    r"mark\.(?:docker|slurm)\b|\b(?:podman|apptainer|slurm|base_image|tiny_image)\b|\bengine: str\b"
)


@functools.cache
def group_of(module: str) -> str:
    """Return what a module's tests run in one process with, where several processes share the tests.

    Whatever starts containers or jobs is one group: each run removes what dead ones left on this host, also what the
    test of another process has just left there to look at.
    """
    text = (ROOT / module).read_text(encoding="utf-8")
    return CONTAINERS if _STARTS_CONTAINERS.search(text) else module


def require_grouped(items: Iterable[pytest.Item]) -> None:
    """Refuse a test that may start containers or jobs in a module whose text does not say so."""
    for item in items:
        module = str(item.path.relative_to(ROOT))
        if {"docker", "slurm"}.intersection(item.keywords) and group_of(module) != CONTAINERS:
            raise pytest.UsageError(f"{item.nodeid} starts containers: name its marker or fixture in {module}")
