"""Hold a data set to every rule at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.dataset.cases import Case, Dataset
from harness.dataset.layout import read_layout
from harness.dataset.orientation import Orientation, measure, name_of
from harness.dataset.problems import DataProblem, Level
from harness.dataset.rules import declared_rules, leakage_rules, presence_rules
from harness.dataset.volumes import Depth, check_volumes


@dataclass(frozen=True)
class Report:
    """Everything that was found."""

    dataset: Dataset
    splits: tuple[str, ...]  #: the splits that were checked
    problems: tuple[DataProblem, ...]  #: errors first, then warnings, then facts
    orientation: Orientation | None  #: None: not measured

    @property
    def ok(self) -> bool:
        """Whether there is no error."""
        return not any(problem.level is Level.ERROR for problem in self.problems)

    def as_dict(self) -> dict[str, Any]:
        """Return the report for a JSON document."""
        counts = Counter(problem.level for problem in self.problems)
        return {
            "schema": 1,
            "dataset": self.dataset.name,
            "index": str(self.dataset.index),
            "splits": {split: len(self.dataset.splits[split]) for split in self.splits},
            "ok": self.ok,
            "counts": {level: counts[level] for level in Level},
            "orientation": self.orientation and self.orientation.as_dict(),
            "problems": [problem.as_dict() for problem in self.problems],
        }


def validate_dataset(
    path: Path,
    *,
    split: str | None = None,
    depth: Depth = Depth.MASKS,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Check the data set at `path` and report every problem, in an order that does not depend on `jobs`.

    Parameters
    ----------
    path
        Its folder or its index.
    split
        Check this split only.
    depth
        How far the volumes are read. With ``QUICK``, the masks' orientation is not measured either.
    jobs
        Cases read at a time; each needs a few MiB.
    progress
        Called after every case with the number of cases checked so far, and of all.

    Raises
    ------
    UsageError
        There is nothing at `path`, or no such split.
    DataError
        There is no index at `path`.
    """
    layout = read_layout(path)
    dataset = layout.dataset
    if split is not None:
        dataset.split(split)
    names = tuple(dataset.splits) if split is None else (split,)
    problems = [
        *layout.problems,
        *declared_rules(layout.index, names),
        *leakage_rules(dataset, names),
        *presence_rules(dataset, names),
    ]
    cases = [case for name in names for case in dataset.splits[name]]
    sound: list[Case] = []
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        checked = pool.map(lambda case: check_volumes(case, depth), cases)
        for done, (case, found) in enumerate(zip(cases, checked, strict=True), start=1):
            problems += found
            if not any(problem.level is Level.ERROR for problem in found):
                sound.append(case)
            if progress:
                progress(done, len(cases))
    orientation = None
    if depth is not Depth.QUICK:
        orientation = measure(sound, recorded=dataset.mask_flip)
        for error in orientation.damaged:
            problems.append(DataProblem(Level.ERROR, "unreadable-ct", str(dataset.root), error.message, error.fix))
        problems += _orientation_rules(orientation, dataset)
    order = list(Level)
    problems.sort(key=lambda problem: order.index(problem.level))
    return Report(dataset, names, tuple(problems), orientation)


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
