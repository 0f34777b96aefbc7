"""A data set on disk checked by every rule, as one report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.dataset.cases import Dataset
from harness.dataset.judge import judge
from harness.dataset.layout import read_layout
from harness.dataset.orientation import Orientation
from harness.dataset.patients import unknown_patients
from harness.dataset.problems import DataProblem, Level
from harness.dataset.volumes import Depth


@dataclass(frozen=True)
class Report:
    """The report."""

    dataset: Dataset
    splits: tuple[str, ...]  #: the splits that were checked
    problems: tuple[DataProblem, ...]  #: errors first, then warnings, then facts
    orientation: Orientation | None  #: None: not measured

    @property
    def ok(self) -> bool:
        """Whether it is free of errors."""
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
    depth: Depth = Depth.FULL,
    jobs: int = 1,
    cache: Path | None = None,
    again: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Check the data set at `path` and report every problem, in an order that does not depend on `jobs`.

    Parameters
    ----------
    path
        Its folder or its index.
    split
        Check this split only.
    depth, jobs, again, progress
        As for :func:`harness.dataset.judge.judge`.
    cache
        Folder in which the counts of volumes are cached.

    Raises
    ------
    UsageError
        `path` or the split does not exist.
    DataError
        `path` does not contain an index.
    """
    layout = read_layout(path, cache=cache)
    dataset = layout.dataset
    if split is not None and split not in dataset.faults:
        dataset.split(split)
    names = tuple(dataset.splits) if split is None else (split,)
    found = judge(dataset, names, depth=depth, jobs=jobs, again=again, progress=progress)
    order = list(Level)
    guessed = unknown_patients((case.split, case.patient) for case in dataset)
    problems = sorted([*layout.problems, *found.problems, *guessed], key=lambda problem: order.index(problem.level))
    return Report(dataset, names, tuple(problems), found.orientation)
