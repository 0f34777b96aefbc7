"""Cases of several submissions, scored together on every core; a submission that fails does not touch the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from typing import TypeAlias

from harness.dataset import Case
from harness.errors import DataError, PrerequisiteError
from harness.runs.score import Scorers
from harness.scoring.case import CaseScore, CaseTask, score_together

#: Where cases are few, each is cut into parts of the submissions, until every worker has this many.
_PARTS_A_WORKER = 4

#: What became of a case of one submission.
Scored: TypeAlias = CaseScore | Exception


@dataclass(frozen=True)
class Together:
    """A case of some submissions.

    Attributes
    ----------
    case
        The case.
    of
        Numbers of the submissions.
    tasks
        Its task in each of them.
    """

    case: Case
    of: tuple[int, ...]
    tasks: tuple[CaseTask, ...]

    def cut(self, size: int) -> list[Together]:
        """Return it in parts of at most `size` submissions."""
        places = [slice(first, first + size) for first in range(0, len(self.of), size)]
        return [replace(self, of=self.of[place], tasks=self.tasks[place]) for place in places]


def scored_together(
    tasks: Sequence[tuple[Case, Sequence[CaseTask]]], jobs: int | None
) -> Iterator[tuple[Together, Sequence[Scored]]]:
    """Yield the scores of cases as they are computed.

    What fails is tried again, one submission at a time, and what kills its process once more with nothing beside it:
    only the submission that fails by itself does not get its score.

    Parameters
    ----------
    tasks
        Cases, each with its task in every submission, in the order of work.
    jobs
        Worker processes; None: as many as there are cores. With 1 everything runs in this process.

    Raises
    ------
    DataError
        A ground truth cannot be read.
    """
    every = [Together(case, tuple(range(len(of))), tuple(of)) for case, of in tasks if of]
    if jobs == 1:
        for together in every:
            yield together, _here(together)
        return
    with Scorers(jobs) as scorers:
        submissions = max((len(together.of) for together in every), default=1)
        size = -(-submissions * len(every) // (_PARTS_A_WORKER * scorers.workers))
        again: list[Together] = []
        yield from _at_once(scorers, [part for one in every for part in one.cut(max(1, min(size, submissions)))], again)
        alone: list[Together] = []
        yield from _at_once(scorers, [part for one in again for part in one.cut(1)], alone)
        for together in alone:
            yield together, [_alone(scorers, together)]


def _at_once(
    scorers: Scorers, work: Iterable[Together], failed: list[Together]
) -> Iterator[tuple[Together, list[CaseScore]]]:
    """Yield what could be scored, and add the rest to `failed`."""
    waiting: dict[Future[list[CaseScore]], Together] = {scorers.submit_together(one.tasks): one for one in work}
    for future in as_completed(waiting):
        try:
            scores = future.result()
        except DataError:
            raise
        except Exception:  # noqa: BLE001 - it is tried again alone, and told there
            failed.append(waiting[future])
        else:
            yield waiting[future], scores


def _alone(scorers: Scorers, together: Together) -> Scored:
    try:
        return scorers.submit_together(together.tasks).result()[0]
    except DataError:
        raise
    except BrokenProcessPool:
        return PrerequisiteError(
            f"the process that scores case {together.case.id} was killed again and again",
            fix="look for the kernel's out-of-memory killer (`dmesg`)",
        )
    except Exception as error:  # noqa: BLE001 - returned: the caller tells it
        return error


def _here(together: Together) -> list[Scored]:
    """Score in this process."""
    try:
        return list(score_together(together.tasks))
    except DataError:
        raise
    except Exception as error:  # noqa: BLE001 - of one submission it is returned, of several each is tried
        return [error] if len(together.of) == 1 else [one for part in together.cut(1) for one in _here(part)]
