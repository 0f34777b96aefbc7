"""Several models in one command: what they lack is told first, and one that fails does not stop the others."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from harness.errors import BenchError, DataError, Interrupted, ModelError, PrerequisiteError, UsageError

#: The errors that are made from a message and a fix; those of a longer signature count as the one they derive from.
_PLAIN = (ModelError, UsageError, PrerequisiteError, DataError, Interrupted)

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class NotEnded:
    """What did not come to its end: its name, and why."""

    name: str
    error: BenchError

    @property
    def line(self) -> str:
        """The failure and its fix in one line."""
        return f"{self.name}: {self.error.message}" + (f" (fix: {self.error.fix})" if self.error.fix else "")


def several_document(documents: Sequence[dict[str, Any]], failures: Sequence[NotEnded], kind: str) -> dict[str, Any]:
    """Return one document for several rows, with what has none.

    Parameters
    ----------
    documents
        The documents of the rows.
    failures
        What did not come to its end.
    kind
        What a failure is the failure of, such as ``"plugin"``.
    """
    failed = [
        {kind: one.name, "error": one.error.message, "fix": one.error.fix, "exit_code": one.error.exit_code}
        for one in failures
    ]
    return {"schema": 1, "runs": list(documents), **({"failed": failed} if failed else {})}


def worst_of(failures: Sequence[NotEnded], number: int) -> BenchError:
    """Return one error for all failures: the only one as it is, or all of them with the worst exit code.

    Parameters
    ----------
    failures
        At least one.
    number
        Of how many.
    """
    if len({id(failed.error) for failed in failures}) == 1:
        return failures[0].error
    worst = max((failed.error for failed in failures), key=lambda error: error.exit_code)
    kind = next((kind for kind in _PLAIN if isinstance(worst, kind)), ModelError)
    lines = "\n".join(f"  {failed.line}" for failed in failures)
    return kind(f"{len(failures)} of {number} did not come to a good end:\n{lines}")


def gather(names: Iterable[str], find: Callable[[str], Item]) -> tuple[list[Item], list[NotEnded]]:
    """Return what `find` returns for each name, and the names for which it raises.

    Raises
    ------
    UsageError
        When one of the names, or an option, is wrong: a slip is not worth a night's work; all slips are told.
    """
    names = list(names)
    found: list[Item] = []
    failures: list[NotEnded] = []
    for name in names:
        try:
            found.append(find(name))
        except BenchError as error:
            failures.append(NotEnded(name, error))
    slips = [failed for failed in failures if isinstance(failed.error, UsageError)]
    if slips or (failures and not found):
        raise worst_of(slips or failures, len(names))
    return found, failures


def one_by_one(
    items: Sequence[tuple[str, Item]],
    work: Callable[[Item], Result],
    *,
    expected: Callable[[OSError], BenchError | None],
    log: Callable[[str], None],
) -> Iterator[Result | NotEnded]:
    """Yield the result of `work` for each of several items, or its failure; an interruption ends them all.

    Parameters
    ----------
    items
        Names and items, in order.
    work
        The work on one item.
    expected
        Returns the error for a refusal of the operating system that a user can mend, and None for any other.
    log
        Shows a failure as it happens: others may follow.
    """
    for name, item in items:
        try:
            result = work(item)
        except (Interrupted, KeyboardInterrupt) as error:
            yield NotEnded(name, error if isinstance(error, Interrupted) else Interrupted("interrupted"))
            return
        except Exception as error:  # noqa: BLE001 - even a fault of ours is not worth the others' night
            failed = NotEnded(name, known_error(error, expected))
            log(f"error: {failed.line}")
            yield failed
        else:
            yield result


def known_error(error: Exception, expected: Callable[[OSError], BenchError | None]) -> BenchError:
    """Return the error to tell; a fault of ours shows its traceback first."""
    known = error if isinstance(error, BenchError) else expected(error) if isinstance(error, OSError) else None
    if known is None:
        traceback.print_exception(error, file=sys.stderr)
        return ModelError(f"groundbench failed: {type(error).__name__}: {error}", fix="report the trace")
    return known
