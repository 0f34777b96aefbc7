"""The verdict on one mask: everything that is wrong with it, each with its likely cause and its fix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Level = Literal["ok", "warning", "refused"]


@dataclass(frozen=True)
class Problem:
    """One thing about a mask that its author should know.

    Attributes
    ----------
    code
        Stable name, for programs: ``"shape"``, ``"affine"``, ``"values"`` ...
    level
        ``"warning"``: scored all the same; ``"refused"``: not scored.
    message, cause, fix
        What is so; the likely reason; what to do.
    """

    code: str
    level: Literal["warning", "refused"]
    message: str
    cause: str
    fix: str


@dataclass(frozen=True)
class Verdict:
    """All problems of one mask; no problem is an ``ok``."""

    problems: tuple[Problem, ...] = field(default=())

    @property
    def level(self) -> Level:
        """The worst level among the problems."""
        levels = {problem.level for problem in self.problems}
        return "refused" if "refused" in levels else "warning" if levels else "ok"

    @property
    def reason(self) -> str:
        """One line of what made it refused; empty for a mask that was scored."""
        return "; ".join(problem.message for problem in self.problems if problem.level == "refused")

    def plus(self, problems: Sequence[Problem]) -> Verdict:
        """Return a verdict with more problems."""
        return Verdict((*self.problems, *problems)) if problems else self

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts and lists, ready for JSON."""
        return {"level": self.level, "problems": [asdict(problem) for problem in self.problems]}


class Refused(Exception):  # noqa: N818 - what happened to the mask, not an error of ours
    """A mask that cannot be scored; carries the problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def refused(code: str, message: str, *, cause: str, fix: str) -> Refused:
    """Make the exception for a problem that refuses the mask."""
    return Refused(Problem(code, "refused", message, cause, fix))


def warning(code: str, message: str, *, cause: str, fix: str) -> Problem:
    """Make a problem that does not stand in the way of a score."""
    return Problem(code, "warning", message, cause, fix)
