"""What can be scored of a split that lacks truths is a split of its own; the rest of the index stays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from harness.cli.data_scorable import scorable
from harness.cli.settings import Settings
from harness.dataset import open_dataset
from harness.dataset.fingerprint import fingerprint_of
from harness.dataset.scorable import write_scorable
from harness.errors import DataError
from harness.runs.plan import select_cases


def lacking(maker: Any) -> Path:
    """Write a test split of three cases, one of which has no truth."""
    maker.case("train", "train_9_a_1")
    for number in (1, 2, 3):
        maker.case("test", f"train_{number}_a_1")
    maker.write()
    (maker.root / "seg" / "train_2_a_1.nii.gz").unlink()
    root: Path = maker.root
    return root


def test_the_rest_is_a_split_of_its_own(maker: Any) -> None:
    """It has another name and fingerprint, and train is the same to the bit; the split itself stays refused."""
    root = lacking(maker)
    whole = open_dataset(root)
    with pytest.raises(Exception, match="lacks the ground truth of train_2_a_1") as refused:
        select_cases(whole, "test", None)
    assert "bench data scorable" in refused.value.fix  # type: ignore[attr-defined]
    made = write_scorable(whole, "test")
    assert (made.index.name, made.split, made.cases, made.whole) == ("test-with-truth.json", "test-with-truth", 2, 3)
    part = open_dataset(made.index)
    assert [case.id for case in select_cases(part, made.split, None)] == ["train_1_a_1", "train_3_a_1"]
    assert set(part.splits) == {"train", "test-with-truth"}
    assert fingerprint_of(part, "train") == fingerprint_of(whole, "train")
    assert fingerprint_of(part, made.split) != fingerprint_of(whole, "test")
    assert open_dataset(root).index == whole.index  # the folder opens as before


def test_what_is_declared_of_the_splits_comes_along(maker: Any) -> None:
    """A split by scans stays one, and a patient in train is seen."""
    root = lacking(maker)
    index = root / "dataset.json"
    document = {**json.loads(index.read_text()), "split_by": "scan", "patients": {"train_3_a_1": "train_9"}}
    index.write_text(json.dumps(document))
    part = open_dataset(write_scorable(open_dataset(root), "test").index)
    assert [case.shared_with for case in part.split("test-with-truth")] == [(), ("train",)]


@pytest.mark.parametrize("missing", [(), (1, 2, 3)])
def test_all_or_nothing_is_no_part(maker: Any, missing: tuple[int, ...]) -> None:
    """A split that is whole is used itself; of one without any truth nothing can be scored."""
    for number in (1, 2, 3):
        maker.case("test", f"train_{number}_a_1")
    maker.write()
    for number in missing:
        (maker.root / "seg" / f"train_{number}_a_1.nii.gz").unlink()
    with pytest.raises(DataError, match="no case" if missing else "every case"):
        write_scorable(open_dataset(maker.root), "test")


def test_the_command_says_what_to_run_next(maker: Any, tmp_path: Path) -> None:
    """For people and for programs."""
    arguments = [str(lacking(maker)), "--split", "test"]
    shown = CliRunner().invoke(scorable, arguments, obj=Settings(tmp_path / "home"))
    assert "2 of the 3 cases of test" in shown.output
    assert "--split test-with-truth" in shown.output
    document = json.loads(CliRunner().invoke(scorable, [*arguments, "--json"], obj=Settings(tmp_path / "home")).output)
    assert (document["split"], document["cases"], document["whole"]) == ("test-with-truth", 2, 3)
