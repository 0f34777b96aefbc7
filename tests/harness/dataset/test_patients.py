"""Whose scan a case is: stated by the data set, certain by its name, or not known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from curation.finalize import _table
from harness.dataset import open_dataset
from harness.dataset.patients import patient_by_name
from harness.dataset.summary import summarise
from harness.dataset.validate import validate_dataset
from harness.errors import DataError


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        ("train_19753_a_2", "train_19753"), ("valid_5_aa_1", "valid_5"), ("test_7_a_1", "test_7"),
        ("lung_ct_001", None), ("chest_scan_17", None), ("site1_case_7", None), ("covid_pos_1", None),
        ("train_1_A_1", None), ("p7_a", None), ("P001_2020", None), ("train_x_a_1", None), ("my_train_1_a_1", None),
        ("train_1_a_1_b_1", None), ("train_1_a", None),
    ],
)  # fmt: skip
def test_only_names_of_ct_rate_tell_the_patient(name: str, patient: str | None) -> None:
    """The rule of one data set's names says nothing of another's."""
    assert patient_by_name(name) == patient


def _codes(root: Path) -> set[str]:
    return {problem.code for problem in validate_dataset(root).problems if problem.code.startswith("patient")}


def test_what_is_not_known_is_said_and_a_table_tells(maker: Any) -> None:
    """A guess is a warning and counts each case apart; a table in the index or beside it takes its place."""
    for split, name in (("train", "lung_ct_001"), ("train", "lung_ct_002"), ("test", "lung_ct_003")):
        maker.case(split, name)
    root = maker.write().parent if maker.write().is_file() else maker.write()
    total = summarise(open_dataset(root), ["train", "test"]).total
    assert (total.patients, total.unknown_patients) == (3, 3)
    assert _codes(root) == {"patients-unknown"}
    (root / "patients.csv").write_text("case,patient,age\nlung_ct_001,A,50\nlung_ct_002.nii.gz,A,50\nlung_ct_003,B,\n")
    assert [case.patient for case in open_dataset(root)] == ["A", "A", "B"]
    assert _codes(root) == set()
    total = summarise(open_dataset(root), ["train", "test"]).total
    assert (total.patients, total.unknown_patients) == (2, 0)
    (root / "patients.csv").write_text("case,patient\nlung_ct_001,A\nlung_ct_002,B\nlung_ct_003,A\n")
    assert _codes(root) == {"patient-in-two-splits"}
    index = json.loads((root / "dataset.json").read_text())
    (root / "dataset.json").write_text(json.dumps({**index, "patients": {"lung_ct_001": "A", "lung_ct_003": "C"}}))
    with pytest.raises(DataError, match="name different patients"):
        open_dataset(root)
    (root / "patients.csv").unlink()
    assert [case.patient for case in open_dataset(root)] == ["A", None, "C"]


def test_a_table_overrules_the_name(maker: Any) -> None:
    """What the data set states goes before what a name seems to say."""
    maker.case("train", "train_1_a_1")
    root = maker.root
    maker.write()
    (root / "patients.csv").write_text("case,patient\ntrain_1_a_1,somebody\n")
    assert [case.patient for case in open_dataset(root)] == ["somebody"]


@pytest.mark.parametrize(
    "text", ["name,id\na,b\n", "case,patient\na,\n", "case,patient\na,x\na,y\n", "case,patient\n,x\n"]
)
def test_a_faulty_table_is_refused(maker: Any, text: str) -> None:
    """A table without its columns, with a gap or with a contradiction is not a valid table of patients."""
    maker.case("train", "a")
    maker.write()
    (maker.root / "patients.csv").write_text(text)
    with pytest.raises(DataError):
        open_dataset(maker.root)
    with pytest.raises(DataError):
        _table(maker.root / "patients.csv")
