"""Our numbers beside reported ones: each cell of a row inside the stated interval, below it or above it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from leaderboard.board.board import DataSet, Row, Score, scores_from
from leaderboard.board.columns import COLUMNS
from leaderboard.board.reported import Reference
from leaderboard.published.database import DataSetRow

#: Decimals of the paper's table.
_DECIMALS = 3

#: Difference up to which a number agrees with one that is stated without an interval. Ours: a change of hardware or
#: of a library moves a few voxels of some findings.
TOLERANCE = 0.005

NOT_COMPARABLE = "not comparable"


@dataclass(frozen=True)
class Cell:
    """One number of a reported row beside ours.

    Attributes
    ----------
    key, title
        The column, as in :data:`~leaderboard.board.columns.COLUMNS`.
    theirs, ours
        The two numbers.
    verdict
        As :func:`verdict` has it.
    """

    key: str
    title: str
    theirs: Score
    ours: Score
    verdict: str


def verdict(value: float | None, stated: Score) -> str:
    """Return where a number of ours lies beside a reported one.

    With a 95 % interval: ``inside``, ``below`` or ``above`` it, its ends included; ours is rounded to the decimals of
    the paper's table first, as the paper's own ends are. Without one: ``agrees`` up to :data:`TOLERANCE`, else
    ``below`` or ``above``. ``not comparable`` where a number is missing.
    """
    if value is None or stated.value is None:
        return NOT_COMPARABLE
    if stated.low is not None and stated.high is not None:
        low, high, between = stated.low, stated.high, "inside"
        value = round(value, _DECIMALS)
    else:
        low, high, between = stated.value - TOLERANCE, stated.value + TOLERANCE, "agrees"
    return "below" if value < low else "above" if value > high else between


def cells(reference: Reference, theirs: Row, ours: Mapping[str, Score]) -> tuple[Cell, ...]:
    """Return every number that a reported row states, in the order of the columns, beside ours.

    Parameters
    ----------
    reference
        The table of the row; its profile gives the columns.
    theirs
        The row.
    ours
        Our numbers by the key of the column; a missing one is not comparable.
    """
    found = []
    for column in COLUMNS[reference.profile]:
        stated, here = theirs.scores[column.key], ours.get(column.key, Score())
        if stated.value is not None:
            found.append(Cell(column.key, column.title, stated, here, verdict(here.value, stated)))
    return tuple(found)


def judge(reference: Reference, theirs: Row, metrics: Mapping[str, Mapping[str, Any]]) -> tuple[Cell, ...]:
    """Return :func:`cells` for the ``metrics`` of a run's document under the reference's profile."""
    return cells(reference, theirs, scores_from(metrics, reference.profile))


def sentence(judged: Sequence[Cell]) -> str:
    """Return the verdicts on a row in one sentence, such as ``"2 of 5 inside: Focal, HIT5; below: Average, HIT10"``."""
    by_verdict: dict[str, list[str]] = {}
    for cell in judged:
        by_verdict.setdefault(cell.verdict, []).append(cell.title)
    order = sorted(by_verdict, key=("inside", "agrees", "below", "above", NOT_COMPARABLE).index)
    if len(order) == 1 and len(judged) > 1:
        return f"all {len(judged)} {order[0]}"
    return "; ".join(f"{said}: {', '.join(by_verdict[said])}" for said in order)


def beside(reference: Reference, theirs: Row, board: Sequence[DataSet]) -> Row | None:
    """Return the measured row of a board that stands for a reported one on the same data; None where there is none.

    The same title, prompt and training, or the plugin and variant that the reported row names; of several, the one that
    the board orders first.
    """
    rows = (
        (row, data.about)
        for data in board
        for row in data.rows
        if _stands_for(row, theirs) and row.run and row.run.n_cases == data.about.n_cases
    )
    return next((row for row, about in rows if _same_data(row, reference, about)), None)


def _same_data(ours: Row, reference: Reference, about: DataSetRow) -> bool:
    edition = ours.run.record.get("dataset", {}).get("edition", "") if ours.run else ""
    return not reference.claim({**asdict(about), "name": "", "edition": edition})


def _stands_for(ours: Row, theirs: Row) -> bool:
    if not ours.level.headline or ours.run is None or ours.replaced:
        return False
    if theirs.stands_for[0] is not None:
        return (ours.run.plugin, ours.variant) == theirs.stands_for
    prompt = "box" if ours.boxed else "text"
    return (ours.title, prompt, ours.fine_tuned) == (theirs.title, theirs.prompt, theirs.fine_tuned)


def remarks(reference: Reference, document: Mapping[str, Any]) -> list[str]:
    """Return the remarks on a verdict: other data, findings that scored 0, why it has no rank.

    Parameters
    ----------
    reference
        What it was compared with.
    document
        What ``bench run --json`` prints of the run.
    """
    ok = document["coverage"].get("ok", 0)
    said = [claim] if (claim := reference.claim(data_of(document))) else []
    if ok < document["n_findings"]:
        said.append(f"{document['n_findings'] - ok} of {document['n_findings']} findings failed and scored 0")
    return said + [f"never ranked: {reason}" for reason in document["unrankable"]]


def data_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what :meth:`Reference.claim` compares, of a run's document."""
    return {**document["dataset"], "n_cases": document["n_cases"], "n_findings": document["n_findings"]}
