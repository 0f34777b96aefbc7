"""Single findings: how well each row marks them, and which of them are hard, easy or disputed."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from leaderboard.board.board import DataSet, Row
from leaderboard.pages.page import file_name
from leaderboard.published.database import Published, PublishedFinding, PublishedScore

#: Rows that a case page lists for a finding.
ROWS_OF_CASE = 24


@dataclass(frozen=True)
class FindingView:
    """One finding and the rows that were scored on it, best first.

    Attributes
    ----------
    finding
        The finding.
    address
        Its place, seen from the list of cases.
    rows
        The best rows, best first; at most :data:`ROWS_OF_CASE`.
    more
        Rows left out.
    mean, best, worst
        Dice over all rows; 0 where there are none.
    """

    finding: PublishedFinding
    address: str
    rows: tuple[Row, ...]
    more: int
    mean: float
    best: float
    worst: float

    @property
    def spread(self) -> float:
        """How far the rows are apart."""
        return self.best - self.worst


@dataclass(frozen=True)
class CaseView:
    """One case and its findings."""

    id: str
    findings: tuple[FindingView, ...]


def case_views(published: Published, data: DataSet, rows: Sequence[Row]) -> list[CaseView]:
    """Gather the cases of an open data set, in its order; none of a closed one."""
    findings = published.findings(data.about.id)
    if not findings:
        return []
    scores = {finding.number: _Scores() for finding in findings}
    for row in rows:
        assert row.run is not None  # noqa: S101 - rows of a data set are runs
        for number, dice in published.dice(row.run.id):
            scores[number].add(row, dice)
    by_case: dict[str, list[PublishedFinding]] = {}
    for finding in findings:
        by_case.setdefault(finding.case, []).append(finding)
    return [
        CaseView(
            case,
            tuple(
                _finding(finding, scores[finding.number], f"{data.about.id}-{file_name(case)}.html#finding-{place}")
                for place, finding in enumerate(members, 1)
            ),
        )
        for case, members in by_case.items()
    ]


class _Scores:
    """The rows of one finding: every Dice, and the best rows."""

    def __init__(self) -> None:
        self.dice: list[float] = []
        self._best: list[tuple[Row, float]] = []

    def add(self, row: Row, dice: float) -> None:
        self.dice.append(dice)
        self._best.append((row, dice))
        if len(self._best) >= 2 * ROWS_OF_CASE:
            self._best = self._sorted()

    def best(self) -> tuple[Row, ...]:
        """Return the best :data:`ROWS_OF_CASE`, best first."""
        return tuple(row for row, _ in self._sorted())

    def _sorted(self) -> list[tuple[Row, float]]:
        def key(one: tuple[Row, float]) -> tuple[float, str, str, str]:
            row, dice = one
            return -dice, row.title, row.variant, row.run.id if row.run else ""

        return sorted(self._best, key=key)[:ROWS_OF_CASE]


def _finding(finding: PublishedFinding, scores: _Scores, address: str) -> FindingView:
    dice = scores.dice or [0.0]
    return FindingView(
        finding=finding,
        address=address,
        rows=scores.best(),
        more=max(0, len(scores.dice) - ROWS_OF_CASE),
        mean=statistics.fmean(dice),
        best=max(dice),
        worst=min(dice),
    )


def described(
    case: CaseView,
    data_set: str,
    pictures: Mapping[tuple[str, str, str], Any],
    undrawn: Mapping[tuple[str, ...], str],
) -> list[dict[str, Any]]:
    """Return the input of a case's page for each of its findings, with its picture, or why there is none.

    The rows of a finding are without their scores, which :func:`scored` adds.
    """
    found: list[dict[str, Any]] = []
    for view in case.findings:
        key = data_set, case.id, view.finding.finding
        picture = pictures.get(key)
        found.append(
            {
                "about": view.finding,
                "rows": view.rows,
                "more": view.more,
                "picture": picture,
                "undrawn": undrawn.get(key, ""),
                "view": 1 + sum(one["picture"] is not None for one in found),  # as the page's script counts viewers
                "drawn": [layer["id"] for layer in picture.sheet["layers"]] if picture else [],
            }
        )
    return found


def scored(published: Published, case: str, findings: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what :func:`described` does of a case, each row with its score."""
    found: dict[str, dict[int, PublishedScore]] = {}
    for row in (row for finding in findings for row in finding["rows"] if row.run):
        if row.run.id not in found:
            found[row.run.id] = published.scores(row.run.id, case)
    return [
        {**finding, "rows": [(row, found[row.run.id][finding["about"].number]) for row in finding["rows"]]}
        for finding in findings
    ]


def disputed(cases: Sequence[CaseView]) -> list[FindingView]:
    """Return every finding that was scored, the most disputed first."""
    views = [view for case in cases for view in case.findings if view.rows]
    return sorted(views, key=lambda view: (-view.spread, view.finding.number))
