"""How runs become rankings: what compares with what, and what stands apart."""

from __future__ import annotations

import statistics
from typing import Any

import pytest

from harness.contract import Status
from harness.store import Store
from leaderboard.board import Coverage, DataSet, read_board


def titles(data: DataSet) -> list[str]:
    return [entry.title for entry in data.ranked]


def only(store: Store) -> DataSet:
    [data] = read_board(store)
    return data


def test_data_sets_are_told_apart_by_content_and_split(bench, store: Store) -> None:
    """Another fingerprint or another split is another ranking, even under the same name."""
    bench.add(title="A")
    bench.add(title="B", fingerprint="cd" * 32)
    bench.add(title="C", split="val")
    assert sorted(titles(data) for data in read_board(store)) == [["A"], ["B"], ["C"]]


def test_same_content_under_two_names_is_one_ranking(bench, store: Store) -> None:
    """A data set is what its fingerprint says; the page shows every name it was given."""
    bench.add(title="A", plugin="a", dataset="one")
    bench.add(title="B", plugin="b", dataset="two")
    data = only(store)
    assert data.names == ("one", "two")
    assert len(data.ranked) == 2


def test_order_is_group_then_average(bench, store: Store) -> None:
    """Text-only rows come before box-prompted ones, each by average Dice; a row without scores is the last."""
    for title, level, prompt in [("low", 0.1, "text"), ("boxes", 0.9, "box"), ("high", 0.4, "structured-text")]:
        bench.add(title=title, plugin=title, level=level, prompt=prompt)
    bench.add(title="unscored", plugin="unscored", scored=False)
    assert titles(only(store)) == ["high", "low", "unscored", "boxes"]


def test_average_is_the_mean_over_findings(bench, store: Store) -> None:
    """The average column is the plain mean of the findings' Dice, failures as 0, and n counts them all."""
    run = bench.add(failures={0: Status.TIMEOUT, 5: Status.OOM})
    dice = [finding.dice for finding in store.findings(run.id)]
    average = only(store).ranked[0].scores["average"]
    assert average.value == pytest.approx(statistics.fmean(dice))
    assert average.n == len(dice) == 24
    assert dice.count(0.0) == 2


@pytest.mark.parametrize(
    ("fields", "reasons"),
    [
        ({"rankable": False, "unrankable": ["random weights", "partial"]}, ("random weights", "partial")),
        ({"rankable": False}, ("not rankable; the reason was not recorded",)),
        ({"state": "running"}, ("running: 4 of 4 cases scored",)),
        ({"state": "interrupted", "n_cases": 9}, ("interrupted: 4 of 9 cases scored",)),
    ],
)
def test_unrankable_runs_stand_apart(bench, store: Store, fields: dict[str, Any], reasons: tuple[str, ...]) -> None:
    """A run that may not be ranked, or did not end, is kept with its reasons."""
    bench.add(**fields)
    data = only(store)
    assert data.ranked == ()
    assert [entry.reasons for entry in data.apart] == [reasons]


def test_newest_run_of_an_entrant_is_ranked(bench, store: Store) -> None:
    """Earlier runs of the same variant do not vanish: they stand apart and name the newest one."""
    first, second, newest = (bench.add(), bench.add(), bench.add())
    bench.add(variant="other")
    bench.add(state="interrupted")
    data = only(store)
    assert {entry.run.id for entry in data.ranked if entry.run} == {newest.id, "run-04"}
    replaced = {entry.run.id: entry.reasons for entry in data.apart if entry.run}
    assert replaced[first.id] == replaced[second.id] == (f"replaced by the newer run {newest.id}",)


def test_size_is_that_of_the_whole_split(bench, store: Store) -> None:
    """A run of the first cases only does not shrink the data set."""
    bench.add(cases=2, rankable=False, unrankable=["partial"])
    bench.add(cases=5)
    data = only(store)
    assert (data.n_cases, data.n_findings) == (5, 30)


def test_coverage_names_what_failed(bench, store: Store) -> None:
    """Coverage counts the ok findings of the split, every other status, and those without a record."""
    bench.add(failures={1: Status.TIMEOUT, 2: Status.INVALID_OUTPUT, 3: Status.TIMEOUT}, n_findings=26)
    assert only(store).ranked[0].coverage == Coverage(
        ok=21, total=26, others={"invalid_output": 1, "timeout": 2, "not recorded": 2}
    )


def test_category_without_findings_has_no_value(bench, store: Store) -> None:
    """A category that the split does not hold has n = 0 and no value; a run without metrics has no n either."""
    bench.add(title="scored", plugin="scored")
    bench.add(title="unscored", plugin="unscored", scored=False)
    scored, unscored = only(store).ranked
    assert (scored.category("2f").value, scored.category("2f").n) == (None, 0)
    assert (unscored.category("2f").value, unscored.category("2f").n) == (None, None)


def test_single_finding_has_no_interval(bench, store: Store) -> None:
    """Resampling one finding says nothing about uncertainty, so no interval is shown."""
    bench.add(cases=1, per_case=14, absent=())
    score = only(store).ranked[0].category("1a")
    assert score.n == 1
    assert score.value is not None
    assert score.low is score.high is None


def test_hardware_names_what_the_model_ran_on(bench, store: Store) -> None:
    """GPUs are named where any were used, else the processor."""
    bench.add(plugin="a")
    bench.add(plugin="b", record={"hardware": {"cpu": "EPYC", "cores": 2}})
    bench.add(plugin="c", record={})
    hardware = {entry.run.plugin: entry.hardware for entry in only(store).ranked if entry.run}
    assert hardware == {"a": ["2 x NVIDIA H200"], "b": ["EPYC, 2 cores"], "c": []}
