"""How values become text on a page, and the one template environment of the site.

Names and texts of a run are whatever its author wrote. They reach a page through Jinja's escaping only, and every page
forbids, by its content security policy, any script and style that is not a file of the site itself.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from harness.categories import CATEGORIES
from harness.host.sizes import size
from harness.status import RowLevel
from leaderboard.board.answers import ANSWERS
from leaderboard.board.board import STANDINGS, Row, Score
from leaderboard.board.columns import Column
from leaderboard.published.database import PublishedRun
from leaderboard.published.standing import Standing
from leaderboard.published.statements import METRICS, group_words

#: Shown where there is no number.
NOTHING = "—"

#: Longest name or reason that is shown whole, and the same for a finding in a list, in characters.
LONGEST_TEXT, LONGEST_LINE = 160, 90

#: Width of an interval's drawing and the margin at both its ends, in CSS pixels.
WHISKER_WIDTH, WHISKER_MARGIN = 96, 4

#: Level -> what a row of it is called, and what that means.
LEVELS: Mapping[RowLevel, tuple[str, str]] = {
    RowLevel.REPORTED: ("Reported", "a number from elsewhere; nothing of it was made here"),
    RowLevel.RESCORED: ("Masks made elsewhere", "scored here; what made them was not seen here"),
    RowLevel.MEASURED: ("Measured here", "the model ran in this harness, which scored its masks"),
    RowLevel.REPRODUCED: ("Reproduced", "somebody's row, run again by the organiser with the same result"),
    RowLevel.SEALED: ("Sealed", "run by the organiser on a closed split"),
}

_FILE_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_.-]{0,78}[a-z0-9])?")


@dataclass(frozen=True)
class Whisker:
    """An interval as horizontal positions in a drawing of :data:`WHISKER_WIDTH`, in CSS pixels."""

    low: float
    value: float
    high: float


def make_environment() -> Environment:
    """Return the environment with everything that templates call."""
    environment = Environment(
        loader=PackageLoader("leaderboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        three=three_decimals,
        signed=signed,
        probability=probability,
        seconds=readable_seconds,
        memory=readable_bytes,
        size=readable_size,
        volume=readable_volume,
        digest=short_digest,
        brief=brief,
        short=lambda text: brief(text, LONGEST_LINE),
        status=lambda name: brief(name.replace("_", " ")),
        answer_class=dict(zip(ANSWERS, ("holds", "does-not", "cannot", "lacking"), strict=True)).get,
        group_words=group_words,
        metric_name=METRICS.get,
        commercial=lambda answer: {"yes": "allowed", "no": "not allowed"}.get(answer, "not known"),
    )
    environment.globals.update(
        nothing=NOTHING,
        counts_of=counts_of,
        common_basis=group_basis,
        whisker=whisker,
        place=place,
        floor_of=floor_of,
        whisker_width=WHISKER_WIDTH,
        scale_of=scale_of,
        has_intervals=has_intervals,
        groups_of=groups_of,
        groups_in_full=groups_in_full,
        name_of_row=name_of_row,
        levels=LEVELS,
        standing_title=standing_title,
        model_address=model_address,
        run_address=run_address,
        case_address=case_address,
        table_address=table_address,
        category_name=category_name,
        label=label,
    )
    return environment


# -- addresses --------------------------------------------------------------------------------------------------------


def file_name(name: str) -> str:
    """Return a name that is safe as a file's on any system: the name itself where it is, else a digest of it."""
    if _FILE_NAME.fullmatch(name) and name != "index":
        return name
    return "x-" + hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def model_address(run: PublishedRun) -> str:
    """Return the path of the page of the model of a row: rows of the same kind, name and people share one, no others.

    A row that was not made here never has the address of a plugin, whose name holds no dot.
    """
    if run.kind == "measured" and not run.who:
        return f"models/{file_name(run.plugin)}.html"
    digest = hashlib.sha256(json.dumps(run.made_by).encode()).hexdigest()[:16]
    return f"models/made-elsewhere.{digest}.html"


def run_address(run: str) -> str:
    """Return the path of a run's page."""
    return f"runs/{file_name(run)}.html"


def table_address(data_set: str, profile: str) -> str:
    """Return the path of the full table of a data set under a profile."""
    return f"tables/{data_set}-{profile}.html"


def case_address(data_set: str, case: str) -> str:
    """Return the path of a case's page."""
    return f"cases/{data_set}-{file_name(case)}.html"


# -- texts ------------------------------------------------------------------------------------------------------------


def brief(text: str, longest: int = LONGEST_TEXT) -> str:
    """Cut a text that would bury the page, and show that it was cut."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def label(row: Row) -> str:
    """Name a row in one line."""
    return f"{brief(row.title, 40)} {brief(row.variant, 30)}".strip()


def category_name(code: str) -> str:
    """Return a category's code and name."""
    return f"{code} {CATEGORIES.get(code, '')}".strip()


def three_decimals(value: float | None) -> str:
    """Write a score with three decimals, or a dash where there is none."""
    return NOTHING if value is None else f"{value:.3f}"


def signed(value: float) -> str:
    """Write a difference with its sign and three decimals."""
    return f"{value:+.3f}".replace("-", "\N{MINUS SIGN}")


def probability(value: float) -> str:
    """Write a p-value."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def readable_seconds(value: float | None) -> str:
    """Write a duration in seconds with two or three significant digits."""
    if value is None:
        return NOTHING
    if value < 0.01:
        return "< 0.01"
    return f"{value:.2f}" if value < 1 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def readable_bytes(value: int | None) -> str:
    """Write a number of bytes in kB, MB or GB."""
    if value is None:
        return NOTHING
    return size(value)


def readable_volume(value: float) -> str:
    """Format the edge of a bin of volumes, in µl: three digits, or whole thousands apart."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def readable_size(value: int) -> str:
    """Write the size of a file."""
    return f"{value / 1e3:.1f} kB" if value < 1e6 else readable_bytes(value)


def short_digest(value: str) -> str:
    """Shorten a digest to its first twelve characters, without the name of the algorithm."""
    return value.rpartition(":")[2][:12] or NOTHING


# -- tables -----------------------------------------------------------------------------------------------------------


def common_basis(scores: Sequence[Score]) -> str | None:
    """Return the findings and cases that all numbers of a column share, or None where they differ or are unknown."""
    known = {score.basis for score in scores if score.n is not None}
    return known.pop() if len(known) == 1 else None


def counts_of(rows: Sequence[Row], columns: Sequence[Column]) -> dict[str, str | None]:
    """Return what is behind all numbers of each column, by :attr:`Column.key`."""
    return {column.key: common_basis([row.scores[column.key] for row in rows]) for column in columns}


def group_basis(rows: Sequence[Row], group: str, pick: Callable[[Row, str], Score]) -> str | None:
    """Return the findings and cases that all rows share in one group, or None."""
    return common_basis([pick(row, group) for row in rows])


def scale_of(rows: Sequence[Row]) -> float:
    """Return where a table's drawings end: the highest average or end of its interval, up to the next tenth."""
    tops = [score.high or score.value or 0.0 for score in (row.scores["average"] for row in rows)]
    return max(0.1, math.ceil(max(tops, default=0.0) * 10 - 1e-9) / 10)


def has_intervals(rows: Sequence[Row]) -> bool:
    """Return whether any average of a table has an interval; of fewer than five cases none has."""
    return any(row.scores["average"].low is not None for row in rows)


def whisker(score: Score, scale: float) -> Whisker | None:
    """Place a value and its interval on an axis from 0 to `scale`; None where there is no interval."""
    if score.value is None or score.low is None or score.high is None:
        return None
    return Whisker(*(place(number, scale) for number in (score.low, score.value, score.high)))


def place(number: float, scale: float) -> float:
    """Return where a number lies on a drawn axis from 0 to `scale`."""
    return round(WHISKER_MARGIN + number / scale * (WHISKER_WIDTH - 2 * WHISKER_MARGIN), 1)


def floor_of(rows: Sequence[Row]) -> float | None:
    """Return the best average of the box-prompted controls among some rows; None without one."""
    controls = [row.scores["average"].value for row in rows if row.control]
    return max((value for value in controls if value is not None), default=None)


def groups_of(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Separate rows by the ranking that they belong to; one without rows is left out."""
    groups = [(standing, [row for row in rows if row.standing == standing]) for standing in STANDINGS]
    of_table = {row.kind for row in rows} == {"reported"}  # of one source, whose title says so
    return [(standing_title((None, standing[1]) if of_table else standing), rows) for standing, rows in groups if rows]


def groups_in_full(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Separate ranked rows by their ranking, and put those that are not ranked after them."""
    apart = [row for row in rows if row.reasons]
    return groups_of([row for row in rows if not row.reasons]) + ([("Not ranked", apart)] if apart else [])


def name_of_row(row: Row) -> str:
    """Return the words that a row is found by."""
    of_run = (row.run.plugin, row.run.who) if row.run else ()
    return " ".join(dict.fromkeys(filter(None, [row.title, row.variant, *of_run])))


def standing_title(standing: Standing) -> str:
    """Return the heading of a ranking."""
    level, prompt = standing
    title = {"text": "Text-only", "box": "Box-prompted: boxes made from the ground truth"}.get(
        prompt, "Prompt not stated"
    )
    return title if level is None else f"{LEVELS[level][0]}. {title}{', as stated' if prompt else ''}"


def codes_of(rows: Sequence[Row]) -> list[str]:
    """Return every category of the paper's Table 3, then any other code that a row was scored on."""
    return [*CATEGORIES, *sorted({code for row in rows for code in row.by_category} - set(CATEGORIES))]
