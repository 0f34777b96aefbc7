"""Cases scored together: what fails by itself fails alone, whatever it does to the process that scores it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.dataset import open_dataset
from harness.dataset.cases import Case
from harness.errors import DataError, PrerequisiteError
from harness.runs.together import scored_together
from harness.scoring.case import CaseScore, CaseTask, score_case


class Deadly:
    """Ends the process that reads it."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Unpickle as the end of the process, as the kernel's out-of-memory killer ends one."""
        return os._exit, (9,)


@pytest.fixture
def tasks(make_dataset: Callable[..., Path]) -> list[tuple[Case, list[CaseTask]]]:
    """Return two cases of three submissions, all of them perfect."""
    data = open_dataset(make_dataset(2))
    found = []
    for case in data.split("test"):
        assert case.truth is not None
        task = CaseTask(case.id, case.truth, case.shape, case.spacing, case.affine, case.findings, stack=case.truth)
        found.append((case, [task] * 3))
    return found


def _all(tasks: list[tuple[Case, list[CaseTask]]], jobs: int) -> dict[tuple[str, int], CaseScore | Exception]:
    found: dict[tuple[str, int], CaseScore | Exception] = {}
    for together, scores in scored_together(tasks, jobs):
        for number, one in zip(together.of, scores, strict=True):
            assert found.setdefault((together.case.id, number), one) is one, "scored twice"
    return found


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.costly)])
def test_every_case_of_every_submission_once(tasks: list[tuple[Case, list[CaseTask]]], jobs: int) -> None:
    """The scores are those of each task alone."""
    expected = {(case.id, i): score_case(task) for case, of in tasks for i, task in enumerate(of)}
    assert _all(tasks, jobs) == expected


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.costly)])
def test_an_unforeseen_failure_is_one_submissions_alone(tasks: list[tuple[Case, list[CaseTask]]], jobs: int) -> None:
    """The others get their scores, of the same case, too."""
    case, of = tasks[1]
    tasks[1] = (case, [of[0], replace(of[1], stack=2.5), of[2]])  # type: ignore[arg-type]
    found = _all(tasks, jobs)
    failed = {key: one for key, one in found.items() if isinstance(one, Exception)}
    assert list(failed) == [(case.id, 1)]
    assert isinstance(failed[case.id, 1], TypeError)
    assert len(found) == 6


@pytest.mark.costly
def test_what_kills_its_process_is_lost_alone(tasks: list[tuple[Case, list[CaseTask]]]) -> None:
    """A killed process breaks the whole pool, again at the second try; still only its submission has no score."""
    case, of = tasks[0]
    tasks[0] = (case, [of[0], of[1], replace(of[2], stack=Deadly())])  # type: ignore[arg-type]
    found = _all(tasks, 2)
    assert [key for key, one in found.items() if isinstance(one, Exception)] == [(case.id, 2)]
    assert isinstance(error := found[case.id, 2], PrerequisiteError)
    assert case.id in error.message
    assert len(found) == 6


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.costly)])
def test_a_bad_truth_ends_all(tasks: list[tuple[Case, list[CaseTask]]], jobs: int, tmp_path: Path) -> None:
    """It is not the fault of any submission."""
    case, of = tasks[0]
    tasks[0] = (case, [replace(task, truth=tmp_path / "absent.nii.gz") for task in of])
    with pytest.raises(DataError, match=r"absent\.nii\.gz"):
        _all(tasks, jobs)
