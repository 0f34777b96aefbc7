"""Statements held against findings with made-up scores: which rows are compared, on which findings, by which test."""

from __future__ import annotations

import random
from dataclasses import replace
from statistics import fmean
from typing import Any

import numpy as np
import pytest

from harness.rows import FindingDetails, FindingRow
from harness.scoring.simultaneous import compare_differences
from harness.scoring.sizes import SizeCuts
from leaderboard.published.facts import Facts
from leaderboard.published.statements import BoardStatement
from leaderboard.published.tested import hold_against, runs_of

CODES = ["2d", "2e", "1a", "2b"]
FACTS = {
    "sat": Facts("SAT", "text", "fine-tuned", "3-D"),
    "segvol": Facts("SegVol", "text", "fine-tuned", "3-D"),
    "flat": Facts("BiomedParse", "text", "fine-tuned", "2-D"),
    "boxed": Facts("SegVol", "box", "zero-shot", "3-D"),
    "strange": Facts("", "", "training not stated", "unknown"),
}


def scores(seed: int, level: dict[str, float], cases: int = 30) -> list[FindingRow]:
    """Return four findings a case, of :data:`CODES`, each a little off the level of its category."""
    draw = random.Random(seed)
    rows = []
    for case in range(cases):
        for index, code in enumerate(CODES):
            shared = round(1000 * min(1.0, max(0.0, level[code] + draw.gauss(0, 0.05)))) if level[code] else 0
            row = FindingRow(f"case-{case:02d}", str(index), index, code, "a text", "ok", dice=shared / 1000)
            details = FindingDetails(size_ratio=0.01 * (index + 1))
            rows.append(replace(row, truth_voxels=1000, pred_voxels=1000, intersection=shared, details=details))
    return rows


def held(statement: dict[str, Any], rows: dict[str, list[FindingRow]], **options: Any) -> list[dict[str, Any]]:
    """Hold one statement against some rows."""
    one = BoardStatement.model_validate({"id": "s", "says": "A sentence.", "direction": "higher"} | statement)
    facts = {name: FACTS[name] for name in rows}
    found = hold_against([one], rows, facts, **options)
    assert {run for test in found for run in (test["first"], test["second"]) if run} == runs_of([one], facts)
    return found


EVERYTHING = ["all", "focal", "non_focal", *(f"by_category/{code}" for code in CODES), "by_size/small", "by_size/large"]
EVEN = dict.fromkeys(CODES, 0.4)


def test_other_rows_are_compared_on_the_same_findings() -> None:
    """Each pair has the difference, interval and p of the paired test on these findings, all pairs as one family."""
    rows = {
        "sat": scores(1, EVEN),
        "segvol": scores(2, EVEN | {"2d": 0.3}),
        "flat": scores(3, EVEN | {"2d": 0.37}),
        "boxed": scores(4, EVEN),
        "strange": scores(5, EVEN),
    }
    found = held(
        {
            "rows": {"trained": "fine-tuned", "sees": "3-D"},
            "group": ["2d", "1a"],
            "than_rows": {"prompt": "text", "model": ["BiomedParse", "SegVol"]},
        },
        rows,
    )
    assert [(one["first"], one["second"]) for one in found] == [("sat", "segvol"), ("sat", "flat"), ("segvol", "flat")]
    deltas = []
    for one in found:
        a, b = ([row.dice for row in rows[one[side]] if row.category in {"2d", "1a"}] for side in ("first", "second"))
        cases = [row.case for row in rows["sat"] if row.category in {"2d", "1a"}]
        assert (one["value"], one["other"]) == (pytest.approx(fmean(a)), pytest.approx(fmean(b)))
        assert (one["n"], one["n_other"]) == (60, 60)
        deltas.append(np.subtract(a, b))
    for one, result in zip(found, compare_differences(np.column_stack(deltas), clusters=cases), strict=True):
        assert (one["difference"], one["low"], one["high"]) == pytest.approx((result.value, *result.ci95))
        assert one["p"] == result.p


def test_groups_of_one_row_are_all_findings_of_each() -> None:
    """Pleural effusions beside all other findings; a row that found nothing at all is not tested."""
    rows = {"sat": scores(1, EVEN | {"2e": 0.7}), "segvol": scores(2, dict.fromkeys(CODES, 0.0))}
    (one, silent) = held({"rows": {"sees": "3-D"}, "group": "2e", "than_group": "others"}, rows)
    effusions = [row.dice for row in rows["sat"] if row.category == "2e"]
    others = [row.dice for row in rows["sat"] if row.category != "2e"]
    assert (one["first"], one["second"]) == ("sat", "")
    assert one["difference"] == pytest.approx(fmean(effusions) - fmean(others))
    assert one["low"] < one["difference"] < one["high"]
    assert (one["n"], one["n_other"]) == (30, 90)
    assert one["p"] < 0.001
    assert (silent["value"], silent["other"], silent["p"]) == (0.0, 0.0, None)


def test_sizes_are_those_of_the_board() -> None:
    """Up to the median small, above the 75th percentile large: the first two and the last finding of each case."""
    (one,) = held({"group": "large", "than_group": "small"}, {"sat": scores(1, EVEN | {"2b": 0.6})})
    assert (one["n"], one["n_other"]) == (30, 60)
    assert one["difference"] == pytest.approx(0.2, abs=0.03)
    cuts = SizeCuts(0.01, 0.02, of="fixed")
    (fixed,) = held({"group": "large", "than_group": "small"}, {"sat": scores(1, EVEN | {"2b": 0.6})}, cuts=cuts)
    assert (fixed["n"], fixed["n_other"]) == (60, 30)


def test_a_margin_is_tested_and_the_difference_is_shown() -> None:
    """A gain of 0.05 is significantly below 0.1, though it is significantly above 0."""
    rows = {"sat": scores(1, dict.fromkeys(CODES, 0.45)), "flat": scores(2, EVEN)}
    statement: dict[str, Any] = {"rows": {"model": "SAT"}, "than_rows": {"model": "BiomedParse"}}
    (plain,), (margin,) = (held(statement | {"margin": by}, rows) for by in (0.0, 0.1))
    assert margin["difference"] == pytest.approx(plain["difference"], abs=1e-9)
    for name in ("low", "high"):  # the bound is that of the tosses of what lies beyond the margin
        assert margin[name] == pytest.approx(plain[name], abs=1e-3)
    assert plain["high"] < 0.1
    assert margin["p"] < 0.001
    a, b = ([row.dice for row in rows[name]] for name in ("sat", "flat"))
    beyond = np.subtract(a, b)[:, np.newaxis] - 0.1
    (shifted,) = compare_differences(beyond, clusters=[row.case for row in rows["sat"]])
    assert margin["p"] == shifted.p


def test_a_number_is_one_sided_in_nothing_but_words() -> None:
    """A row beside a number: its mean on these findings minus the number."""
    (one,) = held({"group": "focal", "than": 0.5, "direction": "lower"}, {"boxed": scores(1, EVEN)})
    assert (one["second"], one["other"], one["n"], one["n_other"]) == ("", 0.5, 90, None)
    assert one["difference"] == pytest.approx(one["value"] - 0.5)


def test_only_rows_of_the_same_model_and_prompt() -> None:
    """SegVol asked by text is not held against SegVol asked by boxes; what names no model is like nothing."""
    rows = {name: scores(number, EVEN) for number, name in enumerate(FACTS)}
    assert (
        held({"rows": {"trained": "fine-tuned"}, "than_rows": {"trained": "zero-shot"}, "same_model": True}, rows) == []
    )
    assert [one["first"] for one in held({"than": 0.5}, rows)] == list(FACTS)


def test_what_may_not_be_shown_is_not_tested() -> None:
    """Where one group of a run is withheld, the comparison is there without any number."""
    rows = {"sat": scores(1, EVEN), "segvol": scores(2, EVEN)}
    withheld = {"sat": ["all", "by_category/1a"], "segvol": EVERYTHING}
    statement = {"group": "1a", "than_group": "2e"}
    hidden, open_ = held(statement, rows, shown=withheld)
    assert set(hidden.values()) == {"s", "sat", "", None}
    assert open_["p"] is not None


@pytest.mark.parametrize("cases", [4, 5])
def test_fewer_than_five_findings_are_not_tested(cases: int) -> None:
    """Their number is said, and nothing else."""
    (one,) = held({"group": "2e", "than_group": "others"}, {"sat": scores(1, EVEN | {"2e": 0.9}, cases)})
    assert (one["n"], one["n_other"]) == (cases, 3 * cases)
    assert (one["p"] is None) == (one["difference"] is None) == (cases < 5)
    (nothing,) = held(
        {"group": "2h", "than_group": "others"}, {"sat": scores(1, EVEN)}, shown={"sat": ["by_category/2h"]}
    )
    assert (nothing["n"], nothing["p"]) == (0, None)
