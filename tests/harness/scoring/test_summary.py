"""From findings to metrics: groups, edge cases, and plain loops as the oracle."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from statistics import fmean

import numpy as np
import pytest

from harness.errors import UsageError
from harness.rows import FindingDetails, FindingRow, InstanceCounts, Matches
from harness.scoring.profiles import PROFILES, profile_named
from harness.scoring.statistics import interval, random_numbers, share_interval
from harness.scoring.summary import summarise
from harness.status import Status

MLHC = PROFILES["mlhc2025"]

NOTHING = {"value": None, "ci95": None, "n": 0, "cases": 0}


def row(case: str, finding: str, hit: int, *, category: str | None = "2d", size: float = 0.1, **more) -> FindingRow:
    """Return a finding of 100 voxels of which `hit` were found by a mask of 100."""
    counts = {"truth_voxels": 100, "pred_voxels": 100, "intersection": hit, "dice": hit / 100, "status": "ok"} | more
    return FindingRow(
        case=case,
        finding=finding,
        index=0,
        category=category,
        text="",
        details=FindingDetails(truth_entities=1, size_ratio=size),
        **counts,
    )


def rows(n: int = 60) -> list[FindingRow]:
    """Return findings of several cases, categories and sizes."""
    rng = np.random.default_rng(0)
    categories = ["1a", "1c", "2a", "2d", "2d"]
    return [
        row(
            f"c{i // 4:03}", str(i % 4), int(rng.integers(0, 101)), category=categories[i % 5], size=float(rng.random())
        )
        for i in range(n)
    ]


def test_means_are_plain_means() -> None:
    """Every group's value is the mean over its findings."""
    data = rows()
    metrics = summarise(data, MLHC)
    dice = metrics["dice"]
    assert dice["all"]["value"] == fmean(r.dice for r in data)
    assert dice["focal"]["value"] == fmean(r.dice for r in data if r.category[0] == "2")
    assert dice["non_focal"]["value"] == fmean(r.dice for r in data if r.category[0] == "1")
    assert set(dice["by_category"]) == {"1a", "1c", "2a", "2d"}
    assert dice["by_category"]["1c"] == dice["by_category"]["1c"] | {
        "value": fmean(r.dice for r in data if r.category == "1c"),
        "n": 12,
    }
    cases = {r.case for r in data}
    assert dice["per_case"]["value"] == pytest.approx(
        fmean(fmean(r.dice for r in data if r.case == c) for c in cases), abs=1e-15
    )
    assert dice["per_case"]["n"] == len(cases)
    assert metrics["hit5"]["all"]["value"] == sum(r.dice > 0.05 for r in data) / len(data)
    json.dumps(metrics)


def test_thresholds_are_strict_in_the_paper_and_inclusive_in_the_challenge() -> None:
    """A Dice of exactly the threshold is not a hit under mlhc2025."""
    metrics = summarise([row("c", "0", 5), row("c", "1", 10)], MLHC)
    assert metrics["hit5"]["all"]["value"] == 0.5
    assert metrics["hit10"]["all"]["value"] == 0.0
    assert PROFILES["miccai2026"].hits["hit"](0.1)


def test_intervals_are_those_of_a_loop() -> None:
    """The vectorised bootstrap equals drawing whole cases and averaging their findings, one after the other."""
    data = rows(43)
    for group, chosen in (("all", data), ("focal", [r for r in data if r.category[0] == "2"])):
        cases = sorted({r.case for r in chosen})
        values = [[r.dice for r in chosen if r.case == case] for case in cases]
        n = len(cases)
        drawn = random_numbers(11, resamples=200, seed=5, stream="summary")[:, :n].astype(int) * n >> 32
        means = [fmean(value for i in resample for value in values[i]) for resample in drawn]
        cell = summarise(data, MLHC, seed=5, resamples=200)["dice"][group]
        assert cell["ci95"] == pytest.approx(interval(np.array(means)[:, np.newaxis], n)[0], abs=1e-12)
        assert (cell["n"], cell["cases"]) == (len(chosen), n)


def test_shares_are_of_cases() -> None:
    """Hit rates have the interval of a share over cases, and so has a recall that resampling says nothing of."""
    data = [row(f"c{i // 2}", str(i % 2), 100 * (i % 3 > 0)) for i in range(24)]
    hits = [sum(r.dice > 0.05 for r in data if r.case == f"c{i}") for i in range(12)]
    assert summarise(data, MLHC)["hit5"]["all"]["ci95"] == share_interval(np.array(hits, float), np.full(12, 2.0))
    found = summarise([counted(f"c{i // 2}", str(i % 2), (2, 0, 0)) for i in range(24)], MICCAI)
    assert found["instance_recall"]["all"]["ci95"] == share_interval(np.full(12, 4.0), np.full(12, 4.0))


def test_the_order_of_rows_does_not_matter() -> None:
    """The same findings in another order give the same digits."""
    data = rows()
    assert summarise(data, MLHC) == summarise(data[::-1], MLHC)


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.OK])
def test_anything_but_ok_scores_zero_and_is_counted(status: Status) -> None:
    """A failed finding stays in every mean."""
    cell = summarise([row("a", "0", 80), row("b", "0", 90, status=status)], MLHC)["dice"]["all"]
    assert cell["value"] == 0.4
    assert cell["n"] == 2


def test_size_groups_are_percentiles_of_the_findings() -> None:
    """Half the findings are small, a quarter medium, a quarter large."""
    data = [row("c", str(i), 50, size=i / 100) for i in range(100)]
    sizes = summarise(data, MLHC)["dice"]["by_size"]
    assert {name: cell["n"] for name, cell in sizes.items()} == {"small": 50, "medium": 25, "large": 25}


def test_a_group_of_none_has_no_value() -> None:
    """No findings: no value, no interval, n = 0."""
    assert summarise([row("c", "0", 50)], MLHC)["dice"]["non_focal"] == NOTHING
    assert summarise([], MLHC)["dice"]["all"] == NOTHING


def test_one_case_has_means_and_shares_without_an_interval() -> None:
    """However many findings it holds, one case says nothing of others."""
    found = summarise([row("c", str(i), 10 * i) for i in range(9)], MLHC)
    assert found["dice"]["all"] == {"value": 0.4, "ci95": None, "n": 9, "cases": 1}
    assert found["hit5"]["all"]["ci95"] is None


@pytest.mark.parametrize("n", [1, 2, 4, 5, 30])
@pytest.mark.parametrize("common", [0, 100])
def test_no_interval_has_width_0(n: int, common: int) -> None:
    """Where all findings are the same, no metric of either profile shows an interval that has no width."""
    counts = InstanceCounts(100, common, Matches(common // 100, 0, 1 - common // 100), common / 100, None)
    details = FindingDetails(1, 0.1, counts)
    rows = [replace(row(f"c{i}", "0", common), details=details) for i in range(n)]
    for profile in (MLHC, MICCAI):
        for groups in summarise(rows, profile).values():
            for cell in groups.values():
                cells = [cell] if "value" in cell else list(cell.values())
                assert all(one["ci95"] is None or one["ci95"][0] < one["ci95"][1] for one in cells)


def test_fewer_than_five_cases_give_a_mean_no_interval() -> None:
    """Four different cases cannot tell of others; five can."""
    rows = [row(f"c{i}", "0", 20 * i) for i in range(5)]
    assert summarise(rows[:4], MLHC)["dice"]["all"]["ci95"] is None
    assert summarise(rows, MLHC)["dice"]["all"]["ci95"] is not None


def test_unknown_profiles_are_named() -> None:
    """A misspelt profile gets a suggestion."""
    with pytest.raises(UsageError) as caught:
        profile_named("mlhc2026")
    assert "mlhc2025" in caught.value.fix
    assert math.isfinite(PROFILES["miccai2026"].smoothing)


MICCAI = PROFILES["miccai2026"]


def counted(
    case: str, finding: str, overlap: tuple[int, int, int], *, status: str = "ok", kept: int = 100, hit: int = 50
) -> FindingRow:
    """Return a finding with instance counts."""
    tp, fp, fn = overlap
    matches = Matches(tp, fp, fn)
    instances = InstanceCounts(kept, hit, matches, 0.0, matches) if status == "ok" else None
    details = FindingDetails(truth_entities=tp + fn, size_ratio=0.1, instances=instances)
    return replace(row(case, finding, hit, status=status), details=details)


def test_instance_metrics_pool_before_dividing() -> None:
    """Precision, recall and F1 are those of the summed counts, not means of findings."""
    metrics = summarise([counted("a", "0", (1, 0, 0)), counted("b", "0", (1, 5, 2))], MICCAI)
    assert metrics["instance_precision"]["all"]["value"] == 2 / 7
    assert metrics["instance_recall"]["all"]["value"] == 2 / 4
    assert metrics["distance_f1"]["all"]["value"] == 4 / 11
    assert "per_case" not in metrics["instance_f1"]


def test_a_failed_finding_misses_every_entity() -> None:
    """A refused mask adds its entities to the missed ones."""
    metrics = summarise([counted("a", "0", (2, 0, 0)), counted("b", "0", (0, 0, 3), status="invalid_output")], MICCAI)
    assert metrics["instance_recall"]["all"]["value"] == 2 / 5
    assert metrics["dice"]["all"]["value"] == pytest.approx(0.25, abs=1e-8)


@pytest.mark.parametrize(
    ("counts", "quirks", "expected"),
    [
        ((0, 0, 0), False, (1, 1, 1)),
        ((0, 0, 3), False, (0, 0, 0)),
        ((0, 0, 3), True, (1, 0, 0)),
        ((0, 3, 0), False, (0, 1, 0)),
    ],
)
def test_nothing_to_divide_by(counts: tuple[int, int, int], quirks: bool, expected: tuple[int, int, int]) -> None:
    """Empty sides have declared values; without predictions precision is 1 only under the organisers' rule."""
    metrics = summarise([counted("a", "0", counts)], replace(MICCAI, organiser_quirks=quirks))
    names = ("instance_precision", "instance_recall", "instance_f1")
    assert tuple(metrics[name]["all"]["value"] for name in names) == expected


def test_a_missing_case_leaves_the_mean_only_under_the_quirks() -> None:
    """A case without any file scores 0, unless the organisers' rule is asked for."""
    data = [counted("a", "0", (1, 0, 0)), counted("b", "0", (0, 0, 1), status="missing_output")]
    ours = summarise(data, MICCAI)["dice"]["all"]
    theirs = summarise(data, replace(MICCAI, organiser_quirks=True))["dice"]["all"]
    assert (ours["n"], theirs["n"]) == (2, 1)
    assert theirs["value"] == 2 * ours["value"]


def test_dice_of_the_challenge_is_that_of_the_kept_components() -> None:
    """The unfiltered Dice is reported beside it."""
    metrics = summarise([counted("a", "0", (1, 0, 0), kept=50, hit=50)], MICCAI)
    assert metrics["dice"]["all"]["value"] == (2 * 50 + 1e-6) / (150 + 1e-6)
    assert metrics["dice_unfiltered"]["all"]["value"] == (2 * 50 + 1e-6) / (200 + 1e-6)
    assert metrics["hit"]["all"]["value"] == 1.0
