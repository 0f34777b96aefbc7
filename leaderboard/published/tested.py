"""Statements held against the findings of the ranked rows of one data set, by the paired tests of the board."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.rows import FindingRow
from leaderboard.published.facts import Facts
from leaderboard.published.statements import OTHERS, BoardStatement

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from harness.scoring.sizes import SizeCuts

    Members = NDArray[np.bool_]

#: A row of the table ``statement_tests``, but for its data set.
Test = dict[str, Any]


def hold_against(
    statements: Sequence[BoardStatement],
    rows: Mapping[str, Sequence[FindingRow]],
    facts: Mapping[str, Facts],
    *,
    cuts: SizeCuts | None = None,
    shown: Mapping[str, Collection[str]] | None = None,
) -> list[Test]:
    """Test every statement on the rows that it chooses; all tests of one statement share one error rate.

    Parameters
    ----------
    statements
        What to test.
    rows
        Run -> its findings, sorted; all on the same findings, best run first.
    facts
        Run -> what it declares.
    cuts
        Where size groups are divided; by default at the percentiles of these findings.
    shown
        Run -> the groups whose numbers may be shown, named as in the table ``metrics``; None for all of them.

    Returns
    -------
    list of dict
        One for each comparison. ``second`` is empty where a row is compared with a group or a number; ``p`` is None
        where a number may not be shown, a group is empty, or a row found nothing in either of two groups.
    """
    found: list[Test] = []
    for statement in statements:
        found += [
            {"statement": statement.id, "first": first, "second": second, **numbers}
            for first, second, numbers in _tests(statement, rows, facts, cuts, shown)
        ]
    return found


def runs_of(statements: Sequence[BoardStatement], facts: Mapping[str, Facts]) -> set[str]:
    """Return the runs that any of the statements compares with something."""
    pairs = (pair for statement in statements for pair in _pairs(statement, facts))
    return {run for pair in pairs for run in pair if run}


def _tests(
    statement: BoardStatement,
    rows: Mapping[str, Sequence[FindingRow]],
    facts: Mapping[str, Facts],
    cuts: SizeCuts | None,
    shown: Mapping[str, Collection[str]] | None,
) -> Iterator[tuple[str, str, Test]]:
    """Yield the two runs of each comparison (the second empty for a group or a number) and what came of it."""
    import numpy as np

    from harness.scoring.profiles import PROFILES
    from harness.scoring.summary import finding_values

    pairs = list(_pairs(statement, facts))
    if not pairs:
        return
    named = {"/".join(path) for path in statement.groups}
    allowed = {name: shown is None or named <= set(shown[name]) for name in facts}
    yield from ((*pair, _NOTHING) for pair in pairs if not all(allowed[name] for name in pair if name))
    pairs = [pair for pair in pairs if all(allowed[name] for name in pair if name)]
    values = {
        name: np.array(finding_values(rows[name], PROFILES["mlhc2025"])[statement.metric])
        for name in dict.fromkeys(name for pair in pairs for name in pair if name)
    }
    findings = next(iter(rows.values()))
    if pairs:
        yield from (
            (*pair, test) for pair, test in zip(pairs, _compared(statement, pairs, values, findings, cuts), strict=True)
        )


#: Of a comparison that may not be shown, or of which one side has no finding.
_NOTHING: Test = dict.fromkeys(("value", "other", "difference", "low", "high", "p", "n", "n_other"))


def _pairs(statement: BoardStatement, facts: Mapping[str, Facts]) -> Iterator[tuple[str, str]]:
    """Yield the runs that are compared, the second empty where a run is compared with a group or a number."""
    for first, one in facts.items():
        if not statement.rows.holds(one):
            continue
        if statement.than_rows is None:
            yield first, ""
            continue
        for second, other in facts.items():
            alike = (one.model, one.prompt) == (other.model, other.prompt) and bool(one.model)
            if first != second and statement.than_rows.holds(other) and (alike or not statement.same_model):
                yield first, second


def _compared(
    statement: BoardStatement,
    pairs: Sequence[tuple[str, str]],
    values: Mapping[str, NDArray[np.float64]],
    findings: Sequence[FindingRow],
    cuts: SizeCuts | None,
) -> list[Test]:
    """Return the numbers of every comparison; without a p-value where a group is too small for one."""
    import numpy as np

    from harness.scoring.simultaneous import compare_differences, compare_groups
    from harness.scoring.statistics import FEWEST

    group, than = _groups(statement, findings, cuts)
    clusters = [row.case for row in findings]
    ours = np.column_stack([values[first] for first, _ in pairs])
    if statement.than_group is not None:
        theirs, of_theirs = ours, than
    else:
        number = np.full(len(findings), statement.than or 0.0)
        theirs, of_theirs = np.column_stack([values.get(second, number) for _, second in pairs]), group
    n, n_other = int(group.sum()), int(of_theirs.sum())
    counts = {"n": n, "n_other": None if statement.than is not None else n_other}
    if min(n, n_other) < FEWEST:
        return [_NOTHING | counts for _ in pairs]
    if statement.than_group is not None:
        results = compare_groups(ours, group, than, clusters=clusters)
    else:  # what is tested is the difference beyond the margin
        cases = [case for case, inside in zip(clusters, group, strict=True) if inside]
        results = compare_differences(ours[group] - theirs[group] - statement.margin, clusters=cases)
    tests = []
    for result, a, b in zip(results, ours[group].T, theirs[of_theirs].T, strict=True):
        ends = (None, None) if result.ci95 is None else tuple(end + statement.margin for end in result.ci95)
        # A row that found nothing in two groups says nothing of them.
        silent = statement.than_group is not None and not a.any() and not b.any()
        numbers = {"value": float(a.mean()), "other": float(b.mean()), "low": ends[0], "high": ends[1]}
        found = {"difference": result.value + statement.margin, "p": None if silent else result.p}
        tests.append(_NOTHING | counts | numbers | found)
    return tests


def _groups(
    statement: BoardStatement, findings: Sequence[FindingRow], cuts: SizeCuts | None
) -> tuple[Members, Members]:
    """Return the findings of a statement's group, and those of the group that it is compared with."""
    import numpy as np

    from harness.scoring.summary import members_of

    every = members_of(findings, cuts)
    masks = np.zeros((2, len(findings)), bool)
    for place, path in enumerate(statement.groups):
        masks[int(place >= len(statement.group)), every.get(path, [])] = True
    return masks[0], ~masks[0] if statement.than_group == OTHERS else masks[1]
