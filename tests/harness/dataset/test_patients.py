"""Whose scan a case is: stated by the data set, certain by its name, or not known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from curation.finalize import _table
from harness.dataset import open_dataset
from harness.dataset.patients import age_of, patient_by_name, read_patients
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


def test_ages_and_sexes_come_from_a_table_or_the_index(maker: Any) -> None:
    """CT-RATE's table is read as it is, beside names that tell the patient; what is not stated is not known."""
    for number in (1, 2, 3):
        maker.case("test", f"train_{number}_a_1")
    root = maker.root
    maker.write()
    (root / "patients.csv").write_text(
        "VolumeName,Manufacturer,PatientSex,PatientAge\n"
        "train_1_a_1.nii.gz,x,F,061Y\ntrain_2_a_1.nii.gz,x,O,\ntrain_9_a_1.nii.gz,x,M,018M\n"
    )
    cases = list(open_dataset(root))
    assert [(case.age, case.sex, case.patient) for case in cases] == [
        (61, "F", "train_1"), (None, None, "train_2"), (None, None, "train_3"),
    ]  # fmt: skip
    index = json.loads((root / "dataset.json").read_text())
    index["test"][1] |= {"age": 40, "sex": "male", "prior": {"0": False}}
    (root / "dataset.json").write_text(json.dumps(index))
    second = open_dataset(root).split("test")[1]
    assert (second.age, second.sex, second.findings[0].prior) == (40, "M", False)
    index["test"][0] |= {"age": 62}
    (root / "dataset.json").write_text(json.dumps(index))
    with pytest.raises(DataError, match="train_1_a_1: the index and patients"):
        open_dataset(root)


@pytest.mark.parametrize(
    ("stated", "years"),
    [
        ("045Y", 45), ("018M", 1), ("020W", 0), ("400D", 1), ("45", 45), (45.9, 45), ("", None), (None, None),
        ("nan", None),
    ],
)  # fmt: skip
def test_ages_as_they_are_written(stated: object, years: int | None) -> None:
    """A number is years; DICOM has a unit."""
    assert age_of(stated) == years


@pytest.mark.parametrize("stated", ["old", "045X", "-3", "131", "1e9", True, "4 5"])
def test_what_is_not_an_age(stated: object) -> None:
    """A text that is not an age is a fault, not an unknown age."""
    with pytest.raises(ValueError, match="is not an age in years"):
        age_of(stated)


@pytest.mark.parametrize("field", [{"age": "old"}, {"prior": {"0": "Y"}}, {"prior": {"0": 1}}])
def test_an_index_that_states_something_else_is_refused(maker: Any, field: dict[str, object]) -> None:
    """What is written in another form is never taken for a no."""
    maker.case("test", "a")
    path = maker.root / "dataset.json"
    maker.write()
    index = json.loads(path.read_text())
    index["test"][0] |= field
    path.write_text(json.dumps(index))
    with pytest.raises(DataError, match=next(iter(field))):
        open_dataset(maker.root)


@pytest.mark.parametrize(
    "text",
    [
        "name,id\na,b\n",
        "case,patient\na,\n",
        "case,patient\na,x\na,y\n",
        "case,patient\n,x\n",
        "case,age\na,old\n",
        "case,sex\na,F\na,M\n",
        "case,patient\na,007\nb,7\n",
        "case,patient\na,P1\nb,p1\n",
    ],
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


@pytest.mark.parametrize(
    "text",
    [
        "case;patient\r\na;x\r\n".encode("utf-16"),
        b"\xef\xbb\xbfVolumeName\tPatient ID\na.nii.gz\tx\n",
        b'case,note,patient\na,"two\nlines",x\n',
    ],
)
def test_tables_as_spreadsheets_write_them(tmp_path: Path, text: bytes) -> None:
    """Semicolons, tabs, UTF-16, a byte order mark, other names of the columns and breaks within cells are read."""
    path = tmp_path / "patients.csv"
    path.write_bytes(text)
    people, problems = read_patients(path)
    assert problems == []
    assert people["a"].patient == "x"
