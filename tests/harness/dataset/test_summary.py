"""What a data set is made of, counted as the paper's Table 3 counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.dataset import open_dataset
from harness.dataset.summary import summarise


def test_counts_by_split_and_in_all(sound: Any) -> None:
    """Cases, patients, findings, entities and files of every split, and over all."""
    sound.case("train", "train_1_b_1")
    (sound.root / "seg" / "train_3_b_2.nii.gz").unlink()
    summary = summarise(open_dataset(sound.write()), ["train", "val", "test"])
    train = summary.splits["train"]
    assert (train.cases, train.patients, train.findings, train.entities, train.cts, train.masks) == (2, 1, 2, 4, 2, 2)
    assert summary.splits["test"].masks == 0
    assert (summary.total.cases, summary.total.patients, summary.total.findings) == (4, 3, 5)


def test_the_papers_table_3_comes_out_of_its_counts(real_data: Path, tmp_path: Path) -> None:
    """4,776 findings with the published counts give the published percentages, and 78 % focal."""
    table = json.loads((real_data / "text" / "paper_table3.json").read_text())["rows"]
    codes = [row["challenge_code"] for row in table for _ in range(row["count"])]
    findings = [
        {"name": f"train_{i}_a_1.nii.gz", "findings": ["text"], "categories": [code]} for i, code in enumerate(codes)
    ]
    (tmp_path / "dataset.json").write_text(json.dumps({"train": findings}))
    summary = summarise(open_dataset(tmp_path), ["train"])
    assert [(row.code, row.count, round(row.percent, 1)) for row in summary.categories] == [
        (row["challenge_code"], row["count"], row["percent"]) for row in table
    ]
    assert [row.group for row in summary.categories] == [row["category"] for row in table]
    assert summary.focal_percent is not None
    assert round(summary.focal_percent) == 78
    assert (summary.shapes, summary.depth_mean, summary.uncategorised) == (None, None, 0)


def test_grids_are_ranges_and_depth_has_a_spread(maker: Any) -> None:
    """Depths 10 and 16: mean 13, sample standard deviation 4.24."""
    maker.case("val", "train_1_a_1")
    maker.case("val", "train_2_a_1", ct=maker.scan((16, 14, 16)))
    summary = summarise(open_dataset(maker.write()), ["val"])
    assert (summary.depth_mean, summary.depth_sd) == (13, pytest.approx(18**0.5))
    assert summary.shapes is not None
    assert (summary.shapes.lowest, summary.shapes.highest) == ((16, 14, 10), (16, 14, 16))
    assert summary.spacings is not None
    assert summary.spacings.highest == pytest.approx((0.7, 0.7, 1.25))


def test_findings_outside_the_14_categories_are_counted_apart(sound: Any) -> None:
    """They are in the total, in no row, and in neither group."""
    sound.document["test"][0]["categories"]["0"] = "3a"
    del sound.document["train"][0]["categories"]
    summary = summarise(open_dataset(sound.write()), ["train", "val", "test"])
    assert (summary.uncategorised, summary.total.findings, summary.focal_percent) == (2, 4, 100)
    assert sum(row.count for row in summary.categories) == 2
