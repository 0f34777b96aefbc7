"""The exception for a mask that cannot be scored, and the makers of a mask's problems."""

from __future__ import annotations

from harness.rows import MaskProblem


class Refused(Exception):  # noqa: N818 - the outcome of the mask, not an error of ours
    """A mask that cannot be scored; carries the problem."""

    def __init__(self, problem: MaskProblem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def refused(code: str, message: str, *, cause: str, fix: str) -> Refused:
    """Make the exception for a problem that refuses the mask."""
    return Refused(MaskProblem(code, "refused", message, cause, fix))


def warning(code: str, message: str, *, cause: str, fix: str) -> MaskProblem:
    """Make a problem that does not prevent a score."""
    return MaskProblem(code, "warning", message, cause, fix)
