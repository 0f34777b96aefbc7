"""Judges whether a split can be scored on, by the same rules everywhere.

``bench data validate`` shows the findings of this module. ``run``, ``score``, ``results verify`` and ``leaderboard
build`` request the same judgement of the splits that they use: an error stops them, a warning is kept with the number.
Other splits are left alone: a blank text in ``train`` does not affect a score on ``test``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from harness.dataset.cases import Case, Dataset
from harness.dataset.measured import Measurements
from harness.dataset.orientation import Orientation, measure, name_of
from harness.dataset.problems import DataProblem, Level, refuse
from harness.dataset.rules import leakage_rules, presence_rules
from harness.dataset.volumes import Depth, check_volumes
from harness.host.capacity import usable_cores

#: What a case that a run leaves out may lack: its files are not used, and contradict nothing.
_ABSENCES = frozenset({"missing-ct", "missing-seg", "raw-ct"})


@dataclass(frozen=True)
class Judgement:
    """The judgement of splits.

    Attributes
    ----------
    problems
        Errors first, then warnings, then facts; within a level in the order of the splits and cases.
    orientation
        Orientation of the masks on the CTs; None where it was not measured.
    """

    problems: tuple[DataProblem, ...]
    orientation: Orientation | None

    def of(self, level: Level) -> tuple[DataProblem, ...]:
        """Return the problems of one level."""
        return tuple(problem for problem in self.problems if problem.level is level)


def judge(
    dataset: Dataset,
    splits: Sequence[str],
    *,
    depth: Depth = Depth.FULL,
    jobs: int = 1,
    again: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Judgement:
    """Check the splits by every rule, and report every problem in an order that does not depend on `jobs`.

    Parameters
    ----------
    dataset
        Opened; earlier counts of its volumes are cached in ``dataset.cache``.
    splits
        Names of splits; entries of the index that could not be read are among the problems.
    depth
        Extent to which the volumes are read. With ``QUICK``, the masks' orientation is not measured either.
    jobs
        Cases read at a time; each needs a few MiB.
    again
        Read every volume again, whatever is cached.
    progress
        Called after every case with the number of cases checked so far, and of all.
    """
    measured = Measurements(dataset.cache, again=again)
    problems: list[DataProblem] = []
    for name in splits:
        problems += [*dataset.faults.get(name, ()), *dataset.remarks.get(name, ())]
    problems += [*leakage_rules(dataset, splits), *presence_rules(dataset, splits)]
    cases = [case for name in splits for case in dataset.splits[name]]
    sound: list[Case] = []
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        checked = pool.map(partial(check_volumes, depth=depth, measured=measured), cases)
        for done, (case, found) in enumerate(zip(cases, checked, strict=True), start=1):
            problems += found
            if not any(problem.level is Level.ERROR for problem in found):
                sound.append(case)
            if progress:
                progress(done, len(cases))
    orientation = None
    if depth is not Depth.QUICK:
        orientation = measure(sound, recorded=dataset.mask_flip, measured=measured)
        for error in orientation.damaged:
            problems.append(DataProblem(Level.ERROR, "unreadable-ct", str(dataset.root), error.message, error.fix))
        problems += _orientation_rules(orientation, dataset)
    order = list(Level)
    problems.sort(key=lambda problem: order.index(problem.level))
    return Judgement(tuple(problems), orientation)


def require_sound(
    dataset: Dataset, splits: Sequence[str], *, used: Iterable[Case] | None = None, jobs: int | None = None
) -> tuple[DataProblem, ...]:
    """Judge the splits behind a number, and return the warnings that belong beside it.

    Parameters
    ----------
    dataset, splits
        The data set and the splits in use.
    used
        The cases of these splits that will be read; None: all. The others need not be there, but what is there must
        be sound.
    jobs
        Cases read at a time; one a core by default.

    Raises
    ------
    UsageError
        The split does not exist.
    DataError
        A rule is broken; every error is named with its file, and a fix.
    """
    for name in splits:
        dataset.split(name)
    judgement = judge(dataset, splits, jobs=jobs or usable_cores())
    errors = judgement.of(Level.ERROR)
    if used is not None:
        names = {f"{case.split}/{case.id}" for case in used}
        errors = tuple(error for error in errors if error.code not in _ABSENCES or error.where in names)
    if errors:
        raise refuse(errors, str(dataset.root), doing="cannot be scored on")
    return judgement.of(Level.WARNING)


def data_record(warnings: Sequence[DataProblem]) -> dict[str, Any]:
    """Return the part of a run's record about the data: the count of each warning, and every one in full.

    The counts name no case, and may be shown of a closed split.
    """
    return {
        "data": {"judged": True, "warnings": dict(Counter(problem.code for problem in warnings))},
        "data_warnings": [problem.as_dict() for problem in warnings],
    }


def _orientation_rules(found: Orientation, dataset: Dataset) -> list[DataProblem]:
    recorded = dataset.mask_flip
    if found.best is None or found.best == recorded:
        return []
    what = (
        f"the masks lie on the lungs with {name_of(found.best)} ({found.shares[found.best]:.1%} of a finding's voxels, "
        f"mean over {found.findings} findings), not {name_of(recorded)} ({found.shares[recorded]:.1%})"
    )
    fix = f'write {{"mask_flip": {list(found.best)}}} into groundbench.json beside the index, or correct the masks'
    return [DataProblem(Level.ERROR, "mask-flip", str(dataset.root), what, fix)]
