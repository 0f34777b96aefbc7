"""Fixtures of all tests: real data where it lies, a container engine where one answers, and no surprises."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def _engine_problem() -> str:
    """Say why no container can run here; empty when one can."""
    try:
        import docker

        client = docker.from_env(timeout=20)
        client.ping()
        client.close()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the reason
        return f"no Docker engine answers ({type(error).__name__}); containers/dev/engine.sh starts one"
    return ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs an engine where none answers, with the reason in the summary."""
    needing = [item for item in items if "docker" in item.keywords]
    problem = _engine_problem() if needing else ""
    if problem:
        for item in needing:
            item.add_marker(pytest.mark.skip(reason=problem))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real CTs, masks and texts; a test that wants them is skipped, with the reason, where they are not."""
    folder = Path(os.environ.get("GROUNDBENCH_REAL_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set GROUNDBENCH_REAL_DATA")
    return folder
