"""What the rest of the code sees of a case."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.dataset import Case, open_dataset
from harness.dataset.cases import in_order
from harness.errors import UsageError


def test_a_case_knows_its_grid_and_its_findings(make_dataset: Callable[..., Path]) -> None:
    """Shape and spacing are the CT's, the findings those of the index in the order of their numbers."""
    (case,) = open_dataset(make_dataset(1)).split("test")
    assert case.shape == (24, 20, 16)
    assert case.spacing == (2.0, 2.0, 3.0)
    assert [(finding.id, finding.category) for finding in case.findings] == [("0", "2d"), ("1", "1c")]


def test_the_patient_of_a_foreign_name_is_not_known(make_dataset: Callable[..., Path]) -> None:
    """A name that only looks like one of CT-RATE's says nothing of the patient."""
    (case,) = open_dataset(make_dataset(1)).split("test")
    assert case.patient is None


def test_an_unknown_split_gets_its_neighbour(make_dataset: Callable[..., Path]) -> None:
    """A slip is answered with the split that was meant."""
    with pytest.raises(UsageError) as refused:
        open_dataset(make_dataset(1)).split("tset")
    assert "test" in refused.value.fix


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a_10_a_1", "a_9_a_1"], ["a_9_a_1", "a_10_a_1"]),
        (["case", "2", "case_2", "10"], ["2", "10", "case", "case_2"]),
        (["a_01", "a_1", "a_001"], ["a_001", "a_01", "a_1"]),
        (["B", "a", "b"], ["B", "a", "b"]),
    ],
)
def test_cases_have_an_order_that_their_names_decide(names: list[str], expected: list[str]) -> None:
    """Numbers count by their value; names of equal value have an order all the same, whatever the index's."""
    for listed in (names, names[::-1]):
        assert [case.id for case in in_order(Case(name, "test", ()) for name in listed)] == expected
