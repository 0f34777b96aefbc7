"""Phantoms made once for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.phantom.case import PhantomCase, make_case
from harness.phantom.dataset import make_dataset

SEEDS = (0, 1, 2)


@pytest.fixture(scope="session")
def cases() -> list[PhantomCase]:
    """Make the four test cases of three seeds."""
    return [make_case(seed, number, "small") for seed in SEEDS for number in range(4)]


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a data set of six small cases of seed 5."""
    return make_dataset(tmp_path_factory.mktemp("phantom") / "six", cases=6, size="small", seed=5)
