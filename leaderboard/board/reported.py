"""The paper's own rows: reported by its authors, carried with the package, never mixed with measured ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from leaderboard.board.board import Row, rank, scores_from


@dataclass(frozen=True)
class Reported:
    """Table 4 of the paper.

    Attributes
    ----------
    citation
        Who, what, where, in one line.
    dataset, split, n_cases
        The data on which the authors scored their models.
    share
        Share of the findings that is ``non_focal`` and ``focal``; the paper gives no counts for its test split.
    fine_tuned_note
        How the fine-tuned rows were identified.
    rows
        The rows, best average Dice first.
    in_table
        The same rows in the table's order.
    """

    citation: str
    dataset: str
    split: str
    n_cases: int
    share: Mapping[str, float]
    fine_tuned_note: str
    rows: tuple[Row, ...]
    in_table: tuple[Row, ...]


def read_reported() -> Reported:
    """Read the rows of the paper from the package."""
    content = json.loads(resources.files("leaderboard").joinpath("reported.json").read_text(encoding="utf-8"))
    cited = content["citation"]
    where = f"{cited['venue']}, {cited['year']}. {cited['table']}."
    rows = tuple(
        Row(
            kind="reported",
            title=row["method"],
            variant="",
            prompt=row["prompt"],
            fine_tuned=row["fine_tuned"],
            scores=scores_from(row["metrics"]),
        )
        for row in content["rows"]
    )
    return Reported(
        citation=f"{', '.join(cited['authors'])}. {cited['title']}. {where}",
        dataset=content["dataset"],
        split=content["split"],
        n_cases=content["n_cases"],
        share=content["share"],
        fine_tuned_note=content["fine_tuned_note"],
        rows=tuple(rank(rows)),
        in_table=rows,
    )
