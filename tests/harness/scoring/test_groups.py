"""Groups of findings by what a text says and a data set states."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean

import pytest

from harness.rows import FindingDetails, FindingRow
from harness.scoring.groups import GROUPINGS, UNKNOWN, members, names_of
from harness.scoring.profiles import PROFILES
from harness.scoring.summary import summarise, summarise_groups
from harness.status import Status

LABEL = {grouping.key: grouping.label for grouping in GROUPINGS}


def finding(text: str = "A nodule", **details: object) -> FindingRow:
    """Return a finding of this text, half found."""
    counts = {"truth_voxels": 2, "pred_voxels": 2, "intersection": 1, "dice": 0.5}
    return FindingRow("c", "0", 0, "2d", text, "ok", details=FindingDetails(**details), **counts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "size", "side"),
    [
        ("Nodule of 5 mm in the right upper lobe", "yes", "one"),
        ("A 12x10-mm nodule in the lingula", "yes", "none"),
        ("Effusion, 6 cm on the right, small on the left", "yes", "both"),
        ("Mild emphysema in both lungs", "no", "both"),
        ("Bilateral bronchiectasis of segment 6", "no", "both"),
        ("Consolidation of the LLL, 2 foci", "no", "one"),
        ("Bright mmm-hmm leftover of 3 mmHg", "no", "none"),
        (" ", UNKNOWN, UNKNOWN),
    ],
)
def test_what_a_text_names(text: str, size: str, side: str) -> None:
    """A number with a unit of length is a size; a side is named by its word or by a lobe's initials."""
    row = finding(text)
    assert (LABEL["by_named_size"](row), LABEL["by_named_side"](row)) == (size, side)


@pytest.mark.parametrize(
    ("words", "label"), [(1, "up to 8"), (8, "up to 8"), (9, "9 to 13"), (13, "9 to 13"), (14, "14 and more")]
)
def test_length_of_a_text(words: int, label: str) -> None:
    """A length at a limit is in the shorter group."""
    assert LABEL["by_words"](finding("word " * words)) == label


@pytest.mark.parametrize(
    ("key", "details", "label"),
    [
        ("by_prior", {"prior": True}, "yes"), ("by_prior", {"prior": False}, "no"), ("by_prior", {}, UNKNOWN),
        ("by_shared_patient", {"shares_patient": True}, "yes"), ("by_shared_patient", {"shares_patient": False}, "no"),
        ("by_shared_patient", {}, UNKNOWN),
        ("by_entities", {"truth_entities": 1}, "one"), ("by_entities", {"truth_entities": 3}, "several"),
        ("by_entities", {"truth_entities": 0}, "none"), ("by_entities", {}, UNKNOWN),
        ("by_age", {"age": 0}, "under 40"), ("by_age", {"age": 39}, "under 40"), ("by_age", {"age": 40}, "40 to 59"),
        ("by_age", {"age": 60}, "60 and older"), ("by_age", {}, UNKNOWN),
        ("by_sex", {"sex": "F"}, "female"), ("by_sex", {"sex": "M"}, "male"), ("by_sex", {}, UNKNOWN),
    ],
)  # fmt: skip
def test_what_is_stated(key: str, details: dict[str, object], label: str) -> None:
    """What is not stated is unknown, never the other answer."""
    assert LABEL[key](finding(**details)) == label


def test_a_group_is_there_where_it_is_known() -> None:
    """Unknown ones are a group beside it; a grouping that is known of no finding is left out."""
    found = members([finding(prior=False, sex="F"), finding(sex="F"), finding(prior=True)])
    assert found["by_prior", "yes"] == [2]
    assert found["by_prior", UNKNOWN] == [1]
    assert [label for key, label in found if key == "by_sex"] == ["female", UNKNOWN]
    assert not any(key == "by_age" for key, _ in found)
    assert members([]) == {}


def test_each_group_is_the_mean_over_its_findings() -> None:
    """The oracle is a loop over the labels; every grouping divides all findings, whatever became of them."""
    rows = [
        replace(
            finding("nodule " * (number % 20 + 1), prior=[True, False, None][number % 3], age=number),
            case=f"c{number}",
            intersection=number % 3,
            status=Status.OOM if number % 7 == 0 else Status.OK,
        )
        for number in range(40)
    ]
    metrics = summarise_groups(rows, PROFILES["mlhc2025"])
    whole = summarise(rows, PROFILES["mlhc2025"])
    for metric, groups in metrics.items():
        for key, cells in groups.items():
            assert sum(cell["n"] for cell in cells.values()) == len(rows), (metric, key)
            total = sum(cell["n"] * cell["value"] for cell in cells.values())
            assert total / len(rows) == pytest.approx(whole[metric]["all"]["value"])
    for label, cell in metrics["dice"]["by_prior"].items():
        own = [row for row in rows if LABEL["by_prior"](row) == label]
        scores = [row.intersection / 2 if row.status == Status.OK else 0.0 for row in own]
        assert (cell["value"], cell["n"]) == (pytest.approx(fmean(scores)), len(own))


def test_names_are_in_the_order_of_the_table() -> None:
    """Groups of others are left out."""
    found = ["by_prior/unknown", "by_size/small", "by_sex/male", "by_prior/yes"]
    assert names_of(found) == {
        "by_prior/yes": "Refers to an earlier examination: yes",
        "by_prior/unknown": "Refers to an earlier examination: unknown",
        "by_sex/male": "Sex: male",
    }
