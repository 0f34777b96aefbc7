"""Whether the numbers of a finished site are those of its database, and these follow from its single scores."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from harness.status import RowLevel
from leaderboard.board.columns import PAPER
from leaderboard.pages.page import run_address, three_decimals
from leaderboard.site.withheld import DATABASE, reading

#: Levels of which a row may have a rank.
_RANKED: Final = tuple(level for level in RowLevel if level is not RowLevel.REPORTED)

_MEANS: Final = """
select metrics.run, metrics.value, mean, metrics.n, number from metrics
left join (select run, avg(dice) as mean, count(*) as number from scores group by run) as single
  on single.run = metrics.run
where profile = ? and metric = 'dice' and grp = 'all' order by metrics.run
"""


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
            yield from _of_database(db, site, names)
    except sqlite3.Error as error:
        yield DATABASE, f"cannot be read: {error}"


def _of_database(db: sqlite3.Connection, site: Path, names: set[str]) -> Iterator[tuple[str, str]]:
    for run, value, mean, n, number in db.execute(_MEANS, [PAPER]).fetchall():
        # Single scores are there where the split is open and the whole row may be shown.
        if number == n and value is not None and not math.isclose(value, mean, abs_tol=1e-9):
            yield DATABASE, f"says Dice {value:.3f} of {run}, and its single scores have the mean {mean:.3f}"
        page = run_address(run)
        if page in names and f">{three_decimals(value)}" not in (site / page).read_text(encoding="utf-8"):
            yield page, f"does not show the Dice of the database, {three_decimals(value)}"
    ranked = db.execute("select id, kind, level, apart from runs where id in (select run from ranks)").fetchall()
    for run, kind, level, apart in ranked:
        if apart != "[]" or level not in _RANKED:
            yield DATABASE, f"ranks {run}, which may not be ranked"
        elif kind != "measured" and RowLevel(level).headline:
            yield DATABASE, f"ranks {run} among rows that were run here, and it is masks made elsewhere"
