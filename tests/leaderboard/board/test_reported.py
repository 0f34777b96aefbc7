"""The paper's rows, checked against what the paper says of them."""

from __future__ import annotations

import math
import re
from pathlib import Path
from statistics import NormalDist

import pytest

from leaderboard.board.board import Row
from leaderboard.board.reported import Reference, read_boards, read_references, read_reported
from leaderboard.commands.reproduce import REFERENCES

ROWS = read_reported().rows
ROOT = Path(__file__).parents[3]


def test_every_row_of_the_table() -> None:
    """Three box-prompted rows, seven text-only ones; SAT after fine-tuning leads the latter, MedSAM2 the former."""
    rows = [(row.title, row.prompt, row.fine_tuned, row.scores["average"].value) for row in ROWS]
    assert rows == [
        ("SAT", "text", True, 0.153),
        ("SegVol", "text", True, 0.065),
        ("BiomedParse", "text", True, 0.059),
        ("MedSAM2 Text", "text", True, 0.059),
        ("BiomedParse", "text", False, 0.013),
        ("SegVol", "text", False, 0.003),
        ("SAT", "text", False, 0.0),
        ("MedSAM2", "box", False, 0.257),
        ("SAM2", "box", False, 0.220),
        ("SegVol", "box", False, 0.100),
    ]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.title}-{row.prompt}-{row.fine_tuned}")
def test_numbers_agree_with_each_other(row: Row) -> None:
    """Intervals hold their values, the average is that of its parts by their shares, and HIT10 is within HIT5."""
    scores = row.scores
    for score in scores.values():
        assert score.value is not None
        assert score.low is not None
        assert score.high is not None
        assert score.low <= score.value <= score.high
    values = {key: score.value or 0.0 for key, score in scores.items()}
    share = read_reported().share
    assert values["average"] == pytest.approx(
        share["non_focal"] * values["non_focal"] + share["focal"] * values["focal"], abs=0.002
    )
    assert values["hit10"] <= values["hit5"]


def test_rows_are_reported_and_nothing_else() -> None:
    """No reported row can pass for a measured one: it has no run, no coverage and no time."""
    for row in ROWS:
        assert row.kind == "reported"
        assert (row.run, row.coverage, row.cost) == (None, None, None)


def test_citation_is_whole() -> None:
    """The rows are cited with authors, title, venue and table."""
    citation = read_reported().source
    assert citation.startswith("Mohammed Baharoon, Luyang Luo, ")
    assert "Pranav Rajpurkar. State-of-the-Art Text-Prompted Medical Segmentation Models Struggle" in citation
    assert citation.endswith("(MLHC), 2025. Table 4.")


def test_boards_say_whose_they_are_and_of_when() -> None:
    """Each copy has its data, a source with a commit, and a date; the best rows are those of the challenge."""
    boards = {board.id: board for board in read_boards()}
    for board in boards.values():
        assert "commit " in board.source
        assert board.retrieved[:3] == "202"
        assert (board.dataset, bool(board.n_findings)) == ("ReXGroundingCT", True)
    best = [(row.title, round(row.scores["average"].value or 0, 3)) for row in boards["challenge"].rows[:2]]
    assert best == [("juniper_v0.1ree5", 0.365), ("TAGS_TAP (submission 3)", 0.360)]
    assert boards["challenge-july"].rows[0].scores["average"].value == 0.332
    assert "not the complete board" in boards["challenge"].note


@pytest.mark.parametrize("board", read_boards(), ids=lambda board: board.id)
def test_rows_of_boards_claim_nothing_that_is_not_stated(board: Reference) -> None:
    """No interval, no rank; what their weights have seen is not stated, so that none is shown as zero-shot."""
    for row in board.in_table:
        score = row.scores["average"]
        assert score.value is not None
        assert 0 < score.value < 0.4
        assert (score.low, score.high, row.rank, row.run) == (None, None, None, None)
        assert row.training == "training not stated"
        assert score.n == board.n_findings


def test_the_command_offers_every_reference() -> None:
    """Its help names them without reading the tables."""
    assert tuple(read_references()) == REFERENCES


def test_what_the_documentation_says_of_the_papers_table() -> None:
    """docs/limits.md: focal above non-focal in 4 of 9 rows that are not 0, apart in two, the other way round in two."""
    rows = [row for row in ROWS if row.scores["average"].value]
    halves = [(row.scores["focal"], row.scores["non_focal"]) for row in rows]
    assert len(rows) == 9
    assert sum((focal.value or 0) > (other.value or 0) for focal, other in halves) == 4
    assert sum((focal.low or 0) > (other.high or 0) for focal, other in halves) == 2
    assert sum((other.low or 0) > (focal.high or 0) for focal, other in halves) == 2


def test_the_smallest_differences_of_the_documentation() -> None:
    """Power 0.8 at 0.05, two-sided, for paired differences that spread by 0.20: (1.960 + 0.842) s / sqrt(n)."""
    table = re.findall(r"^\| (\d+) \| (0\.\d{3}) \|", (ROOT / "docs" / "limits.md").read_text(), re.MULTILINE)
    assert [n for n, _ in table] == ["15", "16", "20", "100", "530"]
    quantiles = NormalDist().inv_cdf(0.975) + NormalDist().inv_cdf(0.8)
    for n, said in table:
        assert f"{quantiles * 0.20 / math.sqrt(int(n)):.3f}" == said
    spread = {}
    for row in ROWS:
        low, high = row.scores["average"].low, row.scores["average"].high
        assert low is not None
        assert high is not None
        spread[row.title, row.prompt, row.fine_tuned] = (high - low) / 2 / 1.96 * math.sqrt(530)
    assert {0.20, 0.24} == {round(spread["SAT", "text", True], 2), round(spread["MedSAM2", "box", False], 2)}
