"""Problems of a data set, each with its fix."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from harness.errors import DataError


class Level(enum.StrEnum):
    """The severity of a problem."""

    ERROR = "error"  #: scores would be wrong, or nothing can be run
    WARNING = "warning"  #: should be checked before a number is trusted
    INFO = "info"  #: a fact that a reader of the numbers should know


@dataclass(frozen=True)
class DataProblem:
    """One problem, its place, and its fix."""

    level: Level
    code: str  #: short, stable, kebab-case: ``"missing-ct"``
    where: str  #: file, case or finding: ``"val/train_1_a_1 finding 0"``
    what: str  #: the observation, with its numbers
    fix: str  #: the fix

    def as_dict(self) -> dict[str, str]:
        """Return the problem as plain strings for a JSON document."""
        return {**asdict(self), "level": self.level}


def refuse(
    problems: Iterable[DataProblem], source: str, *, doing: str = "cannot be read as a data set", shown: int = 20
) -> DataError:
    """Return one error for all problems (the first `shown` in full); `doing` states what they prevent."""
    found = list(problems)
    lines = [f"  {problem.code} {problem.where}: {problem.what}" for problem in found[:shown]]
    if len(found) > shown:
        lines.append(f"  and {len(found) - shown} more")
    count = "1 problem" if len(found) == 1 else f"{len(found)} problems"
    fixes = list(dict.fromkeys(problem.fix for problem in found))
    fix = fixes[0] if len(fixes) == 1 else f"`bench data validate {source}` lists every problem with its fix"
    return DataError("\n".join([f"{source} {doing} ({count}):", *lines]), fix=fix)
