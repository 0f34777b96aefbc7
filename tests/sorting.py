"""Which tests are costly, and which run in one process where several share them."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

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


#: In the text of a module: its tests share what takes long to start or to make, or what this machine can hold once.
_SHARED = {
    "services": re.compile(r"\b(?:podman|apptainer|slurm)\b"),
    "tiny": re.compile(r"\btiny_(?:image|home)\b"),
}


@functools.cache
def group_of(module: str) -> str:
    """Return what a module's tests run in one process with, where several processes share the tests."""
    text = (ROOT / module).read_text(encoding="utf-8")
    return next((group for group, pattern in _SHARED.items() if pattern.search(text)), module)


@contextlib.contextmanager
def turn_at_the_engine(item: pytest.Item) -> Iterator[None]:
    """Keep a test that looks at what a killed run left apart from those of other processes that start containers.

    Each run removes what dead ones left on this host. Whoever waits holds the gate, so that nobody overtakes.
    """
    session = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    if session is None or not {"docker", "slurm"}.intersection(item.keywords):
        yield
        return
    kind = fcntl.LOCK_EX if item.get_closest_marker("alone") else fcntl.LOCK_SH
    place = Path(tempfile.gettempdir()) / f"groundbench-{session}"
    with place.with_suffix(".gate").open("w") as gate, place.with_suffix(".engine").open("w") as engine:
        fcntl.flock(gate, fcntl.LOCK_EX)
        fcntl.flock(engine, kind)
        fcntl.flock(gate, fcntl.LOCK_UN)
        try:
            yield
        finally:
            fcntl.flock(engine, fcntl.LOCK_UN)  # a child of the test may have inherited the file
