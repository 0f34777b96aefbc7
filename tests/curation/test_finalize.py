"""The last step as a command: amounts of patients or scans, and nothing made of what cannot be."""

from __future__ import annotations

from typing import Any

import click
import pytest

from curation.commands.finalize import _AmountType
from harness.errors import UsageError


@pytest.mark.parametrize(("text", "amount"), [("0.1", 0.1), ("0", 0.0), ("200", 200), ("1", 1), (0.05, 0.05)])
def test_amounts(text: Any, amount: float) -> None:
    """A whole number above 0 counts scans, anything below 1 is a share of the patients."""
    read = _AmountType().convert(text, None, None)
    assert (read, type(read)) == (amount, type(amount))


@pytest.mark.parametrize("text", ["1.5", "-1", "many", "1.0", "nan"])
def test_amounts_that_are_none(text: str) -> None:
    """Everything else is refused."""
    with pytest.raises(click.BadParameter):
        _AmountType().convert(text, None, None)


def test_a_sheet_that_is_not_there(tmp_path: Any, bench: Any) -> None:
    """It is told before anything is written."""
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks/tasks.json").write_text('{"version": 2, "format": "nifti", "tasks": []}')
    result = bench(
        "finalize", "--tasks", tmp_path / "tasks", "--masks", tmp_path, "--out", tmp_path / "o",
        "--review", tmp_path / "x.csv",
    )  # fmt: skip
    assert isinstance(result.exception, UsageError)
    assert not (tmp_path / "o").exists()
