"""Linking the two gated downloads: whole or not at all, nothing copied, raw volumes never used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.dataset import open_dataset
from harness.dataset.rexgroundingct import indexes_in, link, names_in, wanted_cts
from harness.errors import DataError, UsageError


@pytest.fixture
def downloads(maker: Any, tmp_path: Path) -> tuple[Path, Path]:
    """Both downloads as they lie after `hf download`: masks stored half a turn from their CTs."""
    rex, ct_rate = tmp_path / "ReXGroundingCT", tmp_path / "CT-RATE"
    for split, number in (("train", 1), ("val", 2)):
        folder = f"../CT-RATE/dataset/train_fixed/train_{number}/train_{number}_b"
        masks = [np.flip(labels, (0, 1)) for labels in maker.deep_nodules()]
        maker.root = rex
        maker.case(split, f"train_{number}_b_2", masks, ct=maker.thorax(), folders=(folder, "segmentations"))
    maker.write()
    (rex / "MICCAI_challenge_dataset.json").write_text(json.dumps({"val": maker.document["val"]}))
    return rex, ct_rate


def test_the_linked_folder_is_a_data_set_of_links(downloads: tuple[Path, Path], tmp_path: Path) -> None:
    """Every file is a link, both indexes are there, and the measured flip is recorded."""
    target = tmp_path / "home" / "datasets" / "rexgroundingct"
    linked = link(target, *downloads)
    assert (linked.cases, linked.cts, linked.raw) == (2, 2, 0)
    assert linked.orientation.best == (0, 1)
    dataset = open_dataset(target)
    assert (dataset.name, dataset.licence, dataset.mask_flip) == (
        "rexgroundingct:base", "CC BY-NC-SA 4.0", (0, 1),
    )  # fmt: skip
    assert all(case.ct and case.ct.is_symlink() and case.truth and case.truth.is_file() for case in dataset)
    assert list(open_dataset(target / "MICCAI_challenge_dataset.json").splits) == ["val"]
    assert [path.name for path in target.parent.iterdir()] == ["rexgroundingct"]
    assert not any(path.is_file() and not path.is_symlink() for path in target.glob("[!g]*"))


def test_linking_again_replaces_the_links_and_leaves_the_downloads(
    downloads: tuple[Path, Path], tmp_path: Path
) -> None:
    """The second time finds what came since, and deletes nothing behind a link."""
    rex, ct_rate = downloads
    target = tmp_path / "rexgroundingct"
    ct = next(ct_rate.rglob("train_2_b_2.nii.gz"))
    away = ct.rename(tmp_path / "later.nii.gz")
    first = link(target, rex, ct_rate)
    assert (first.cts, first.whole) == (1, {"train": True, "val": False})
    away.rename(ct)
    again = link(target, rex, ct_rate)
    assert (again.cts, again.whole) == (2, {"train": True, "val": True})
    assert len(list((rex / "segmentations").iterdir())) == 2


def test_raw_volumes_alone_are_refused(downloads: tuple[Path, Path], tmp_path: Path) -> None:
    """Older folders hold raw values: the refusal says so, and leaves nothing behind."""
    rex, ct_rate = downloads
    (ct_rate / "dataset" / "train_fixed").rename(ct_rate / "dataset" / "train")
    with pytest.raises(DataError, match=r"it contains 2 as raw values.*slope"):
        link(tmp_path / "home" / "x", rex, ct_rate)
    assert list((tmp_path / "home").iterdir()) == []


def test_a_folder_of_somebody_else_is_never_replaced(downloads: tuple[Path, Path], tmp_path: Path) -> None:
    """Only what this command made is taken away."""
    (tmp_path / "precious").mkdir()
    with pytest.raises(DataError, match="was not made by this command"):
        link(tmp_path / "precious", *downloads)


def test_missing_parts_are_named(downloads: tuple[Path, Path], tmp_path: Path) -> None:
    """No such folder, no index, no masks: each says which step of the guide is missing."""
    rex, ct_rate = downloads
    with pytest.raises(UsageError, match="does not exist"):
        link(tmp_path / "x", rex, tmp_path / "gone")
    with pytest.raises(UsageError, match="does not exist"):
        indexes_in(tmp_path / "gone")
    with pytest.raises(DataError, match="does not contain any of"):
        indexes_in(ct_rate)
    (rex / "segmentations").rename(rex / "masks")
    with pytest.raises(DataError, match="does not contain the folder segmentations"):
        link(tmp_path / "x", rex, ct_rate)


def test_the_cts_still_to_be_downloaded_are_listed(downloads: tuple[Path, Path]) -> None:
    """By split, as paths inside CT-RATE's repository, without those that are there."""
    rex, ct_rate = downloads
    index = [rex / "dataset.json"]
    both = [f"dataset/train_fixed/train_{n}/train_{n}_b/train_{n}_b_2.nii.gz" for n in (1, 2)]
    assert wanted_cts(index, None, None) == both
    assert wanted_cts(index, "val", None) == both[1:]
    (ct_rate / both[0]).unlink()
    assert wanted_cts(index, None, ct_rate) == both[:1]
    with pytest.raises(UsageError, match="no split is named 'vla'"):
        names_in(index, "vla")
