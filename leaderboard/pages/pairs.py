"""Two rows beside each other: by how much and how surely one is better, on which findings, categories and sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Final

from leaderboard.board.board import DataSet, Row, Score
from leaderboard.board.columns import SIZES
from leaderboard.board.comparisons import conclusion
from leaderboard.pages import figures
from leaderboard.pages.page import file_name, label, signed
from leaderboard.pages.site import Pages, Render, Site
from leaderboard.pages.why import MOST, Judged, addresses, reason
from leaderboard.published.database import Pair, PublishedFinding, PublishedScore
from leaderboard.published.kept import digest_of

#: Rows of a data set whose pairs have pages, best first.
ROWS: Final = 24


@dataclass(frozen=True)
class Group:
    """One group of findings: the numbers of both rows, and how far they are apart."""

    name: str
    n: int | None
    first: Score
    second: Score

    @property
    def difference(self) -> float | None:
        """The first minus the second; None where either has no number."""
        if self.first.value is None or self.second.value is None:
            return None
        return self.first.value - self.second.value


@dataclass(frozen=True)
class Sides:
    """Findings on which either row is better: how many, and those of the largest differences."""

    first: int
    second: int
    equal: int
    for_first: list[Judged]
    for_second: list[Judged]


def pair_address(first: str, second: str) -> str:
    """Return the path of the page of two runs."""
    return f"compare/{file_name(first)}--{file_name(second)}.html"


def pages_of_pairs(site: Site) -> dict[str, list[Pair]]:
    """Return the pairs of every data set that have a page of their own: those of its best rows."""
    found = {}
    for name, pairs in site.pairs.items():
        best = list(dict.fromkeys(run for pair in pairs for run in (pair.first, pair.second)))[:ROWS]
        found[name] = [pair for pair in pairs if {pair.first, pair.second} <= {*best}]
    return found


def groups(data: DataSet, first: Row, second: Row) -> dict[str, list[Group]]:
    """Return both rows by category and by size, without groups of which neither has a number."""
    by_category = [
        Group(name, first.category(code).n, first.category(code), second.category(code))
        for code, name in figures.category_groups(data)
    ]
    by_size = []
    for key, name in SIZES.items():
        ours, theirs = (row.by_size.get(key, Score()) for row in (first, second))
        by_size.append(Group(name, ours.n, ours, theirs))
    every = {"category": by_category, "size": by_size}
    return {kind: [one for one in found if one.difference is not None] for kind, found in every.items()}


def sides(
    findings: Sequence[PublishedFinding],
    places: Mapping[int, str],
    rows: tuple[Row, Row],
    scores: tuple[Mapping[int, PublishedScore], Mapping[int, PublishedScore]],
) -> Sides:
    """Return where each of two rows is better, the largest differences first."""
    ours, theirs = scores
    shared = ours.keys() & theirs.keys()
    both = [(ours[f.number].dice - theirs[f.number].dice, f) for f in findings if f.number in shared]

    def worst_of(row: int, order: int) -> list[Judged]:
        chosen = sorted((order * difference, finding.number, finding) for difference, finding in both)
        return [
            Judged(
                finding,
                places[finding.number],
                scores[1 - row][finding.number].dice,
                reason(rows[row], finding, scores[row][finding.number]),
                scores[row][finding.number].dice,
            )
            for difference, _, finding in chosen[:MOST]
            if difference < 0
        ]

    better = sum(difference > 0 for difference, _ in both)
    worse = sum(difference < 0 for difference, _ in both)
    return Sides(better, worse, len(both) - better - worse, worst_of(1, -1), worst_of(0, 1))


def _shown(pair: Pair) -> str:
    """Return what a page shows of a comparison: three decimals."""
    ends = [None if end is None else signed(end) for end in (pair.low, pair.high)]
    return repr((pair.first, pair.second, signed(pair.difference), ends, conclusion(pair), pair.n))


def pairs(site: Site, render: Render) -> Pages:
    """Yield the page of every pair of the best rows."""
    for data in site.board:
        yield from _of_data_set(site, render, data)


def _of_data_set(site: Site, render: Render, data: DataSet) -> Pages:
    rows = {row.run.id: row for row in data.rows if row.run}
    findings = site.published.findings(data.about.id)
    places = addresses(findings)

    @cache
    def scores(run: str) -> dict[int, PublishedScore]:
        return site.published.scores(run) if findings else {}

    def make(pair: Pair) -> tuple[str, str]:
        both = rows[pair.first], rows[pair.second]

        def values() -> dict[str, Any]:
            each = scores(pair.first), scores(pair.second)
            return {
                "root": "../",
                "data": data,
                "first": both[0],
                "second": both[1],
                "groups": groups(data, *both),
                "sides": sides(findings, places, both, each) if findings else None,
            }

        own = [site.own_digests[run] for run in (pair.first, pair.second)]
        return render(
            pair_address(pair.first, pair.second),
            "pair.html.j2",
            f"{label(both[0])} beside {label(both[1])}",
            also=["compare.html"],
            description=f"{conclusion(pair)}: mean Dice {pair.difference:+.3f} on the findings of {pair.n} cases.",
            data=data,
            pair=pair,
            first=both[0],
            second=both[1],
            verdict=conclusion(pair),
            details=site.fragment("pair_details.html.j2", (*seen, *own), values),
        )

    seen = repr(data.about), digest_of(repr(findings)), [code for code, _ in figures.category_groups(data)]
    for pair in pages_of_pairs(site)[data.about.id]:
        inputs = *seen, _shown(pair), [site.row_digests[run] for run in (pair.first, pair.second)]
        yield pair_address(pair.first, pair.second), site.page(inputs, partial(make, pair))
