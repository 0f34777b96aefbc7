"""What may be published about a private split: sums over enough findings, and nothing about a single one.

A cell of fewer than :data:`ENOUGH` findings is left out. Since the cells of a run add up (the categories to their
half, the halves and the sizes to the whole), a cell is also left out where the missing one could be worked out from it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.categories import is_focal
from harness.dataset.terms import Terms, strictest, terms_of
from harness.errors import DataError
from harness.redaction import without_places
from harness.rows import FindingRow, RunRow
from harness.scoring.groups import GROUPINGS, SHARED
from harness.scoring.placement import APART, NO_MASK
from harness.status import Status

#: Fewest findings (or cases) behind a published number of a closed split.
ENOUGH = 5

#: All findings without a valid mask, where their statuses may not be shown.
NOT_OK = "not ok"

#: What a run's record may contain about a closed split: never a path, a case, or anything that a container wrote.
_RECORD = frozenset(
    {
        "content",
        "contract",
        "scorer",
        "seed",
        "card",
        "exposure",
        "level",
        "sees",
        "limits",
        "model",
        "licences",
        "image",
        "engine",
        "hardware",
        "harness",
        "dataset",
        "data",
        "weights",
    }
)
_PLAN = frozenset(
    {"card", "contract", "plugin", "plugin_version", "variant", "params", "image", "weights", "limit", "seed", "scorer"}
)
_CASE_TIMES = (
    *("case_median_s", "case_p95_s"),
    *("told_read_s", "told_compute_s", "told_write_s", "told_wait_s", "told_compute_p95_s"),
)


@dataclass(frozen=True)
class PrivacyPolicy:
    """Who will see the site.

    Attributes
    ----------
    public
        Whether the site is public; otherwise everything in the database may be shown.
    open_splits
        Splits whose single cases may be shown on a public site. Every other split is closed.
    terms
        Fingerprint of a data set -> its terms of today, in place of those that its runs recorded.
    """

    public: bool = False
    open_splits: frozenset[str] = frozenset()
    terms: Mapping[str, Terms] = field(default_factory=dict)

    def opens(self, split: str) -> bool:
        """Return whether single cases of `split` may be shown."""
        return not self.public or split in self.open_splits


def terms_of_runs(runs: Sequence[RunRow], cases: Iterable[str], policy: PrivacyPolicy) -> Terms:
    """Return the terms of the data set of some runs, by content: today's where it is at hand, else the strictest.

    Parameters
    ----------
    runs
        Runs on one split of one data set.
    cases
        The names of its cases.
    policy
        With today's terms of the data sets that are at hand.
    """
    if (today := policy.terms.get(runs[0].fingerprint)) is not None:
        return today
    recorded = [run.record.get("dataset", {}) for run in runs]
    stated = strictest([Terms.model_validate(one.get("terms", {})) for one in recorded])
    licences = dict.fromkeys(str(one["licence"]) for one in recorded if one.get("licence"))
    return terms_of(stated, cases, " / ".join(licences) or None)


def not_allowed(what: str, lacking: Sequence[str]) -> DataError:
    """Return the error for data whose terms do not allow what a public site would show; `lacking` as of `Terms`."""
    names = ", ".join(f'"{one.partition(":")[0]}": "yes"' for one in lacking)
    return DataError(
        f"the terms of {what} do not allow a public site to show it ({', '.join(lacking)})",
        fix="leave it out, or, where its owner allows it, name the data set with --dataset after stating that in its "
        f'groundbench.json: "terms": {{{names}}}',
    )


#: What :func:`hidden_text` returns.
HIDDEN_TEXT = re.compile(r"\(text not published; SHA-256 [0-9a-f]{16}\)")


def hidden_text(text: str) -> str:
    """Return what stands in place of a text that may not be published: its digest, so that rows can be compared."""
    return f"(text not published; SHA-256 {hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:16]})"


#: Words in a row that two texts have in common before one quotes the other.
_QUOTE = 3

#: What stands in place of a reason that quotes a text.
QUOTES = "(reason not published: it quotes the text of a finding)"


def without_texts(reason: str, texts: Iterable[str]) -> str:
    """Return a reason, written by a model perhaps, as it may be published where these texts may not be."""
    said = f" {' '.join(_words(reason))} "
    for text in texts:
        words = _words(text)
        length = min(_QUOTE, len(words))
        runs = (" ".join(words[start : start + length]) for start in range(len(words) - length + 1))
        if any(run and f" {run} " in said for run in runs):
            return QUOTES
    return reason


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def provenance(run: RunRow, policy: PrivacyPolicy) -> dict[str, dict[str, Any]]:
    """Return what may be published about how a run was made: its plan, record and timing.

    What was run on which kind of machine is public; paths and host names are not.
    """
    timing = {key: value for key, value in run.timing.items() if key != "containers"}
    if not policy.public:
        return {"plan": run.plan, "record": run.record, "timing": timing}
    plan, record = run.plan, run.record
    if not policy.opens(run.split):
        plan = {key: value for key, value in plan.items() if key in _PLAN}
        record = {key: value for key, value in record.items() if key in _RECORD}
        for name in ("first_case_s", "by_hardware"):  # of a single case, or of few, however many there are
            timing.pop(name, None)
        if run.n_cases < ENOUGH:
            timing = {key: value for key, value in timing.items() if key not in _CASE_TIMES}
    return {"plan": without_places(plan), "record": without_places(record), "timing": timing}


def publishable(groups: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Leave out the groups of one metric that would reveal fewer than :data:`ENOUGH` findings.

    Those of :mod:`harness.scoring.groups` overlap each other, so that two of them can differ in a single finding: none
    of them is ever given of a closed split.

    Parameters
    ----------
    groups
        Group (``all``, ``focal``, ``by_category/1a``, ...) -> ``{"value", "ci95", "n"}``.
    """
    counts = {group: cell["n"] for group, cell in groups.items()}
    total = counts.get("all", 0)
    if total < ENOUGH:
        return {}
    halves: dict[str, int] = {name: counts[name] for name in ("focal", "non_focal") if name in counts}
    hidden = _hidden({**halves, "neither": total - sum(halves.values())})
    categories = [group for group in counts if group.startswith("by_category/")]
    for half in halves:
        inside = {group: counts[group] for group in categories if is_focal(group[-2:]) == (half == "focal")}
        hidden |= set(inside) if half in hidden else _hidden(inside)
    sizes = {group: counts[group] for group in counts if group.startswith("by_size/")}
    hidden |= _hidden({**sizes, "unknown": total - sum(sizes.values())})
    hidden |= {group for group in ("per_case",) if 0 < counts.get(group, 0) < ENOUGH}
    return {group: cell for group, cell in groups.items() if group not in hidden}


def without_few(groups: Mapping[str, Mapping[str, Any]], rows: Sequence[FindingRow]) -> dict[str, Mapping[str, Any]]:
    """Leave out, of a metric on an open split, what a public site does not tell of fewer than :data:`ENOUGH` cases.

    Single scores may be shown there; whom a text speaks of, and what it says, may not.

    Parameters
    ----------
    groups
        As of :func:`publishable`; only those of :mod:`harness.scoring.groups` are left out, each with as many more
        of its kind as hide their sum.
    rows
        The findings that they summarise.
    """
    hidden: set[str] = set()
    for grouping in (one for one in GROUPINGS if one.key != SHARED):  # which scans are shared, their names tell
        cases: dict[str, set[str]] = {}
        for row in rows:
            cases.setdefault(f"{grouping.key}/{grouping.label(row)}", set()).add(row.case)
        hidden |= _hidden({group: len(of) for group, of in cases.items()})
    return {group: cell for group, cell in groups.items() if group not in hidden}


def publishable_coverage(counts: Mapping[str, int], total: int) -> dict[str, int | None]:
    """Fold how many findings ended in which way, so that no number reveals fewer than :data:`ENOUGH`.

    Parameters
    ----------
    counts
        Findings by status.
    total
        Findings of the split, known to everybody; those without a status are not ok either.

    Returns
    -------
    dict
        Findings that are ``"ok"`` and ``"not ok"``. One of 1 to 4 is None, and the other is left out, since it would
        give the first; nothing at all where `total` is below :data:`ENOUGH`.
    """
    ok = counts.get(Status.OK, 0)
    parts: dict[str, int] = {Status.OK: ok, NOT_OK: total - ok}
    if total < ENOUGH:
        return {}
    small = [name for name, n in parts.items() if 0 < n < ENOUGH]
    return {small[-1]: None} if small else {name: n for name, n in parts.items() if n}


def publishable_placements(counts: Mapping[str, int]) -> dict[str, int | None]:
    """Leave out how many findings have a placement where it would reveal fewer than :data:`ENOUGH`.

    Parameters
    ----------
    counts
        Findings by placement, all of a split.

    Returns
    -------
    dict
        The same with None in place of a number that is not shown: one of 1 to 4, and any other from which it would
        follow. Nothing at all where even the sums are of so few.
    """
    parts = {name: n for name, n in counts.items() if name not in APART}
    judged, without = sum(parts.values()), parts[NO_MASK]
    sums = (*(counts[name] for name in APART), judged, judged - without)
    if any(0 < n < ENOUGH for n in sums):
        return {}
    if not any(0 < n < ENOUGH for n in (without, sum(counts.values()) - without)):
        del parts[NO_MASK]  # the coverage tells it
    hidden = _hidden(parts)
    return {name: None if name in hidden else n for name, n in counts.items()}


def _hidden(parts: Mapping[str, int]) -> set[str]:
    """Choose the parts of a known sum to leave out: the small ones, and as many more as hide their sum too."""
    hidden = {name for name, n in parts.items() if 0 < n < ENOUGH}
    others = iter(sorted((n, name) for name, n in parts.items() if n >= ENOUGH))
    while 0 < _total(parts, hidden) < ENOUGH:
        following = next(others, None)
        if following is None:
            break
        hidden.add(following[1])
    return hidden


def _total(parts: Mapping[str, int], names: Iterable[str]) -> int:
    return sum(parts[name] for name in names)
