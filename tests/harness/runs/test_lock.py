"""One process at a time for a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import PrerequisiteError
from harness.runs.lock import only_one


def test_a_folder_that_is_held_is_refused(tmp_path: Path) -> None:
    """The second holder's message names what runs, in whatever process it is."""
    with only_one(tmp_path, "rules zero-shot"), pytest.raises(PrerequisiteError, match="rules zero-shot"):  # noqa: SIM117
        with only_one(tmp_path, "rules zero-shot"):
            pass


def test_a_folder_is_free_after_a_failure(tmp_path: Path) -> None:
    """However the holder ended, the next one gets the folder."""
    with pytest.raises(ZeroDivisionError), only_one(tmp_path, "run"):
        _ = 1 / 0
    with only_one(tmp_path, "run"):
        pass
