"""Patients that the splits of a data set share, where it is declared that scans were dealt and not patients.

Such a historical split runs; each of its rows says how many cases share a patient with what models are trained on, has
its score with and without them, and is not ranked. Without the declaration a shared patient is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from harness.dataset.cases import SCAN, Case, Dataset
from harness.dataset.editions import split_by_of

#: The splits that models are trained on, and that their weights are chosen by.
_TRAINED: Final = ("train", "val")

#: What to do about a patient in two splits.
DECLARE: Final = (
    'keep all scans of a patient in one split; or, for a published split that was made by scans, declare "split_by": '
    '"scan" in the index: it then runs, its rows are marked, and they are never ranked'
)


def marked(dataset: Dataset) -> Dataset:
    """Return a data set whose cases, where it is declared that scans were dealt, know which splits share a patient."""
    dataset = replace(dataset, split_by=split_by_of(dataset))
    if dataset.split_by != SCAN:
        return dataset
    people = {name: {case.patient for case in dataset.splits.get(name, ()) if case.patient} for name in _TRAINED}

    def mark(case: Case) -> Case:
        if case.patient is None:
            return case
        others = (name for name in _TRAINED if name != case.split and case.patient in people[name])
        return replace(case, shared_with=tuple(others))

    return replace(dataset, splits={name: tuple(map(mark, cases)) for name, cases in dataset.splits.items()})


def shared_words(cases: Sequence[Case], split: str) -> str:
    """Return how many cases of a split share their patient, and with what; empty where none is known to."""
    shared = [case.shared_with for case in cases if case.shared_with]
    names = [name for name in _TRAINED if any(name in others for others in shared)]
    return f"{len(shared)} of {len(cases)} {split} cases share a patient with {' and '.join(names)}" if shared else ""
