"""Several models in one command: slips are told before, one failure does not stop the others, the worst code counts."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from harness.cli.several import NotEnded, gather, one_by_one, worst_of
from harness.errors import BenchError, DataError, Interrupted, ModelError, PrerequisiteError, UnknownName, UsageError


def _raise(error: BaseException) -> None:
    raise error


def _ended(work: dict[str, BaseException | None], log: Callable[[str], None] = lambda _: None) -> list[object]:
    def do(error: BaseException | None) -> str:
        if error is not None:
            raise error
        return "done"

    def expected(error: OSError) -> BenchError | None:
        return PrerequisiteError("full") if error.errno == errno.ENOSPC else None

    found = one_by_one(list(work.items()), do, expected=expected, log=log)
    return [one.error.exit_code if isinstance(one, NotEnded) else one for one in found]


def test_one_that_fails_does_not_stop_the_others() -> None:
    """Whatever it fails with, a fault of ours included, the next one begins; each failure is told as it happens."""
    told: list[str] = []
    work = {
        "a": None, "b": PrerequisiteError("no weights", fix="fetch"), "c": OSError(errno.ENOSPC, "full"),
        "d": ZeroDivisionError(), "e": None,
    }  # fmt: skip
    assert _ended(work, told.append) == ["done", 3, 3, 1, "done"]
    assert [line.split(":")[1].strip() for line in told] == ["b", "c", "d"]


@pytest.mark.parametrize("error", [Interrupted("stopped"), KeyboardInterrupt()])
def test_an_interruption_ends_them_all(error: BaseException) -> None:
    """Who presses Ctrl-C does not mean one of five models."""
    assert _ended({"a": None, "b": error, "c": None}) == ["done", 130]


def test_a_fault_of_ours_keeps_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    """It is a bug, and its trace is what a report of it needs; what was expected shows none."""
    _ended({"a": PrerequisiteError("no weights")})
    assert "Traceback" not in capsys.readouterr().err
    _ended({"a": ZeroDivisionError("in the night")})
    assert "in the night" in capsys.readouterr().err


def test_all_that_is_lacking_is_known_before_anything_runs() -> None:
    """Models that lack something are set aside, and the others found."""
    lacking = {"b": PrerequisiteError("no weights"), "c": DataError("changed")}
    found, failures = gather("abcd", lambda name: _raise(lacking[name]) if name in lacking else name)
    assert (found, [failed.name for failed in failures]) == (["a", "d"], ["b", "c"])


def test_a_slip_refuses_everything_and_all_slips_are_told() -> None:
    """A name that does not exist is not worth a night's work."""
    wrong = {"x": UnknownName("plugin", "x", ["xy"]), "y": UsageError("no such parameter"), "b": PrerequisiteError("w")}
    with pytest.raises(UsageError) as raised:
        gather("axyb", lambda name: _raise(wrong[name]) if name in wrong else name)
    assert "no plugin is named 'x'" in raised.value.message
    assert "no such parameter" in raised.value.message


def test_none_that_can_run_is_refused() -> None:
    """Where all lack something the command ends at once, with all of it."""
    with pytest.raises(PrerequisiteError) as raised:
        gather("ab", lambda name: _raise(PrerequisiteError(f"{name} lacks")))
    assert "a lacks" in raised.value.message
    assert "b lacks" in raised.value.message


def test_the_worst_exit_code_counts() -> None:
    """One failure is raised as it is; of several the worst kind, with all reasons and their fixes."""
    one, two = NotEnded("a", ModelError("bad masks")), NotEnded("b", DataError("bad file", fix="replace it"))
    assert worst_of([one], 3) is one.error
    both = worst_of([one, two], 3)
    assert both.exit_code == 4
    assert "2 of 3" in both.message
    assert "replace it" in both.message
