"""Whether the numbers of a finished site are those of its database, and these follow from its single scores."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

from harness.status import RowLevel
from leaderboard.board.columns import PAPER
from leaderboard.pages.page import run_address, three_decimals
from leaderboard.site.withheld import DATABASE, reading, run_files

#: Levels of which a row may have a rank.
_RANKED: Final = tuple(level for level in RowLevel if level is not RowLevel.REPORTED)

#: The mean Dice of a run, in its file; of every run that stands, in the board's database.
_MEAN: Final = "select value, n from metrics where profile = ? and metric = 'dice' and grp = 'all'"
_MEANS: Final = "select run, value from metrics where profile = ? and metric = 'dice' and grp = 'all' order by run"


def wrong_numbers(site: Path, names: set[str]) -> Iterator[tuple[str, str]]:
    """Yield (file, description) of numbers of a site that do not follow from what it holds.

    Parameters
    ----------
    site
        Its folder.
    names
        Its files, as relative paths.
    """
    if DATABASE not in names:
        return
    try:
        with closing(reading(site / DATABASE)) as db:
            yield from _of_database(db)
            shown = dict(db.execute(_MEANS, [PAPER]).fetchall())
            runs = {run for (run,) in db.execute("select id from runs")}
    except sqlite3.Error as error:
        yield DATABASE, f"cannot be read: {error}"
        return
    for name in run_files(names):
        try:
            with closing(reading(site / name)) as db:
                yield from _of_run(db, name, runs, shown)
                yield from _of_page(db, site, names)
        except sqlite3.Error as error:
            yield name, f"cannot be read: {error}"


def _of_run(
    db: sqlite3.Connection, name: str, runs: set[str], shown: Mapping[str, float | None]
) -> Iterator[tuple[str, str]]:
    """Hold the file of a run, `name`, against its own scores, and against the board's mean Dice by run, `shown`."""
    run = _run_of(db)
    if run not in runs:
        yield name, "is of a run that the board does not have"
    mean, number = db.execute("select avg(dice), count(*) from scores").fetchone()
    for value, n in db.execute(_MEAN, [PAPER]).fetchall():
        # Single scores are there where the split is open and the whole row may be shown.
        if number == n and value is not None and not math.isclose(value, mean, abs_tol=1e-9):
            yield name, f"says Dice {value:.3f}, and its single scores have the mean {mean:.3f}"
        if run in shown and shown[run] != value:
            yield DATABASE, f"says Dice {three_decimals(shown[run])} of {run}, and its file {three_decimals(value)}"


def _of_page(db: sqlite3.Connection, site: Path, names: set[str]) -> Iterator[tuple[str, str]]:
    """Hold the page of a run against its file."""
    page = run_address(_run_of(db))
    for value, _ in db.execute(_MEAN, [PAPER]).fetchall():
        if page in names and f">{three_decimals(value)}" not in (site / page).read_text(encoding="utf-8"):
            yield page, f"does not show the Dice of the file of its run, {three_decimals(value)}"


def _run_of(db: sqlite3.Connection) -> str:
    found = db.execute("select value from about where name = 'run'").fetchone()
    return str(found[0]) if found else ""


def _of_database(db: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    ranked = db.execute("select id, kind, level, apart from runs where id in (select run from ranks)").fetchall()
    for run, kind, level, apart in ranked:
        if apart != "[]" or level not in _RANKED:
            yield DATABASE, f"ranks {run}, which may not be ranked"
        elif kind != "measured" and RowLevel(level).headline:
            yield DATABASE, f"ranks {run} among rows that were run here, and it is masks made elsewhere"
