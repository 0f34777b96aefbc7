"""Published editions are known by their numbers, and by nothing that a folder is called."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.dataset import find_dataset, open_dataset
from harness.dataset.editions import EDITIONS, PAPER, edition_of, facts
from harness.errors import UnknownName, UsageError

pytestmark = pytest.mark.costly


def _paper() -> dict[str, list[dict[str, Any]]]:
    """Return an index with the paper's numbers: scans a split, findings a category, those of the test."""
    left = {code: n for (split, code), n in PAPER.findings.items() if split == "all" and code != "all"}
    test = {code: n for (split, code), n in PAPER.findings.items() if split == "test"}
    codes = [code for code, n in test.items() for _ in range(n)] + ["2d"] * 133
    for code in codes:
        left[code] -= 1
    rest = [code for code, n in left.items() for _ in range(n)]
    index: dict[str, list[dict[str, Any]]] = {}
    number = 0
    for split, wanted in (("train", rest), ("val", []), ("test", codes)):
        cases: list[dict[str, Any]] = []
        for i in range(PAPER.cases[split]):
            number += 1
            mine = wanted[i :: PAPER.cases[split]] or ["2d"][: split == "none"]
            cases.append(
                {
                    "name": f"train_{number}_a_1.nii.gz",
                    "findings": {str(k): "A nodule" for k in range(len(mine))},
                    "categories": {str(k): code for k, code in enumerate(mine)},
                }
            )
        index[split] = cases
    return index


@pytest.fixture
def opened(tmp_path: Path) -> Callable[[dict[str, Any]], Any]:
    """Return a function that opens a data set of an index alone, under a name that says nothing."""

    def opened(index: dict[str, Any]) -> Any:
        (tmp_path / "mine").mkdir(exist_ok=True)
        (tmp_path / "mine" / "dataset.json").write_text(json.dumps(index))
        return open_dataset(tmp_path / "mine")

    return opened


def test_the_papers_set_is_known_by_its_22_numbers(opened: Callable[..., Any]) -> None:
    """Whatever file and folder hold it."""
    data = opened(_paper())
    stated = list(facts(PAPER, data))
    assert (len(stated), all(fact.agrees for fact in stated)) == (22, True)
    assert [edition_of(data, split) for split in ("train", "val", "test")] == ["mlhc2025"] * 3


def _without_a_scan(index: Any) -> None:
    index["train"].pop()


def _with_another_category(index: Any) -> None:
    index["test"][0]["categories"]["0"] = "2d"


def _in_another_order(index: Any) -> None:
    index["test"].reverse()


def _with_a_scan_elsewhere(index: Any) -> None:
    index["val"].append(index["train"].pop(0))


@pytest.mark.parametrize(
    ("change", "differ"),
    [
        (_without_a_scan, {"train: scans", "findings", "findings of 2a", "findings of 2c"}),
        (_with_another_category, {"findings of 1a", "findings of 2d", "test: findings of 1a"}),
        (_in_another_order, set()),
        (_with_a_scan_elsewhere, {"train: scans", "val: scans"}),
    ],
)
def test_what_differs_is_named(opened: Callable[..., Any], change: Callable[[Any], object], differ: set[str]) -> None:
    """One scan, finding or category more, less or elsewhere makes another set; the order does not."""
    index = _paper()
    change(index)
    data = opened(index)
    assert {fact.name for fact in facts(PAPER, data) if not fact.agrees} == differ
    assert edition_of(data, "test") == ("" if differ else "mlhc2025")


def test_the_same_numbers_of_other_scans_are_another_set(opened: Callable[..., Any]) -> None:
    """A made-up set with all of the paper's numbers is not the paper's: its scans are not CT-RATE's."""
    index = _paper()
    for cases in index.values():
        for case in cases:
            case["name"] = case["name"].replace("train_", "phantom_")
    assert edition_of(opened(index), "test") == ""


def test_a_split_of_the_challenge_is_known_alone(opened: Callable[..., Any]) -> None:
    """Of its validation the number of findings is published; of its training split only that of the scans."""
    cases = [
        {"name": f"train_{i}_a_1.nii.gz", "findings": {"0": "x", **({"1": "y"} if i < 181 else {})}} for i in range(200)
    ]
    assert edition_of(opened({"val": cases}), "val") == "challenge"
    assert edition_of(opened({"val": cases[1:]}), "val") == ""
    assert edition_of(opened({"test": cases}), "test") == ""


def test_each_edition_of_a_release_has_a_name(tmp_path: Path) -> None:
    """``NAME:EDITION`` opens one index of a folder, and its rows carry that name; a wrong one is refused."""
    folder = tmp_path / "datasets" / "rex"
    folder.mkdir(parents=True)
    for n, edition in enumerate(EDITIONS.values(), 1):
        cases = [{"name": f"train_{i}_a_1.nii.gz", "findings": {"0": "x"}} for i in range(n)]
        (folder / edition.index).write_text(json.dumps({"test": cases}))
    for n, name in enumerate(EDITIONS, 1):
        data = open_dataset(find_dataset(f"rex:{name}", tmp_path))
        assert (data.name, len(data.splits["test"])) == (f"rex:{name}", n)
    assert open_dataset(find_dataset("rex", tmp_path)).name == "rex:base"
    with pytest.raises(UnknownName, match="no edition is named 'mlhc'"):
        find_dataset("rex:mlhc", tmp_path)
    (folder / PAPER.index).unlink()
    with pytest.raises(UsageError, match="rex does not contain MLHC_dataset_version"):
        find_dataset("rex:mlhc2025", tmp_path)
    with pytest.raises(UsageError):
        find_dataset("rey:mlhc2025", tmp_path)
