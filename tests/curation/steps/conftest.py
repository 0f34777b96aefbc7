"""What the tests of the steps share."""

from __future__ import annotations

import copy
from typing import Any

import pytest


@pytest.fixture
def s5(examples: dict[str, Any]) -> dict[str, Any]:
    """Figure S5."""
    return copy.deepcopy(examples["extract_S5"])
