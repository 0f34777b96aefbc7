"""The statements of the paper in the terminal and as JSON: their answers on Table 4 and on the rows of a home."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from harness.cli.settings import Settings
    from leaderboard.board.answers import BoardAnswer, BoardComparison
    from leaderboard.board.board import Score
    from leaderboard.board.reported import Reported
    from leaderboard.published.statements import BoardStatement

#: Columns of a line, and comparisons that are printed of one answer.
_WIDTH, _MOST = 80, 12


def answered(settings: Settings) -> list[dict[str, Any]]:
    """Return every statement of the paper with its answers, ready for JSON.

    Parameters
    ----------
    settings
        Whose home has the rows; where it has no database, Table 4 alone answers.
    """
    from leaderboard.board.answers import in_table, on_board
    from leaderboard.board.board import read_board
    from leaderboard.board.reported import read_reported
    from leaderboard.published.database import Published
    from leaderboard.published.export import export
    from leaderboard.published.privacy import PrivacyPolicy
    from leaderboard.published.statements import read_statements

    published = Published()
    if settings.database.is_file():
        with settings.open_store(readonly=True) as store:
            published = export(store, PrivacyPolicy())
    board, reported = read_board(published), read_reported()
    return [
        _record(one, [in_table(one, reported), *on_board(one, board, published)], reported) for one in read_statements()
    ]


def _record(statement: BoardStatement, answers: Sequence[BoardAnswer], reported: Reported) -> dict[str, Any]:
    definition = statement.model_dump(mode="json")
    return {
        **{name: definition.pop(name) for name in ("id", "says", "source", "note")},
        "meaning": statement.meaning,
        "definition": definition,
        "answers": [_answer(answer, reported) for answer in answers],
    }


def _answer(answer: BoardAnswer, reported: Reported) -> dict[str, Any]:
    from leaderboard.board.answers import other_data

    where: dict[str, Any] = {"table": "Table 4 of the paper", "dataset": None}
    if answer.data is not None:
        about = answer.data.about
        facts = {name: getattr(about, name) for name in ("names", "fingerprint", "split", "n_cases", "n_findings")}
        where = {"table": None, "dataset": facts | {"of_the_paper": not other_data(reported, answer.data)}}
    return {
        **where,
        "told_by": "intervals" if answer.data is None else "tests",
        "answer": answer.answer,
        "rests_on": answer.words,
        "comparisons": [_comparison(one) for one in answer.comparisons],
    }


def _comparison(one: BoardComparison) -> dict[str, Any]:
    from leaderboard.board.answers import name_of

    sides = {
        name: None if row is None else {"name": name_of(row), "run": row.run.id if row.run else None}
        for name, row in (("first", one.first), ("second", one.second))
    }
    numbers = {name: _number(getattr(one, name)) for name in ("value", "other", "difference")}
    return {**sides, **numbers, "p_corrected": one.p, "says": one.said}


def _number(score: Score) -> dict[str, Any]:
    cell = asdict(score)
    low, high = cell.pop("low"), cell.pop("high")
    return {**cell, "ci95": None if low is None else [low, high]}


def print_statements(records: Sequence[dict[str, Any]]) -> None:
    """Print statements and answers, no line wider than 80 columns but for a single long name."""
    _print(
        "Rows of this home are told apart by tests on single findings. The paper has published none: two numbers of "
        "its Table 4 are told apart where their 95 % intervals do not touch, which asks for more."
    )
    click.echo("")
    for record in records:
        _print(f"{record['says']} (paper, {record['source']})")
        for text in filter(None, (record["meaning"], record["note"])):
            _print(text, indent=2)
        for answer in record["answers"]:
            _print(f"{_where(answer)}: {answer['answer'].upper()}", indent=2)
            _print(answer["rests_on"], indent=4)
            for line in _lines(answer):
                _print(line, indent=6)
        click.echo("")


def _where(answer: dict[str, Any]) -> str:
    if answer["dataset"] is None:
        return str(answer["table"])
    about = answer["dataset"]
    other = "" if about["of_the_paper"] else ", not the paper's data"
    size = f"{about['n_cases']} cases, {about['n_findings']} findings"
    return f"{', '.join(about['names'])}, {about['split']} ({size}{other})"


def _lines(answer: dict[str, Any]) -> Iterator[str]:
    """Yield a line for each of the first comparisons of an answer."""
    from harness.cli.tables import cell

    for one in answer["comparisons"][:_MOST]:
        beside = f" beside {one['second']['name']}" if one["second"] else ""
        numbers = _shown(one) if answer["dataset"] else f"{cell(one['value'])} and {cell(one['other'])}"
        yield f"{one['first']['name']}{beside}: {numbers}: {one['says']}"
    if len(answer["comparisons"]) > _MOST:
        yield f"and {len(answer['comparisons']) - _MOST} more: --json has all of them"


def _shown(one: dict[str, Any]) -> str:
    n = " and ".join(str(one[side]["n"]) for side in ("value", "other") if one[side]["n"] is not None)
    if one["difference"]["value"] is None:
        return f"too few findings ({n})"
    ends = one["difference"]["ci95"]
    interval = f" [{ends[0]:+.3f} to {ends[1]:+.3f}]" if ends else ""
    p = "" if one["p_corrected"] is None else f", p {one['p_corrected']:.3f}"
    return f"{one['difference']['value']:+.3f}{interval}{p}, n {n}"


def _print(text: str, *, indent: int = 0) -> None:
    from harness.cli.tables import printable

    margin = " " * indent
    click.echo(
        textwrap.fill(
            printable(text), _WIDTH, initial_indent=margin, subsequent_indent=f"{margin}  ", break_long_words=False
        )
    )
