"""How runs become rankings: which rows are compared, and which are listed apart."""

from __future__ import annotations

import statistics
from typing import Any

import pytest

from harness.scoring.comparison import compare_runs
from harness.scoring.profiles import PROFILES
from harness.scoring.sizes import SizeCuts, cuts_of
from harness.status import Status
from harness.store.database import Store
from leaderboard.board.board import Coverage, DataSet, read_board
from leaderboard.board.columns import CHALLENGE
from leaderboard.published.export import export
from leaderboard.published.privacy import PrivacyPolicy

pytestmark = pytest.mark.costly


def titles(data: DataSet) -> list[str]:
    return [row.title for row in data.ranked]


def board(store: Store, *profile: str) -> list[DataSet]:
    return read_board(export(store, PrivacyPolicy()), *profile)


def only(store: Store, *profile: str) -> DataSet:
    [data] = board(store, *profile)
    return data


def test_data_sets_are_told_apart_by_content_and_split(bench, store: Store) -> None:
    """Another fingerprint or another split is another ranking, even under the same name."""
    bench.add(title="A")
    bench.add(title="B", fingerprint="cd" * 32)
    bench.add(title="C", split="val")
    assert sorted(titles(data) for data in board(store)) == [["A"], ["B"], ["C"]]


def test_same_content_under_two_names_is_one_ranking(bench, store: Store) -> None:
    """A data set is what its fingerprint says; the page shows every name it was given."""
    bench.add(title="A", plugin="a", dataset="one")
    bench.add(title="B", plugin="b", dataset="two")
    data = only(store)
    assert data.about.names == ["one", "two"]
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
        ({"state": "running"}, ("interrupted: 4 of 4 cases scored",)),
        ({"state": "interrupted", "n_cases": 9}, ("interrupted: 4 of 9 cases scored",)),
    ],
)
def test_unrankable_runs_stand_apart(bench, store: Store, fields: dict[str, Any], reasons: tuple[str, ...]) -> None:
    """A run that may not be ranked, or did not end, is kept with its reasons."""
    bench.add(**fields)
    data = only(store)
    assert data.ranked == ()
    assert [row.reasons for row in data.apart] == [reasons]


def test_newest_run_of_a_model_is_ranked(bench, store: Store) -> None:
    """Earlier runs of the same variant do not vanish: they are listed apart and name the newest one."""
    first, second, newest = (bench.add(), bench.add(), bench.add())
    bench.add(variant="other")
    bench.add(state="interrupted")
    data = only(store)
    assert {row.run.id for row in data.ranked if row.run} == {newest.id, "run-04"}
    replaced = {row.run.id: row.reasons for row in data.apart if row.run}
    assert replaced[first.id] == replaced[second.id] == (f"replaced by the newer run {newest.id}",)


def test_size_is_that_of_the_whole_split(bench, store: Store) -> None:
    """A run of the first cases only does not shrink the data set."""
    bench.add(cases=2, rankable=False, unrankable=["partial"])
    bench.add(cases=5)
    data = only(store)
    assert (data.about.n_cases, data.about.n_findings) == (5, 30)


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


@pytest.mark.parametrize(("each", "shown"), [(1, False), (4, False), (5, True)])
def test_few_findings_have_no_interval(bench, store: Store, each: int, shown: bool) -> None:
    """Resampling fewer than five findings says little about uncertainty, so no interval is shown."""
    bench.add(cases=each, per_case=14, absent=())
    score = only(store).ranked[0].category("1a")
    assert score.n == each
    assert score.value is not None
    assert (score.low is not None) is (score.high is not None) is shown


def test_hardware_names_what_the_model_ran_on(bench, store: Store) -> None:
    """GPUs are named where any were used, else the processor."""
    bench.add(plugin="a")
    bench.add(plugin="b", record={"hardware": {"cpu": "EPYC", "cores": 2}})
    bench.add(plugin="c", record={})
    hardware = {row.run.plugin: row.hardware for row in only(store).rows if row.run}
    assert hardware == {"a": ["2 x NVIDIA H200"], "b": ["EPYC, 2 cores"], "c": []}


def test_a_rank_is_the_range_that_the_pairs_leave_open(bench, store: Store) -> None:
    """Two rows of one level may be first or second, a clearly worse one is third; box-prompted rows are apart."""
    for title, level, prompt in [("c", 0.1, "text"), ("a", 0.5, "text"), ("b", 0.5, "text"), ("d", 0.9, "box")]:
        bench.add(title=title, plugin=title, level=level, prompt=prompt, cases=8)
    ranks = {row.title: row.rank.words for row in only(store).ranked if row.rank}
    first = "1\N{EN DASH}2 of 3"
    assert ranks == {"a": first, "b": first, "c": "3 of 3", "d": "1 of 1"}
    published = export(store, PrivacyPolicy())
    [data] = published.data_sets()
    runs = [{pair.first, pair.second} for pair in published.pairs(data.id, "mlhc2025")]
    assert sorted(map(sorted, runs)) == [["run-01", "run-02"], ["run-01", "run-03"], ["run-02", "run-03"]]


def test_few_cases_give_no_rank(bench, store: Store) -> None:
    """On five cases nothing can be told apart, whatever is scored on them; the sentence says how many are needed."""
    for title, level in (("a", 0.9), ("b", 0.1)):
        bench.add(title=title, plugin=title, level=level, cases=5, per_case=20)
    data = only(store)
    assert [(row.title, row.rank) for row in data.ranked] == [("a", None), ("b", None)]
    assert data.too_few == "6 or more cases are needed to tell rows apart; there are 5"


def test_every_row_of_a_ranking_is_compared(bench, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to a bound beyond which rows have no rank, each is compared with each, as `bench results compare` does."""
    for number, level in enumerate((0.6, 0.4, 0.39, 0.1)):
        bench.add(plugin=str(number), title=str(number), level=level, cases=8)
    published = export(store, PrivacyPolicy())
    [data] = published.data_sets()
    runs = {run.id: store.findings(run.id) for run in store.runs()}
    alike = compare_runs(runs, PROFILES["mlhc2025"])
    told = [(pair["first"], pair["second"], pair["p"]) for pair in alike["pairs"] if pair["metric"] == "dice"]
    pairs = published.pairs(data.id, "mlhc2025")
    assert [(pair.first, pair.second, pair.p) for pair in pairs] == told
    ranks = published.ranks(data.id, "mlhc2025")
    found = {rank["run"]: rank["rank"] for rank in alike["ranks"] if rank["metric"] == "dice"}
    assert {run: [rank.best, rank.worst] for run, rank in ranks.items()} == found
    monkeypatch.setattr("leaderboard.published.export.MOST_COMPARED", 3)
    assert set(export(store, PrivacyPolicy()).ranks(data.id, "mlhc2025")) == {"run-01", "run-02", "run-03"}


def test_known_answers_are_lines_and_have_no_rank(bench, store: Store) -> None:
    """A row alone is 1 of 1; the reference's own score is a ceiling, the best of what reads nothing a floor."""
    bench.add(title="model", plugin="model", cases=6)
    known: dict[str, Any] = {"rankable": False, "unrankable": ["known answer: it reads the ground truth"], "cases": 6}
    for plugin, level in (("oracle", 0.9), ("empty", 0.0), ("full", 0.1), ("shifted", 0.5)):
        bench.add(title=plugin, plugin=plugin, level=level, **known)
    data = only(store)
    assert [row.rank.words for row in data.ranked if row.rank] == ["1 of 1"]
    assert [row.rank for row in data.apart] == [None] * 4
    assert [row.training for row in data.rows] == ["zero-shot", *["known answer"] * 4]
    averages = {row.title: row.scores["average"].value for row in data.apart}
    assert (data.ceiling, data.floor) == (averages["oracle"], averages["full"])


@pytest.mark.parametrize(
    ("record", "tag"),
    [
        ({"exposure": {"of": "none", "origin": "paper, Table 4"}}, "zero-shot"),
        ({"exposure": {"of": "train", "origin": "upstream, a page"}}, "trained on train"),
        ({"exposure": {"of": "train+val", "origin": "upstream, a page"}}, "trained on train and val"),
        ({"exposure": {"of": "unknown", "origin": ""}}, "training not stated"),
        ({}, "training not stated"),  # a row from before exposure was recorded
    ],
)
def test_only_what_is_stated_to_have_seen_nothing_is_zero_shot(
    bench, store: Store, record: dict[str, object], tag: str
) -> None:
    """That a model was not trained here says nothing about where its weights come from."""
    bench.add(record=record)
    assert [row.training for row in only(store).rows] == [tag]


def test_challenge_metrics_are_a_board_of_their_own(bench, store: Store) -> None:
    """The challenge's profile has its own columns on the same rows."""
    bench.add(level=0.5)
    scores = only(store, CHALLENGE).ranked[0].scores
    assert list(scores)[:5] == ["average", "per_case", "hit", "instance_f1", "distance_f1"]
    assert scores["instance_precision"].value == 1.0
    assert scores["per_case"].n == 4
    assert scores["hit"].value == 1.0


def test_sizes_are_those_of_figure_3(bench, store: Store) -> None:
    """Half of the findings are small, a quarter medium, a quarter large."""
    bench.add()
    assert {size: score.n for size, score in only(store).ranked[0].by_size.items()} == {
        "small": 12,
        "medium": 6,
        "large": 6,
    }


def test_a_part_with_sizes_of_its_own_has_no_size_groups(bench, store: Store) -> None:
    """An earlier version cut a part of a split at its own percentiles; with the split's own cuts it has them."""
    bench.add()
    bench.add(cases=2, unrankable=["partial"], rankable=False)
    whole, part = only(store).rows
    assert whole.by_size["small"].n == 12
    assert not part.by_size
    cuts = cuts_of([row.details.size_ratio for row in store.findings(whole.run.id)], "split")
    assert only(store).about.sizes == cuts_of([row.details.size_ratio for row in store.findings("run-01")]).to_json()
    bench.add(cases=2, unrankable=["partial"], rankable=False, record={"sizes": cuts.to_json()})
    assert only(store).rows[-1].by_size


def test_an_organiser_can_fix_the_sizes(bench, store: Store) -> None:
    """Every row is divided at the given shares of the scan, and the board says so."""
    bench.add()
    bench.add(cases=2, unrankable=["partial"], rankable=False)
    cuts = SizeCuts(0.001, 0.01, "fixed")
    (data,) = read_board(export(store, PrivacyPolicy(), size_cuts=cuts))
    assert data.about.sizes == cuts.to_json()
    for row in data.rows:
        sizes = [finding.details.size_ratio or 0 for finding in store.findings(row.run.id)]
        assert row.by_size["small"].n == sum(size <= 0.001 for size in sizes)
        assert row.by_size["large"].n == sum(size > 0.01 for size in sizes)
    closed = PrivacyPolicy(public=True)
    assert export(store, closed).data_sets()[0].sizes == {}, "a percentile is nearly the size of one finding"
    assert export(store, closed, size_cuts=cuts).data_sets()[0].sizes == cuts.to_json()
