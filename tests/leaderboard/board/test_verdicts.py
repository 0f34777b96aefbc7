"""Our numbers beside reported ones, cell by cell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.dataset.editions import EDITIONS
from harness.status import RowLevel
from leaderboard.board.board import DataSet, Row, Score, scores_from
from leaderboard.board.reported import read_references, read_reported
from leaderboard.board.verdicts import beside, judge, remarks, sentence, verdict
from leaderboard.published.database import DataSetRow, PublishedRun

TABLE_4 = read_reported()
KEYS = ["average", "non_focal", "focal", "hit5", "hit10"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.013, "inside"),
        (0.0084, "below"),
        (0.0086, "inside"),
        (0.0194, "inside"),
        (0.0196, "above"),
        (None, "not comparable"),
    ],
)
def test_a_verdict_is_about_the_papers_interval(value: float | None, said: str) -> None:
    """0.013 [0.009, 0.019] is BiomedParse out of the box; ours is rounded as these ends are."""
    (row,) = [e for e in TABLE_4.in_table if e.title == "BiomedParse" and not e.fine_tuned]
    assert verdict(value, row.scores["average"]) == said


@pytest.mark.parametrize(
    ("value", "said"), [(0.2252, "agrees"), (0.2303, "above"), (0.2201, "below"), (0.23, "agrees")]
)
def test_beside_a_number_without_an_interval_it_agrees_or_not(value: float, said: str) -> None:
    """VoxTell 1.1 has 0.225228 on the validation."""
    (row,) = read_references()["voxtell"].in_table
    assert verdict(value, row.scores["average"]) == said


def _metrics(values: dict[str, float]) -> dict[str, Any]:
    cell = {key: {"value": value, "ci95": None, "n": 9} for key, value in values.items()}
    dice = {"all": cell["average"], "non_focal": cell["non_focal"], "focal": cell["focal"]}
    return {"dice": dice, "hit5": {"all": cell["hit5"]}, "hit10": {"all": cell["hit10"]}}


@pytest.mark.parametrize("row", TABLE_4.in_table, ids=lambda row: f"{row.title}-{row.prompt}-{row.fine_tuned}")
def test_every_one_of_the_tables_fifty_numbers_is_judged(row: Row) -> None:
    """Just within and just outside each end, one cell at a time, while the others stay at the paper's value."""
    own = {key: row.scores[key].value or 0.0 for key in KEYS}
    assert sentence(judge(TABLE_4, row, _metrics(own))) == "all 5 inside"
    for key in KEYS:
        low, high = row.scores[key].low, row.scores[key].high
        assert low is not None
        assert high is not None
        for value, said in ((low, "inside"), (high, "inside"), (low - 0.001, "below"), (high + 0.001, "above")):
            judged = {cell.key: cell.verdict for cell in judge(TABLE_4, row, _metrics(own | {key: value}))}
            assert judged.pop(key) == said
            assert set(judged.values()) == {"inside"}


def test_a_right_average_of_wrong_halves_is_told() -> None:
    """0.153 made of focal 0.130 and non-focal 0.235 is not SAT's row, though its average is."""
    (row,) = [e for e in TABLE_4.in_table if e.title == "SAT" and e.fine_tuned]
    values = {key: row.scores[key].value or 0.0 for key in KEYS} | {"non_focal": 0.235, "focal": 0.130}
    assert (
        sentence(judge(TABLE_4, row, _metrics(values)))
        == "inside: Average, HIT5, HIT10; below: Focal; above: Non-focal"
    )


def test_what_was_not_measured_or_not_stated_is_not_judged() -> None:
    """A run without one metric has no verdict on it; a board that states one number has one cell."""
    row = TABLE_4.in_table[0]
    metrics = _metrics({key: row.scores[key].value or 0.0 for key in KEYS})
    del metrics["hit5"]
    assert sentence(judge(TABLE_4, row, metrics)) == "inside: Average, Non-focal, Focal, HIT10; not comparable: HIT5"
    july = read_references()["challenge-july"]
    assert {"non_focal", "focal"}.isdisjoint(cell.key for cell in judge(july, july.in_table[0], {}))


def test_only_the_papers_test_split_passes_without_a_remark() -> None:
    """Other data, findings that failed and a reason against ranking are said beside the verdict."""
    document: dict[str, Any] = {"n_cases": 200, "n_findings": 9, "coverage": {"ok": 9}, "unrankable": []}
    document["dataset"] = {"name": "rexgroundingct:mlhc2025", "edition": "mlhc2025", "split": "test"}
    assert remarks(TABLE_4, document) == []
    assert "other data: 50 cases" in remarks(TABLE_4, {**document, "n_cases": 50})[0]
    other = {**document, "dataset": {"name": "rexgroundingct", "edition": "mlhc2025", "split": "val"}}
    assert "200 cases of rexgroundingct, val" in remarks(TABLE_4, other)[0]
    named = {**document, "dataset": {"name": "ReXGroundingCT", "edition": "", "split": "test"}}
    assert "other data: 200 cases of ReXGroundingCT" in remarks(TABLE_4, named)[0]
    assert remarks(TABLE_4, {**document, "coverage": {"ok": 7, "oom": 2}, "unrankable": ["x"]}) == [
        "2 of 9 findings failed and scored 0",
        "never ranked: x",
    ]


def test_each_reference_is_reproduced_on_its_own_data_alone() -> None:
    """The challenge's validation has 200 cases like the paper's test: split, content and findings tell them apart."""
    val = {"name": "mine", "edition": "challenge", "split": "val", "n_cases": 200, "n_findings": 381}
    references = read_references()
    assert {reference.edition for reference in references.values()} == set(EDITIONS)
    assert [name for name, reference in references.items() if not reference.claim(val)] == ["voxtell"]
    assert "with 381 findings" in references["voxtell"].claim({**val, "n_findings": 380})


def _measured(edition: str, level: RowLevel = RowLevel.MEASURED, n_cases: int = 200, **row: Any) -> DataSet:
    about = DataSetRow("d", ["rexgroundingct"], "sha256:0", "test", "", {}, 200, 530, {}, open=True)
    run = PublishedRun(
        id="r", data_set="d", kind="measured", level=level, who="", plugin="sat", title="SAT", plugin_version="1",
        variant="fine-tuned", prompt="text", fine_tuned=True, known_answer=False,
        engine="docker", image_id="", state="done", created="2026",
        finished="2026", attempt=1, n_cases=n_cases, n_findings=530, record={"dataset": {"edition": edition}},
    )  # fmt: skip
    scores = scores_from(_metrics(dict.fromkeys(KEYS, 0.15)))
    found = Row("measured", "SAT", "fine-tuned", "text", True, scores, run=run)
    return DataSet(about, (replace(found, **row),), ())


def test_a_reported_row_stands_beside_the_measured_one_on_the_same_data() -> None:
    """Known by the content of the data: not on another edition, on a part of the cases, or of another training."""
    sat, plain = (
        next(e for e in TABLE_4.in_table if e.title == "SAT" and e.fine_tuned is tuned) for tuned in (True, False)
    )
    ours = beside(TABLE_4, sat, [_measured("challenge"), _measured("mlhc2025")])
    assert ours is not None
    assert ours.scores["average"] == Score(0.15, n=9)
    for board in ([_measured("challenge")], [_measured("")], [_measured("mlhc2025", n_cases=50)]):
        assert beside(TABLE_4, sat, board) is None
    assert beside(TABLE_4, plain, [_measured("mlhc2025")]) is None
    assert beside(TABLE_4, sat, [_measured("mlhc2025", RowLevel.RESCORED)]) is None
