"""Detection by the size of a lesion."""

from __future__ import annotations

import math

import pytest

from harness.rows import FindingDetails, FindingRow, InstanceRow
from harness.scoring.lesions import diameter, recall_by_size
from harness.scoring.statistics import wilson


def finding(*sizes: tuple[float | None, str], case: str = "c") -> FindingRow:
    """Return a finding with entities of these diameters (mm) and outcomes."""
    rows = tuple(
        InstanceRow("truth", number, 1, None if size is None else math.pi * size**3 / 6, status)
        for number, (size, status) in enumerate(sizes, start=1)
    )
    extra = InstanceRow("prediction", 1, 1, 1.0, "false")
    return FindingRow(case, "0", 0, "2d", "text", "ok", details=FindingDetails(len(rows), 0.1, None, (*rows, extra)))


def test_the_diameter_is_that_of_the_sphere_of_the_volume() -> None:
    """Known answer: 4/3 pi r^3 with r = 5."""
    assert diameter(4 / 3 * math.pi * 125) == pytest.approx(10)


def test_entities_are_counted_by_size() -> None:
    """A cut-off begins the larger group; predictions and entities of unknown size are in none."""
    rows = [
        finding((2, "missed"), (5, "found"), (None, "found")),
        finding((5.9, "missed"), (12, "found"), (40, "found")),
    ]
    found = recall_by_size(rows)
    assert [(size["from_mm"], size["to_mm"], size["found"], size["n"]) for size in found] == [
        (0, 3, 0, 1),
        (3, 6, 1, 2),
        (6, 10, 0, 0),
        (10, 20, 1, 1),
        (20, None, 1, 1),
    ]
    assert found[1]["value"] == 0.5
    assert found[2]["value"] is None
    assert (found[1]["cases"], found[1]["ci95"]) == (1, None)  # one case has no interval


def test_the_interval_is_over_cases() -> None:
    """Known answer: lesions that are found case by case tell no more than five of six cases do."""
    found = [finding(*[(5, "found" if case < 3 else "missed")] * 4, case=f"c{case}") for case in range(6)]
    group = recall_by_size(found)[1]
    assert (group["found"], group["n"], group["cases"]) == (12, 24, 6)
    assert group["ci95"] == pytest.approx(wilson(2.5, 5))


def test_other_cut_offs() -> None:
    """The groups follow the cut-offs, and hold every entity once."""
    found = recall_by_size([finding((2, "found"), (5, "found"))], [5.000001])
    assert [size["n"] for size in found] == [2, 0]
