"""The hosts of the world on this machine, and a store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.upstream.weights import WeightsStore
from tests.stand_in_web import Web, web


@pytest.fixture
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """Run the hub, its storage and other hosts, and let this process reach them under their names."""
    (tmp_path / "hosts").mkdir()
    for name in ("HF_ENDPOINT", "HF_TOKEN", "HF_TOKEN_PATH", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with web(tmp_path / "hosts") as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def store(tmp_path: Path) -> WeightsStore:
    """Return an empty store."""
    return WeightsStore(tmp_path / "weights")
