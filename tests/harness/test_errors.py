"""The tree of errors: exit codes, fixes, and the nearest names."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import errors


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.ModelError, 1),
        (errors.UsageError, 2),
        (errors.PrerequisiteError, 3),
        (errors.DataError, 4),
        (errors.Interrupted, 130),
    ],
)
def test_every_kind_has_its_exit_code(kind: type[errors.BenchError], code: int) -> None:
    """Scripts tell by the exit code whose fault it was."""
    assert kind.exit_code == code


def test_an_error_carries_what_to_do() -> None:
    """The message says what happened, `fix` what to do about it."""
    error = errors.DataError("the mask is truncated", fix="download it again")
    assert (str(error), error.fix) == ("the mask is truncated", "download it again")


def test_an_unknown_name_gets_its_neighbours() -> None:
    """A slip of one letter is answered with the name that was meant."""
    error = errors.UnknownName("model", "ruls", ["rules", "sam2", "voxtell"])
    assert "ruls" in str(error)
    assert "rules" in error.fix
    assert "voxtell" not in error.fix.partition("rules")[0]
    assert (error.kind, error.name, error.near) == ("model", "ruls", ("rules",))
    assert error.known == ("rules", "sam2", "voxtell")


def test_what_is_wrong_is_an_attribute() -> None:
    """Callers look at what is lacking or which file is at fault, not at the words of the message."""
    assert errors.PrerequisiteError("no daemon answers", lacking="engine").lacking == "engine"
    assert errors.PrerequisiteError("something else").lacking == ""
    assert errors.DataError("truncated", path=Path("mask.nii.gz")).path == Path("mask.nii.gz")
    assert errors.DataError("two of them").path is None


def test_a_name_in_capitals_is_near_to_its_own() -> None:
    """Papers write BiomedParse, commands biomedparse."""
    assert errors.UnknownName("plugin", "BiomedParse", ["biomedparse", "sat"]).near == ("biomedparse",)
    assert errors.UnknownName("split", "test", ["TEST"]).near == ("TEST",)
