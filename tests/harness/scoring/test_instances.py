"""Instances one by one: the evaluator's ties, and rows that sum to the counts."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from harness.masks.bits import Bits, from_coordinates
from harness.rows import InstanceCounts, InstanceRow
from harness.scoring import instances
from harness.scoring.instances import count_instances, match, missed_rows
from harness.scoring.profiles import InstanceRule
from harness.scoring.regions import Regions

SPACING = (0.5, 0.5, 2.0)


def from_array(labels: np.ndarray) -> Bits:
    """Make a grid from a whole array of labels."""
    x, y, z = (axis.astype(np.int64) for axis in np.nonzero(labels))
    return from_coordinates(labels.shape, x, y, z, labels[x, y, z].astype(np.int32))


def counted(
    truth: np.ndarray, prediction: np.ndarray, *, focal: bool = True
) -> tuple[InstanceCounts, tuple[InstanceRow, ...]]:
    return count_instances(
        Regions(from_array(truth)), from_array(prediction), InstanceRule(), spacing=SPACING, focal=focal
    )


def test_of_two_pairs_of_the_same_dice_the_smaller_one_is_matched_first() -> None:
    """Known answer of the evaluator, which sorts by the smoothed Dice: 2-P goes first, and nothing is left for 1."""
    truth = np.zeros((40, 8, 8), np.uint8)
    truth[0:20, 0, 0] = 1  # 20 voxels
    truth[20:30, 0, 0] = 2  # 10 voxels
    prediction = np.zeros_like(truth)
    prediction[14:24, 0, 0] = 1  # P: 6 in label 1, 4 in label 2, Dice 0.4 with each
    prediction[27:37, 0, 0] = 1  # Q: 3 in label 2, Dice 0.3
    counts, rows = counted(truth, prediction)
    assert asdict(counts.overlap) == {"tp": 1, "fp": 1, "fn": 1}
    assert [row.status for row in rows if row.side == "truth"] == ["missed", "found"]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("focal", [True, False])
def test_rows_sum_to_the_counts(seed: int, focal: bool) -> None:
    """Every entity and every component kept has one row; found, missed and false ones are as many as counted."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((30, 28, 12), np.uint8)
    prediction = np.zeros_like(truth)
    for label in range(1, 7):
        x, y, z = (int(rng.integers(0, side - 6)) for side in truth.shape)
        truth[x : x + 5, y : y + 4, z : z + 3] = label
        shift = int(rng.integers(0, 5))
        if rng.random() < 0.8:
            prediction[x + shift : x + shift + 5, y : y + 4, z : z + 3] = 1
    counts, rows = counted(truth, prediction, focal=focal)
    entities = [row for row in rows if row.side == "truth"]
    parts = [row for row in rows if row.side == "prediction"]
    assert sum(row.voxels for row in entities) == (truth > 0).sum()
    assert sum(row.voxels for row in parts) == counts.kept_voxels
    assert sum(row.dice or 0 for row in entities) == pytest.approx(counts.matched_dice)
    assert sum(row.mm3 or 0 for row in entities) == pytest.approx((truth > 0).sum() * 0.5)
    for name, found in (("status", counts.overlap), ("distance_status", counts.distance)):
        assert found is not None
        assert [getattr(row, name) for row in entities].count("found") == found.tp
        assert [getattr(row, name) for row in parts].count("true") == found.tp
        assert [getattr(row, name) for row in entities].count("missed") == found.fn
        assert [getattr(row, name) for row in parts].count("false") == found.fp
    by_label = {row.label: row for row in parts}
    assert all(by_label[row.matched].matched == row.label for row in entities if row.matched)


def test_a_finding_without_a_valid_mask_has_its_entities_missed() -> None:
    """They are what the metrics count as not found."""
    truth = np.zeros((8, 8, 8), np.uint8)
    truth[0, 0, 0], truth[4:6, 4, 4] = 1, 7
    rows = missed_rows(Regions(from_array(truth)), None)
    assert [(row.label, row.voxels, row.status) for row in rows] == [(1, 1, "missed"), (7, 2, "missed")]
    assert all(row.mm3 is None for row in rows)


@pytest.mark.parametrize("assd", ["pooled", "directed"])
def test_the_bound_of_the_distance_leaves_out_no_pair(assd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pair that the bound leaves out is beyond the limit: the matches are those without it, and it does leave out."""
    rule, left_out = InstanceRule(assd=assd, min_voxels=1), 0
    bound, spacing = instances._surely_far, (0.5, 1.5, 2.0)
    for seed in range(60):
        rng = np.random.default_rng(seed)
        truth, prediction = np.zeros((2, 36, 40, 18), np.uint8)
        for label in range(1, 5):
            x, y, z = (int(rng.integers(0, side - 4)) for side in truth.shape)
            truth[x : x + int(rng.integers(1, 4)), y : y + int(rng.integers(1, 4)), z : z + 2] = label
        for _ in range(3):  # long, thin, bent and thick ones, some just at the limit
            x, y, z = (int(rng.integers(0, side - 2)) for side in truth.shape)
            prediction[x : x + 2, y : y + int(rng.integers(2, 40)), z] = 1
            prediction[x : x + int(rng.integers(1, 20)), y : y + 2, z : z + int(rng.integers(1, 18))] = 1
        found = []
        for box in (0, 1 << 60):
            monkeypatch.setattr(instances, "_LARGE_BOX", box)
            told: list[bool] = []

            def noted(*given: Any, told: list[bool] = told) -> bool:
                told.append(bound(*given))
                return told[-1]

            monkeypatch.setattr(instances, "_surely_far", noted)
            regions = Regions(from_array(truth))
            found.append(count_instances(regions, from_array(prediction), rule, spacing=spacing, focal=False))
            left_out += sum(told)
        assert found[0] == found[1]
    assert left_out > 20


def test_the_best_pairs_are_taken_one_to_one() -> None:
    """Greedy, best first: an entity and a component that are taken are not taken again."""
    pairs = [(-0.9, 9.0, 0, 1), (-0.8, 9.0, 0, 0), (-0.7, 9.0, 1, 1), (-0.2, 9.0, 1, 0)]
    assert match(pairs) == [(-0.9, 9.0, 0, 1), (-0.2, 9.0, 1, 0)]


def test_ties_do_not_depend_on_the_order_of_the_pairs() -> None:
    """Of pairs that are equal in Dice and size, the lower entity and then the lower component comes first."""
    pairs = [(-0.5, 9.0, 1, 0), (-0.5, 9.0, 0, 1), (-0.5, 9.0, 0, 0), (-0.5, 9.0, 1, 1)]
    assert match(pairs) == match(pairs[::-1]) == [(-0.5, 9.0, 0, 0), (-0.5, 9.0, 1, 1)]
