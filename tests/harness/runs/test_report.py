"""An error becomes a plain record and, where the run is, the same error again."""

from __future__ import annotations

import pytest

from harness.errors import BenchError, DataError, Interrupted, ModelError, PrerequisiteError, UsageError
from harness.runs.report import ShardFault, ShardReport


class _OwnError(ModelError):
    """A kind of error that the record does not know."""


@pytest.mark.parametrize("kind", [ModelError, UsageError, PrerequisiteError, DataError, Interrupted, _OwnError])
def test_an_expected_error_comes_back(kind: type[BenchError]) -> None:
    """Its kind, so its exit code; its words; its fix."""
    report = ShardReport.of("run", 3, "host", kind("it broke", fix="mend it"))
    assert (report.state, report.node, report.shard, report.reason) == ("failed", "host", 3, "it broke")
    error = ShardReport.from_json(report.to_json()).error()
    assert isinstance(error, BenchError)
    assert (error.message, error.fix, error.exit_code) == ("it broke", "mend it", kind.exit_code)


def test_what_is_lacking_comes_back() -> None:
    """Others act on it."""
    error = ShardReport.from_json(
        ShardReport.of("r", 0, "h", PrerequisiteError("full", lacking="disk")).to_json()
    ).error()
    assert isinstance(error, PrerequisiteError)
    assert error.lacking == "disk"


def test_a_refusal_of_the_system_comes_back() -> None:
    """With its number and its file, by which the command line knows what to say."""
    error = ShardReport.from_json(ShardReport.of("r", 0, "h", OSError(28, "No space left", "/x/y")).to_json()).error()
    assert isinstance(error, OSError)
    assert (error.errno, error.strerror, error.filename) == (28, "No space left", "/x/y")


def test_a_fault_of_ours_brings_its_traceback() -> None:
    """Also one whose words and values could not travel."""

    class UnpicklableError(Exception):
        def __reduce__(self) -> str:
            raise AssertionError("it is pickled")

    def fails() -> None:
        raise UnpicklableError("ours")

    try:
        fails()
    except UnpicklableError as raised:
        error = ShardReport.from_json(ShardReport.of("r", 2, "h", raised).to_json()).error()
    assert isinstance(error, ShardFault)
    assert "UnpicklableError: ours (shard 2 on h)" in str(error)
    assert "in fails" in str(error)


def test_what_is_no_report_is_refused() -> None:
    """A worker's answer is not believed blindly."""
    with pytest.raises(ValueError, match="state"):
        ShardReport.from_json('{"run": "r", "shard": 1, "state": "splendid"}')
