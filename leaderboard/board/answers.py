"""What a statement comes to on Table 4 of the paper and on the rows of each data set: one of four answers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from harness.scoring.simultaneous import ERROR_RATE
from leaderboard.board.board import DataSet, Row, Score
from leaderboard.board.columns import COLUMNS, PAPER
from leaderboard.board.reported import Reported, row_name
from leaderboard.published.database import Published, StatementTest
from leaderboard.published.facts import Facts
from leaderboard.published.statements import GROUPS, BoardStatement, Chosen

#: The answers.
HOLDS, DOES_NOT, CANNOT, LACKING = "holds", "does not", "cannot be told at this n", "rows lacking"
ANSWERS = (HOLDS, DOES_NOT, CANNOT, LACKING)

#: What one comparison says.
AS_STATED, OTHERWISE, NOT_APART, SILENT = "as stated", "the other way", "not told apart", "found nothing in either"

_SIGNIFICANTLY = ("significant", "significant the other way")


@dataclass(frozen=True)
class BoardComparison:
    """One comparison that an answer rests on.

    Attributes
    ----------
    first, second
        The row, and the one that it is compared with; None for another group of its findings, or a number.
    value, other
        The two sides; of tests without intervals of their own, of a number that is stated without n.
    difference
        The first minus the second, with its 95 % interval and the number of findings of the first.
    p
        Corrected p-value; None where nothing was tested.
    said
        :data:`AS_STATED`, :data:`OTHERWISE`, :data:`NOT_APART` or :data:`SILENT`.
    """

    first: Row
    second: Row | None
    value: Score
    other: Score
    difference: Score
    p: float | None
    said: str


@dataclass(frozen=True)
class BoardAnswer:
    """What a statement comes to in one place.

    Attributes
    ----------
    data
        The data set; None for Table 4 of the paper.
    answer
        One of :data:`ANSWERS`.
    comparisons
        What it rests on.
    in_direction
        Of those that are not silent, how many means differ in the direction that is stated, told apart or not.
    lacking
        Where rows are lacking, which; empty otherwise.
    """

    data: DataSet | None
    answer: str
    comparisons: tuple[BoardComparison, ...] = ()
    in_direction: int = 0
    lacking: str = ""

    @property
    def words(self) -> str:
        """Say what the answer rests on, in one line without numbers of single rows."""
        if self.lacking:
            return self.lacking
        counted = {said: sum(one.said == said for one in self.comparisons) for said in (AS_STATED, OTHERWISE, SILENT)}
        n = len(self.comparisons) - counted[SILENT]
        apart, other = ("intervals apart", "apart the other way") if self.data is None else _SIGNIFICANTLY
        said = [
            f"{self.in_direction} of {n} as stated",
            f"{apart} for {counted[AS_STATED]}, {other} for {counted[OTHERWISE]}",
        ]
        if counted[SILENT]:
            said.append(f"{counted[SILENT]} left out, which found nothing")
        return "; ".join(said)


def on_board(statement: BoardStatement, board: Sequence[DataSet], published: Published) -> list[BoardAnswer]:
    """Return the answer to a statement on each data set, by tests on single findings.

    Parameters
    ----------
    statement
        What is tested.
    board, published
        The data sets with the paper's metrics, and the database that they were read from.
    """
    return [_on_data_set(statement, data, published.statement_tests(data.about.id, statement.id)) for data in board]


def _on_data_set(statement: BoardStatement, data: DataSet, tests: Sequence[StatementTest]) -> BoardAnswer:
    rows = {row.run.id: row for row in data.ranked if row.run}
    found = [
        BoardComparison(
            first=rows[test.first],
            second=rows.get(test.second),
            value=Score(test.value, n=test.n),
            other=Score(test.other, n=test.n_other),
            difference=Score(test.difference, test.low, test.high, test.n),
            p=test.p,
            said=_of_test(statement, test),
        )
        for test in tests
    ]
    if not found:
        ranked = {row.facts for row in data.ranked}
        lacking, whole = (_lacking(statement, facts, "ranked row") for facts in (ranked, data.facts))
        more = "; rows that are not ranked do not count" if whole != lacking else ""
        return BoardAnswer(data, LACKING, lacking=lacking + more)
    return _answer(statement, data, found)


def _of_test(statement: BoardStatement, test: StatementTest) -> str:
    if test.p is None and test.value == test.other == 0.0:
        return SILENT
    if test.p is None or test.difference is None or test.p >= ERROR_RATE:
        return NOT_APART
    return AS_STATED if _in_direction(statement, test.difference) else OTHERWISE


def _in_direction(statement: BoardStatement, difference: float) -> bool:
    beyond = difference - statement.margin
    return beyond > 0 if statement.direction == "higher" else beyond < 0


def _answer(statement: BoardStatement, data: DataSet | None, found: Sequence[BoardComparison]) -> BoardAnswer:
    """Hold a statement where each comparison is told apart as it says, deny it where one is told apart otherwise."""
    said = [one.said for one in found if one.said != SILENT]
    if not said:
        return BoardAnswer(data, LACKING, tuple(found), lacking="no row found anything in these findings")
    answer = DOES_NOT if OTHERWISE in said else HOLDS if set(said) == {AS_STATED} else CANNOT
    differences = [one.difference.value for one in found if one.said != SILENT]
    return BoardAnswer(
        data, answer, tuple(found), sum(d is not None and _in_direction(statement, d) for d in differences)
    )


# -- the paper's own table --------------------------------------------------------------------------------------------


def in_table(statement: BoardStatement, reported: Reported) -> BoardAnswer:
    """Return the answer to a statement on Table 4, which has intervals and no scores of single findings.

    Two numbers are told apart where their 95 % intervals are; that is stricter than a test on the same findings.
    """
    column, than = (_column(statement, group) for group in (statement.group, statement.than_group or statement.group))
    if column is None or than is None:
        return BoardAnswer(None, LACKING, lacking="the table has no numbers for these findings")
    found = []
    for first, second in _pairs(statement, reported.in_table):
        number = Score(statement.than, statement.than, statement.than)
        value = first.scores[column]
        other = number if statement.than is not None else (second or first).scores[than]
        said = _of_intervals(statement, value, other)
        if statement.than_group is not None and first.scores["average"].value == 0:
            said = SILENT
        difference = Score() if value.value is None or other.value is None else Score(value.value - other.value)
        found.append(BoardComparison(first, second, value, other, difference, None, said))
    if not found:
        return BoardAnswer(None, LACKING, lacking=_lacking(statement, [row.facts for row in reported.in_table], "row"))
    return _answer(statement, None, found)


def _column(statement: BoardStatement, group: tuple[str, ...] | str) -> str | None:
    """Return the column of Table 4 with a statement's metric on a group; None where there is none."""
    path = GROUPS.get(group[0]) if isinstance(group, tuple) else None
    wanted = (column.key for column in COLUMNS[PAPER] if (column.metric, (column.group,)) == (statement.metric, path))
    return next(wanted, None)


def _pairs(statement: BoardStatement, rows: Sequence[Row]) -> Iterator[tuple[Row, Row | None]]:
    for first in rows:
        if not statement.rows.holds(first.facts):
            continue
        if statement.than_rows is None:
            yield first, None
            continue
        for second in rows:
            alike = (first.title, first.prompt) == (second.title, second.prompt)
            other = first is not second and statement.than_rows.holds(second.facts)
            if other and (alike or not statement.same_model):
                yield first, second


def _of_intervals(statement: BoardStatement, value: Score, other: Score) -> str:
    if None in (value.low, value.high, other.low, other.high):
        return NOT_APART
    above = value.low - other.high > statement.margin  # type: ignore[operator] # none of them is None
    below = value.high - other.low < statement.margin  # type: ignore[operator]
    if not (above or below):
        return NOT_APART
    return AS_STATED if above == (statement.direction == "higher") else OTHERWISE


# -- words ------------------------------------------------------------------------------------------------------------


def _lacking(statement: BoardStatement, there: Collection[Facts], kind: str) -> str:
    """Say which rows are not there."""
    sides: list[Chosen] = [side for side in (statement.rows, statement.than_rows) if side is not None]
    lacking = [side.words for side in sides if not any(side.holds(one) for one in there)]
    return f"no {kind} is one of: {'; '.join(lacking)}" if lacking else f"no two {kind}s of the same model and prompt"


def name_of(row: Row) -> str:
    """Return a row's name in one line: a reported one in the paper's words, another with its variant."""
    return row_name(row) if row.kind == "reported" else f"{row.title} {row.variant}".strip()


def other_data(reported: Reported, data: DataSet) -> str:
    """Return why an answer on a data set says nothing of the paper's own data; empty where it is the paper's."""
    editions = {str(row.run.record.get("dataset", {}).get("edition", "")) for row in data.ranked if row.run}
    about = data.about
    claimed = {
        "name": ", ".join(about.names),
        "edition": editions.pop() if len(editions) == 1 else "",
        "split": about.split,
        "n_cases": about.n_cases,
        "n_findings": about.n_findings,
    }
    return "not the paper's data" if reported.claim(claimed) else ""
