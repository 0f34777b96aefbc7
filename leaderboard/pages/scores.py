"""Scores: the front page, the full table of every data set and profile, and what others reported."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from harness.registry.declaration import Prompt
from harness.scoring.profiles import PROFILES
from leaderboard.board.board import DataSet, Row
from leaderboard.board.columns import COLUMNS, MORE, PAPER, Column
from leaderboard.board.reported import Reference
from leaderboard.board.verdicts import beside, cells
from leaderboard.pages import figures
from leaderboard.pages.page import LEVELS, NOTHING, brief, table_address
from leaderboard.pages.site import Pages, Render, Site

#: Rows of the front page: of the first data set, and of each of the others; data sets that it shows rows of.
FIRST_ROWS, ROWS, DATA_SETS = 10, 3, 6

#: How the metrics of a profile are called.
PROFILE_NAMES: Mapping[str, str] = {"mlhc2025": "Metrics of the paper", "miccai2026": "Metrics of the challenge"}

_PROMPTS = {"text": "text", "structured-text": "structured text", "box": "box", "unknown": "not stated"}
_COMMERCIAL = {"yes": "commercial use allowed", "no": "not allowed", "unknown": "not known"}


@dataclass(frozen=True)
class Facet:
    """One property that rows are chosen by, and its values with their names and so many rows.

    Attributes
    ----------
    key, title
        Name of the attribute of a table's rows; its name for people.
    values
        (value, name, rows), in the order in which they are shown.
    """

    key: str
    title: str
    values: tuple[tuple[str, str, int], ...]


#: Property of a row -> its title, the value of a row, and the names of values; a value without one is its own name.
_FACETS: Mapping[str, tuple[str, Callable[[Row], str], Mapping[str, str]]] = {
    "prompt": ("Prompt", lambda row: row.prompt if row.prompt in {*Prompt} else "unknown", _PROMPTS),
    "exposure": ("Exposure", lambda row: row.training, {}),
    "level": ("Level", lambda row: row.level.value, {level.value: words[0] for level, words in LEVELS.items()}),
    "use": ("Licence", lambda row: row.licences.commercial, _COMMERCIAL),
    "sees": ("Sees", lambda row: row.sees, {"unknown": "not known"}),
    "year": ("Year", lambda row: row.run.created[:4] if row.run else "", {}),
    "standing": ("Standing", lambda row: "apart" if row.reasons else "ranked", {"apart": "not ranked"}),
}


def facts_of(row: Row) -> dict[str, str]:
    """Return what a row is chosen by, as attributes of its element in a table."""
    return {key: value(row) for key, (_, value, _) in _FACETS.items()}


def facets(rows: Sequence[Row]) -> list[Facet]:
    """Return the properties in which some rows differ, with their values."""
    found = []
    for key, (title, value, names) in _FACETS.items():
        values = [value(row) for row in rows]
        if len(set(values)) > 1:
            order = [*(name for name in names if name in values), *sorted(set(values) - names.keys())]
            named = tuple((one, names.get(one, one), values.count(one)) for one in order)
            found.append(Facet(key, title, named))
    return found


def columns_of(rows: Sequence[Row], profile: str) -> tuple[list[Column], list[Column]]:
    """Return the columns of a full table that are shown at first, and those of the others that any row has."""
    more = [column for column in MORE[profile] if any(row.scores[column.key].value is not None for row in rows)]
    return list(COLUMNS[profile]), more


def scores(site: Site, render: Render) -> Pages:
    """Yield the front page, the full tables, and the page of reported numbers."""
    boards = {name: site.board if name == PAPER else site.under(name, replaced=False) for name in PROFILES}
    replaced = {data.about.id: sum(row.replaced for row in data.rows) for data in site.board}
    first = site.board[0] if site.board else None
    yield render(
        "index.html",
        "front.html.j2",
        "Scores",
        columns=COLUMNS[PAPER],
        chart=figures.best(first, FIRST_ROWS) if first and site.draw else None,
        rows_of={data.about.id: top(data, FIRST_ROWS if data is first else ROWS) for data in site.board[:DATA_SETS]},
        profiles=PROFILE_NAMES,
    )
    for profile, board in boards.items():
        for data in board:
            rows = [*data.ranked, *current(data.apart)]
            shown, more = columns_of(rows, profile)
            yield render(
                table_address(data.about.id, profile),
                "table.html.j2",
                f"{data.title}: every row",
                description=f"Every row of {brief(data.title, 80)} with every metric, to sort and filter.",
                also=["index.html"],
                data=data,
                rows=rows,
                profile=profile,
                profiles=PROFILE_NAMES,
                columns=[*shown, *more],
                extra={column.key for column in more},
                facets=facets(rows),
                facts_of=facts_of,
                replaced=replaced[data.about.id],
            )
    yield render(
        "reported.html",
        "reported.html.j2",
        "Reported elsewhere",
        reported=site.reported,
        boards=site.boards,
        columns_of=COLUMNS,
        beside=lambda table: partial(_beside, table, boards[table.profile]),
        nothing=NOTHING,
    )


def top(data: DataSet, most: int) -> list[Row]:
    """Return the first ranked rows of a data set, or, where none is ranked, the first of those with scores."""
    return list((data.shown or data.apart)[:most])


def current(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that no newer run of the same model and variant replaced."""
    return [row for row in rows if not row.replaced]


def _beside(reference: Reference, board: Sequence[DataSet], theirs: Row) -> dict[str, Any] | None:
    """Return the run that stands for a reported row, and its numbers that may be shown, by column."""
    ours = beside(reference, theirs, board)
    if ours is None or ours.run is None:
        return None
    judged = cells(reference, theirs, ours.scores)
    return {"run": ours.run.id, "cells": {cell.key: cell for cell in judged if cell.ours.value is not None}}
