"""Numbers that others reported: the paper's own rows and published boards, never mixed with measured ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from harness.foreign import parse_json
from leaderboard.board.board import Row, rank, scores_from
from leaderboard.board.columns import PAPER

#: Id of Table 4 of the paper among the references.
TABLE_4 = "paper"


@dataclass(frozen=True)
class Reference:
    """A table of numbers that were published elsewhere, and the data that they belong to.

    Attributes
    ----------
    id, title
        Its short name, and that for people.
    profile
        The profile whose metrics its numbers are.
    dataset, edition, split, local_split
        The data set, and which of :data:`~harness.dataset.editions.EDITIONS`; the split in words, and as this harness
        names it.
    n_cases, n_findings
        Size of the split; None where the source does not state it.
    source, retrieved
        Where it stands, and the date of that copy (ISO 8601; empty where it does not change).
    note
        What a reader has to know of it.
    in_table
        Its rows in the source's order.
    """

    id: str
    title: str
    profile: str
    dataset: str
    edition: str
    split: str
    local_split: str
    n_cases: int
    n_findings: int | None
    source: str
    retrieved: str
    note: str
    in_table: tuple[Row, ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows, best Dice first."""
        return tuple(rank(self.in_table))

    def claim(self, data: Mapping[str, Any]) -> str:
        """Return why a run on some data cannot be said to reproduce a row; empty where it can.

        Parameters
        ----------
        data
            Its ``name``, ``edition`` by content (empty where it is none), ``split``, ``n_cases`` and ``n_findings``.
        """
        same = (data["edition"], data["split"], data["n_cases"]) == (self.edition, self.local_split, self.n_cases)
        if same and self.n_findings in (None, data["n_findings"]):
            return ""
        findings = "" if self.n_findings is None else f" with {self.n_findings} findings"
        return (
            f"other data: {data['n_cases']} cases of {data['name']}, {data['split']}, with {data['n_findings']} "
            f"findings; {self.title} has {self.n_cases}{findings} of {self.dataset}, {self.split}"
        )


@dataclass(frozen=True)
class Reported(Reference):
    """Table 4 of the paper.

    Attributes
    ----------
    share
        Share of the findings that is ``non_focal`` and ``focal``; the paper gives no counts for its test split.
    fine_tuned_note
        How the fine-tuned rows were identified.
    """

    share: Mapping[str, float]
    fine_tuned_note: str


def read_reported() -> Reported:
    """Read the rows of the paper from the package."""
    content = _read("reported.json")
    cited = content["citation"]
    where = f"{cited['venue']}, {cited['year']}. {cited['table']}."
    return Reported(
        id=TABLE_4,
        title="the paper",
        profile=PAPER,
        dataset=content["dataset"],
        edition=content["edition"],
        split=content["split"],
        local_split="test",
        n_cases=content["n_cases"],
        n_findings=None,
        source=f"{', '.join(cited['authors'])}. {cited['title']}. {where}",
        retrieved="",
        note="",
        in_table=tuple(
            _row(
                row["method"],
                row,
                PAPER,
                prompt=row["prompt"],
                fine_tuned=row["fine_tuned"],
                sees=content["sees"][row["method"]],
                exposure="none",
            )
            for row in content["rows"]
        ),
        share=content["share"],
        fine_tuned_note=content["fine_tuned_note"],
    )


def read_boards() -> tuple[Reference, ...]:
    """Read the copies of published boards, and single figures of others, from the package."""
    boards = []
    for board in _read("boards.json"):
        rows, complete = board.pop("rows"), board.pop("complete")
        found = tuple(
            _row(row["title"], row, board["profile"], prompt="text", stands_for=(row.get("plugin"), row.get("variant")))
            for row in rows
        )
        boards.append(Reference(**board, in_table=found))
        assert complete or board["note"]  # noqa: S101 - a part says that it is one
    return tuple(boards)


def read_references() -> dict[str, Reference]:
    """Return the paper's table and the boards, by id."""
    return {reference.id: reference for reference in (read_reported(), *read_boards())}


def row_name(row: Row) -> str:
    """Return a row of the paper in words, for example ``"SAT, text, fine-tuned"``."""
    return f"{row.title}, {row.prompt}{', fine-tuned' if row.fine_tuned else ''}"


def _row(title: str, row: Mapping[str, Any], profile: str, **fields: Any) -> Row:
    fields = {"fine_tuned": False, **fields}
    return Row(
        kind="reported",
        title=title,
        variant="",
        by=row.get("by", ""),
        scores=scores_from(row["metrics"], profile),
        **fields,
    )


def _read(name: str) -> Any:
    return parse_json(resources.files("leaderboard").joinpath(name).read_text(encoding="utf-8"))
