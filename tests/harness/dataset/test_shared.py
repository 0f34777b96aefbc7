"""A patient in two splits: refused, or marked where it is declared that scans were dealt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.dataset import editions, open_dataset
from harness.dataset.judge import require_sound
from harness.dataset.shared import shared_words
from harness.errors import DataError


def historical(maker: Any, **declared: object) -> Path:
    """Write a release as it is published: four scans of three patients, one of whom is in train and in test."""
    maker.document.update({"train": [], "val": [], "test": []})
    for split, number, scan in (("train", 1, "a"), ("val", 2, "a"), ("test", 1, "b"), ("test", 3, "a")):
        patient = f"train_{number}"
        folders = (f"dataset/train_fixed/{patient}/{patient}_{scan}", "segmentations")
        maker.case(split, f"{patient}_{scan}_1", folders=folders)
    maker.document |= declared
    maker.write()
    root: Path = maker.root
    return root


def test_without_the_declaration_it_is_refused(maker: Any) -> None:
    """The message says what to declare, and nothing is marked; nor is it where patients are said to be dealt."""
    for declared in ({}, {"split_by": "patient"}):
        data = open_dataset(historical(maker, **declared))
        assert {case.shared_with for case in data} == {None}
        with pytest.raises(DataError, match="train_1") as refused:
            require_sound(data, ["test"])
        assert '"split_by": "scan"' in str(refused.value.fix)


def test_declared_it_is_marked(maker: Any) -> None:
    """Each case knows which of the splits that are trained on has a scan of its patient; the warning stays."""
    data = open_dataset(historical(maker, split_by="scan", patients={"train_2_a_1": "train_3"}))
    marks = {case.id: case.shared_with for case in data}
    assert marks == {
        "train_1_a_1": (), "train_2_a_1": (), "train_1_b_1": ("train",), "train_3_a_1": ("val",),
    }  # fmt: skip
    test = data.split("test")
    assert shared_words(test, "test") == "2 of 2 test cases share a patient with train and val"
    assert shared_words(test[:1], "test") == "1 of 1 test cases share a patient with train"
    assert shared_words(data.split("train"), "train") == ""
    assert {problem.code for problem in require_sound(data, ["test"])} >= {"patient-in-two-splits"}


def test_an_unknown_patient_is_not_marked_either_way(maker: Any) -> None:
    """Nothing says that such a case shares nobody."""
    historical(maker, split_by="scan")
    maker.case("test", "somebody")
    maker.write()
    data = open_dataset(maker.root)
    assert {case.id: case.shared_with for case in data.split("test")}["somebody"] is None


def test_an_edition_is_declared_by_its_content(maker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The paper allocates scans: an index with its numbers needs no word; the same names with other numbers do."""
    root = historical(maker)
    assert editions.PAPER.split_by == "scan"
    small = replace(editions.PAPER, cases={"train": 1, "val": 1, "test": 2}, findings={})
    for edition, found in (
        (small, "scan"),
        (replace(small, cases={**small.cases, "test": 3}), ""),
        (replace(small, split_by=""), ""),
        (replace(small, whole=False), ""),
    ):
        monkeypatch.setattr(editions, "EDITIONS", {edition.id: edition})
        assert open_dataset(root).split_by == found


@pytest.mark.parametrize("stated", ["scans", 1, True, {}])
def test_another_declaration_is_a_fault(maker: Any, stated: object) -> None:
    """A word that is not known declares nothing."""
    with pytest.raises(DataError, match="split_by"):
        open_dataset(historical(maker, split_by=stated))
