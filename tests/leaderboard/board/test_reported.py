"""The paper's rows, checked against what the paper says of them."""

from __future__ import annotations

import pytest

from leaderboard.board.board import Row
from leaderboard.board.reported import read_reported

ROWS = read_reported().rows


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
    citation = read_reported().citation
    assert citation.startswith("Mohammed Baharoon, Luyang Luo, ")
    assert "Pranav Rajpurkar. State-of-the-Art Text-Prompted Medical Segmentation Models Struggle" in citation
    assert citation.endswith("(MLHC), 2025. Table 4.")
