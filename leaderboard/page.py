"""Draw the board as one HTML page that stands alone: style and script inside, nothing loaded from anywhere.

Names and texts of a run are whatever its author wrote. They reach the page through Jinja's escaping only, and the page
forbids, by its content security policy, every script and style but the two that were put there, known by their hash.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.categories import CATEGORIES
from leaderboard.board import COLUMNS, DataSet, Entry, Score
from leaderboard.reported import Reported

#: What stands where there is no number.
NOTHING = "—"

#: Longest name or reason that is shown whole, in characters.
LONGEST_TEXT = 160

#: Width of an interval's drawing and the margin at both its ends, in CSS pixels.
WHISKER_WIDTH, WHISKER_MARGIN = 112, 4


@dataclass(frozen=True)
class Whisker:
    """An interval as horizontal positions in a drawing of :data:`WHISKER_WIDTH`, in CSS pixels."""

    low: float
    value: float
    high: float


def render_index(data_sets: Sequence[DataSet], reported: Reported) -> str:
    """Render the front page: one ranking a data set, what stands apart, and the paper's rows."""
    style, script = _asset("site.css"), _asset("sort.js")
    environment = Environment(
        loader=PackageLoader("leaderboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        three=three_decimals,
        seconds=readable_seconds,
        memory=readable_bytes,
        digest=short_digest,
        brief=brief,
        status=lambda name: brief(name.replace("_", " ")),
    )
    environment.globals.update(
        columns=COLUMNS,
        categories=CATEGORIES,
        nothing=NOTHING,
        anchor=anchor,
        counts_of=counts_of,
        category_n=category_n,
        whisker=whisker,
        whisker_width=WHISKER_WIDTH,
        scale_of=scale_of,
        groups_of=groups_of,
        codes_of=codes_of,
    )
    page: dict[str, Any] = {
        "data_sets": data_sets,
        "reported": reported,
        "newest": max((entry.run.created for data in data_sets for entry in _rows(data) if entry.run), default=""),
        "style": Markup(style),  # noqa: S704 - ours, from the package
        "script": Markup(script),  # noqa: S704 - idem
        "style_hash": _csp_hash(style),
        "script_hash": _csp_hash(script),
    }
    return environment.get_template("index.html.j2").render(page)


def brief(text: str) -> str:
    """Cut a text that would bury the page, and show that it was cut."""
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"


def three_decimals(value: float | None) -> str:
    """Write a score with three decimals, or a dash where there is none."""
    return NOTHING if value is None else f"{value:.3f}"


def readable_seconds(value: float | None) -> str:
    """Write a duration in seconds with two or three significant digits."""
    if value is None:
        return NOTHING
    if value < 0.01:
        return "< 0.01"
    return f"{value:.2f}" if value < 1 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def readable_bytes(value: int | None) -> str:
    """Write a number of bytes in MB or GB."""
    if value is None:
        return NOTHING
    return f"{value / 1e6:.0f} MB" if value < 1e9 else f"{value / 1e9:.1f} GB"


def short_digest(value: str) -> str:
    """Shorten a digest to its first twelve characters, without the name of the algorithm."""
    return value.rpartition(":")[2][:12] or NOTHING


def anchor(data: DataSet) -> str:
    """Name a data set's section; stays the same as long as the data do."""
    return "data-" + hashlib.sha256(f"{data.fingerprint}\n{data.split}".encode()).hexdigest()[:8]


def common_n(scores: Sequence[Score]) -> int | None:
    """Return the n that all numbers of a column share, or None where they differ or nobody knows."""
    known = {score.n for score in scores if score.n is not None}
    return known.pop() if len(known) == 1 else None


def counts_of(entries: Sequence[Entry]) -> dict[str, int | None]:
    """Return each column's common n, by :attr:`Column.key`."""
    return {column.key: common_n([entry.scores[column.key] for entry in entries]) for column in COLUMNS}


def category_n(entries: Sequence[Entry], code: str) -> int | None:
    """Return the n that all rows share on one category, or None."""
    return common_n([entry.category(code) for entry in entries])


def scale_of(entries: Sequence[Entry]) -> float:
    """Return where a table's drawings end: the highest average or end of its interval, up to the next tenth."""
    tops = [score.high or score.value or 0.0 for score in (entry.scores["average"] for entry in entries)]
    return max(0.1, math.ceil(max(tops, default=0.0) * 10 - 1e-9) / 10)


def whisker(score: Score, scale: float) -> Whisker | None:
    """Place a value and its interval on an axis from 0 to `scale`; None where there is no interval."""
    if score.value is None or score.low is None or score.high is None:
        return None
    low, value, high = (
        round(WHISKER_MARGIN + number / scale * (WHISKER_WIDTH - 2 * WHISKER_MARGIN), 1)
        for number in (score.low, score.value, score.high)
    )
    return Whisker(low, value, high)


def groups_of(entries: Sequence[Entry]) -> list[tuple[str, list[Entry]]]:
    """Keep rows that were shown where to look from those that were only told; a group without rows is left out."""
    groups = [
        ("Text-only", [entry for entry in entries if not entry.boxed]),
        ("Box-prompted: boxes made from the ground truth", [entry for entry in entries if entry.boxed]),
    ]
    return [(title, rows) for title, rows in groups if rows]


def codes_of(entries: Sequence[Entry]) -> list[str]:
    """Return every category of the paper's Table 3, then any other code that a row was scored on."""
    return [*CATEGORIES, *sorted({code for entry in entries for code in entry.by_category} - set(CATEGORIES))]


def _rows(data: DataSet) -> tuple[Entry, ...]:
    return data.ranked + data.apart


def _asset(name: str) -> str:
    return resources.files("leaderboard").joinpath("assets", name).read_text(encoding="utf-8")


def _csp_hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
