"""Many problems of a data set become one error that names them."""

from __future__ import annotations

from harness.dataset.problems import DataProblem, Level, refuse


def _problem(number: int, fix: str = "correct it") -> DataProblem:
    return DataProblem(Level.ERROR, "wrong", f"case {number}", "is wrong", fix)


def test_every_problem_is_named() -> None:
    """One problem a line, with its code and place; a fix that all share is the fix."""
    error = refuse([_problem(1), _problem(2)], "data")
    assert "2 problems" in str(error)
    assert [line.strip() for line in str(error).splitlines()[1:]] == [
        "wrong case 1: is wrong",
        "wrong case 2: is wrong",
    ]
    assert error.fix == "correct it"


def test_a_long_list_is_cut_and_says_how_much_is_missing() -> None:
    """What is left out is counted, and the command that lists all is named."""
    error = refuse([_problem(number, f"fix {number}") for number in range(25)], "data", shown=20)
    assert str(error).splitlines()[-1].strip() == "and 5 more"
    assert "bench data validate data" in error.fix
