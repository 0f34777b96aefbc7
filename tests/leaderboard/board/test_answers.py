"""The four answers: on the paper's own table as an independent reading of it has them, and on made-up rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from harness.store.database import Store
from leaderboard.board.answers import (
    CANNOT,
    DOES_NOT,
    HOLDS,
    LACKING,
    BoardAnswer,
    in_table,
    name_of,
    on_board,
    other_data,
)
from leaderboard.board.board import read_board
from leaderboard.board.reported import read_reported
from leaderboard.published.export import export
from leaderboard.published.privacy import PrivacyPolicy
from leaderboard.published.statements import BoardStatement, read_statements

pytestmark = pytest.mark.costly

TABLE_4 = read_reported()
PAPERS = {one.id: one for one in read_statements()}


def told(answer: BoardAnswer, said: str) -> list[str]:
    """Name the comparisons of which something is said."""
    return [
        " over ".join(name_of(row) for row in (one.first, one.second) if row)
        for one in answer.comparisons
        if one.said == said
    ]


def test_focal_over_non_focal_in_the_papers_table() -> None:
    """Higher in 4 of the 9 rows that are not zero; intervals apart for 2, and apart the other way for 2."""
    answer = in_table(PAPERS["focal-over-non-focal"], TABLE_4)
    assert (answer.answer, answer.in_direction, len(answer.comparisons)) == (DOES_NOT, 4, 10)
    assert told(answer, "as stated") == ["BiomedParse, text, fine-tuned", "SAT, text, fine-tuned"]
    assert told(answer, "the other way") == ["BiomedParse, text", "SegVol, text"]
    assert told(answer, "found nothing in either") == ["SAT, text"]
    assert answer.words == (
        "4 of 9 as stated; intervals apart for 2, apart the other way for 2; 1 left out, which found nothing"
    )


def test_volumes_over_slices_in_the_papers_table() -> None:
    """SAT is apart from both; SegVol is within their intervals, on HIT5 and on focal findings below both."""
    both = ["BiomedParse, text, fine-tuned", "MedSAM2 Text, text, fine-tuned"]
    for name, in_direction in (("3d-over-2d", 4), ("3d-over-2d-hits", 2), ("3d-over-2d-focal", 2)):
        answer = in_table(PAPERS[name], TABLE_4)
        assert (answer.answer, answer.in_direction) == (CANNOT, in_direction)
        assert told(answer, "as stated") == [f"SAT, text, fine-tuned over {other}" for other in both]
        assert told(answer, "not told apart") == [f"SegVol, text, fine-tuned over {other}" for other in both]
    numbers = {
        name: [(one.value.value, one.other.value) for one in in_table(PAPERS[name], TABLE_4).comparisons[:2]]
        for name in ("3d-over-2d", "3d-over-2d-hits", "3d-over-2d-focal")
    }
    assert numbers == {
        "3d-over-2d": [(0.065, 0.059), (0.065, 0.059)],
        "3d-over-2d-hits": [(0.240, 0.299), (0.240, 0.299)],
        "3d-over-2d-focal": [(0.058, 0.065), (0.058, 0.064)],
    }


def test_the_other_statements_in_the_papers_table() -> None:
    """SAT's gain is more than little; boxes do not suffice; of sizes and categories the table says nothing."""
    answers = {name: in_table(statement, TABLE_4) for name, statement in PAPERS.items()}
    assert {name: one.answer for name, one in answers.items() if one.answer != LACKING} == {
        "focal-over-non-focal": DOES_NOT,
        "3d-over-2d": CANNOT,
        "3d-over-2d-focal": CANNOT,
        "3d-over-2d-hits": CANNOT,
        "sat-over-text": HOLDS,
        "fine-tuning-helps": HOLDS,
        "fine-tuning-helps-little": DOES_NOT,
        "boxes-unsatisfactory": HOLDS,
    }
    assert told(answers["fine-tuning-helps-little"], "the other way") == ["SAT, text, fine-tuned over SAT, text"]
    assert told(answers["boxes-unsatisfactory"], "as stated") == ["MedSAM2, box", "SAM2, box", "SegVol, box"]
    assert {one.words for one in answers.values() if one.answer == LACKING} == {
        "the table has no numbers for these findings"
    }


SEES = {"of": "3-D", "origin": "ours"}
FOCAL = ["2a", "2b", "2c", "2d", "2e", "2g", "2h"]


def record(sees: str = "3-D") -> dict[str, Any]:
    return {"exposure": {"of": "none", "origin": "ours"}, "sees": {"of": sees, "origin": "ours"}}


def answer(store: Store, statement: BoardStatement, policy: PrivacyPolicy | None = None) -> Sequence[BoardAnswer]:
    published = export(store, policy or PrivacyPolicy())
    return on_board(statement, read_board(published), published)


@pytest.mark.parametrize(
    ("levels", "said"),
    [
        ([(0.3, 0.5), (0.2, 0.4)], HOLDS),
        ([(0.3, 0.5), (0.4, 0.2)], DOES_NOT),
        ([(0.3, 0.5), (0.3, 0.3)], CANNOT),
        ([], LACKING),
    ],
)
def test_each_of_the_four_answers(bench, store: Store, levels: list[tuple[float, float]], said: str) -> None:
    """Holds where each row is significantly as stated, does not where one is significantly otherwise."""
    for number, (non_focal, focal) in enumerate(levels):
        bench.add(
            plugin=f"model-{number}", cases=8, level=non_focal, level_of=dict.fromkeys(FOCAL, focal), record=record()
        )
    # None of these counts: what they see is not known, or is nothing, or they are not ranked.
    opposite: dict[str, Any] = {"cases": 8, "level": 0.6, "level_of": dict.fromkeys(FOCAL, 0.1)}
    bench.add(plugin="silent", **opposite)
    bench.add(plugin="box", prompt="box", record=record("nothing"), **opposite)
    bench.add(plugin="random", record=record(), rankable=False, unrankable=["random weights"], **opposite)
    bench.add(plugin="masks", kind="submitted", record={}, prompt="", **opposite)
    (found,) = answer(store, PAPERS["focal-over-non-focal"])
    assert found.answer == said
    assert len(found.comparisons) == len(levels)
    if said == LACKING:
        missing = "no ranked row is one of: rows (seeing 2-D, slices with memory or 3-D)"
        assert found.words == f"{missing}; rows that are not ranked do not count"
    else:
        assert all(one.difference.low < one.difference.value < one.difference.high for one in found.comparisons)
        assert {(one.value.n, one.other.n) for one in found.comparisons} == {(24, 24)}


def test_rows_are_compared_on_their_own_data_only(bench, store: Store) -> None:
    """SAT on one data set and SegVol on another are not a pair; a second edition of a row does not count twice."""
    tuned: dict[str, Any] = {"fine_tuned": True, "variant": "fine-tuned", "record": record(), "cases": 8}
    bench.add(title="SAT", plugin="sat", level=0.5, **tuned)
    bench.add(title="SegVol", plugin="segvol", level=0.2, fingerprint="ff" * 32, **tuned)
    statement = PAPERS["sat-over-text"]
    assert {one.answer for one in answer(store, statement)} == {LACKING}
    bench.add(title="SegVol", plugin="segvol", level=0.6, **tuned)
    bench.add(title="SegVol", plugin="segvol", level=0.2, **tuned)  # replaces the one before
    answers = {found.answer: found for found in answer(store, statement)}
    assert set(answers) == {HOLDS, LACKING}
    (one,) = answers[HOLDS].comparisons
    assert (name_of(one.first), name_of(one.second)) == ("SAT fine-tuned", "SegVol fine-tuned")
    assert one.difference.value == pytest.approx(0.3, abs=0.05)
    assert answers[LACKING].lacking.startswith("no ranked row is one of: rows of SAT")


def test_a_closed_split_shows_no_number_of_a_small_group(bench, store: Store) -> None:
    """On a public site a group of fewer than five findings has none, and neither has what would reveal it."""
    few = tuple(code for code in FOCAL if code not in {"2d", "2e"})
    absent = ("2f", "1a", "1b", "1c", "1d", "1e", *few)  # 1f, 2d and 2e are left: 4 findings of each
    bench.add(fine_tuned=True, cases=2, record=record(), absent=absent)
    bench.add(plugin="large", fine_tuned=True, cases=12, record=record(), split="val", absent=absent)
    effusion = PAPERS["effusion-over-others"]
    closed = {found.data.about.split: found for found in answer(store, effusion, PrivacyPolicy(public=True))}
    assert closed["test"].answer == LACKING  # fewer than five cases
    assert closed["val"].comparisons[0].value.n == 24
    bench.add(plugin="small", fine_tuned=True, cases=6, per_case=2, record=record(), split="odd", absent=absent)
    (odd,) = [a for a in answer(store, effusion, PrivacyPolicy(public=True)) if a.data.about.split == "odd"]
    assert odd.answer == CANNOT
    assert odd.comparisons[0].value == odd.comparisons[0].other
    assert odd.comparisons[0].value.value is odd.comparisons[0].value.n is odd.comparisons[0].p is None
    (open_,) = [a for a in answer(store, effusion) if a.data.about.split == "odd"]
    assert (open_.comparisons[0].value.n, open_.comparisons[0].p) == (4, None)


def test_other_data_than_the_papers_are_called_so(bench, store: Store) -> None:
    """The paper's are known by their content, as everywhere, never by a name."""
    papers = {"dataset": {"edition": TABLE_4.edition}}
    bench.add(dataset="ReXGroundingCT", cases=200, per_case=1, record=papers)
    bench.add(dataset="ReXGroundingCT", fingerprint="ff" * 32, cases=200, per_case=1, record={"dataset": {}})
    board = read_board(export(store, PrivacyPolicy()))
    assert {data.ranked[0].run.id: other_data(TABLE_4, data) for data in board} == {
        "run-01": "",
        "run-02": "not the paper's data",
    }
