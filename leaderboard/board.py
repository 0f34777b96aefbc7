"""What the board says: every run of the database sorted into data sets, rankings and what stands apart from them.

Nothing here knows of HTML. One data set, by content and split, is one ranking; within it box-prompted rows are kept
from the text-only ones, and a run that may not be ranked is kept with its reasons instead of being dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.contract import Status
from harness.store import RunRow, Store

#: The profile whose metrics the board shows: the paper's.
PROFILE = "mlhc2025"


@dataclass(frozen=True)
class Column:
    """One column of the paper's Table 4: its name, and the metric and group it shows."""

    key: str
    title: str
    metric: str
    group: str


COLUMNS = (
    Column("non_focal", "Non-focal", "dice", "non_focal"),
    Column("focal", "Focal", "dice", "focal"),
    Column("average", "Average", "dice", "all"),
    Column("hit5", "HIT5", "hit5", "all"),
    Column("hit10", "HIT10", "hit10", "all"),
)


@dataclass(frozen=True)
class Score:
    """One number of the board; `value` is None where there is none to show.

    Attributes
    ----------
    value
        Between 0 and 1.
    low, high
        Ends of the 95 % confidence interval.
    n
        Findings behind the number; None where the source does not say.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None


@dataclass(frozen=True)
class Coverage:
    """How many findings of the split got a valid mask, and what became of the others.

    Attributes
    ----------
    ok, total
        Findings with a valid mask, findings of the split.
    others
        Status -> findings, for every other status; findings without any record are ``"not recorded"``.
    """

    ok: int
    total: int
    others: Mapping[str, int]


@dataclass(frozen=True)
class Cost:
    """What inference took, scoring apart; None where nothing was recorded.

    Attributes
    ----------
    median_s, p95_s
        Seconds a case: median and 95th percentile.
    host_bytes, device_bytes
        Peak memory of the process or its container, and of a GPU.
    """

    median_s: float | None = None
    p95_s: float | None = None
    host_bytes: int | None = None
    device_bytes: int | None = None


@dataclass(frozen=True)
class Entry:
    """One row of the board.

    Attributes
    ----------
    kind
        ``"measured"``, ``"submitted"`` or ``"reported"``.
    title, variant
        Name for people; the variant's name, empty for reported rows.
    prompt, fine_tuned
        How it is told what to find; whether it was trained on this data set's training split.
    scores, by_category
        By :attr:`Column.key`; by category code.
    run, coverage, cost
        Provenance; None for reported rows.
    reasons
        Why it stands in no ranking; empty for a ranked row.
    """

    kind: str
    title: str
    variant: str
    prompt: str
    fine_tuned: bool
    scores: Mapping[str, Score]
    by_category: Mapping[str, Score] = field(default_factory=dict)
    run: RunRow | None = None
    coverage: Coverage | None = None
    cost: Cost | None = None
    reasons: tuple[str, ...] = ()

    @property
    def boxed(self) -> bool:
        """Whether boxes made from the ground truth told it where to look."""
        return self.prompt == "box"

    def category(self, code: str) -> Score:
        """Return the mean Dice on one category; scored runs have n = 0 on a category that the split does not hold."""
        return self.by_category.get(code, Score(n=0 if self.by_category else None))

    @property
    def hardware(self) -> list[str]:
        """Name the GPUs that were used, else the processor; empty where nothing was recorded."""
        recorded = self.run.record.get("hardware", {}) if self.run else {}
        gpus = [gpu["name"] for gpu in recorded.get("gpus", [])]
        if gpus:
            return [f"{gpus.count(name)} x {name}" for name in dict.fromkeys(gpus)]
        return [f"{recorded['cpu']}, {recorded['cores']} cores"] if "cpu" in recorded else []


@dataclass(frozen=True)
class DataSet:
    """The rows of one split of one data set.

    Attributes
    ----------
    names
        Every name under which runs knew this content.
    fingerprint, split
        What it is, by content.
    n_cases, n_findings
        Size of the whole split.
    ranked
        Comparable rows: text-only ones, then box-prompted ones; in each group best average Dice first.
    apart
        Rows that may not be ranked, oldest first.
    """

    names: tuple[str, ...]
    fingerprint: str
    split: str
    n_cases: int
    n_findings: int
    ranked: tuple[Entry, ...]
    apart: tuple[Entry, ...]


def read_board(store: Store) -> list[DataSet]:
    """Sort every run of `store` into data sets, the one with most findings first."""
    runs = store.runs()
    replaced_by = _replacements(runs)
    by_content: dict[tuple[str, str], list[RunRow]] = {}
    for run in runs:
        by_content.setdefault((run.fingerprint, run.split), []).append(run)
    data_sets = [
        _data_set(group, [_entry(store, run, replaced_by.get(run.id)) for run in group])
        for group in by_content.values()
    ]
    return sorted(data_sets, key=lambda data: (-data.n_findings, data.names, data.fingerprint, data.split))


def scores_from(metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, Score]:
    """Pick the board's columns out of one profile's metrics; a missing one gives an empty :class:`Score`."""
    return {column.key: _score(metrics.get(column.metric, {}).get(column.group)) for column in COLUMNS}


def rank(entries: Iterable[Entry]) -> list[Entry]:
    """Order rows by group and average Dice, best first; rows without one come last in it, equal ones by name."""

    def key(entry: Entry) -> tuple[bool, bool, float, str, str, str]:
        value = entry.scores["average"].value
        return (
            entry.boxed,
            value is None,
            -(value or 0.0),
            entry.title,
            entry.variant,
            entry.run.id if entry.run else "",
        )

    return sorted(entries, key=key)


def _replacements(runs: Sequence[RunRow]) -> dict[str, str]:
    """Map each finished, rankable run that has a newer one of the same entrant and data to the newest of these."""
    keys = {
        run.id: (run.kind, run.plugin, run.variant, run.fingerprint, run.split)
        for run in runs
        if run.rankable and run.state == "done"
    }
    newest = {key: run_id for run_id, key in keys.items()}
    return {run_id: newest[key] for run_id, key in keys.items() if newest[key] != run_id}


def _data_set(runs: Sequence[RunRow], entries: Sequence[Entry]) -> DataSet:
    whole = max(runs, key=lambda run: run.n_findings)
    return DataSet(
        names=tuple(sorted({run.dataset for run in runs})),
        fingerprint=whole.fingerprint,
        split=whole.split,
        n_cases=whole.n_cases,
        n_findings=whole.n_findings,
        ranked=tuple(rank(entry for entry in entries if not entry.reasons)),
        apart=tuple(entry for entry in entries if entry.reasons),
    )


def _entry(store: Store, run: RunRow, replaced_by: str | None) -> Entry:
    metrics = store.metrics(run.id, PROFILE)
    by_category = metrics.get("dice", {}).get("by_category", {})
    return Entry(
        kind=run.kind,
        title=run.title or run.plugin,
        variant=run.variant,
        prompt=run.prompt,
        fine_tuned=run.fine_tuned,
        scores=scores_from(metrics),
        by_category={code: _score(cell) for code, cell in by_category.items()},
        run=run,
        coverage=_coverage(store.coverage(run.id), run.n_findings),
        cost=_cost(run.timing),
        reasons=tuple(_reasons(store, run, replaced_by)),
    )


def _reasons(store: Store, run: RunRow, replaced_by: str | None) -> list[str]:
    reasons = list(run.unrankable)
    if not run.rankable and not reasons:
        reasons.append("not rankable; the reason was not recorded")
    if run.state != "done":
        scored = sum(case.scored for case in store.cases(run.id))
        reasons.append(f"{run.state}: {scored} of {run.n_cases} cases scored")
    if replaced_by:
        reasons.append(f"replaced by the newer run {replaced_by}")
    return reasons


def _score(cell: Mapping[str, Any] | None) -> Score:
    if cell is None:
        return Score()
    if cell["n"] == 0 or cell["value"] is None:
        return Score(n=cell["n"])
    # Resampling a single finding gives an interval of no width, which would look like certainty.
    low, high = cell["ci95"] if cell["ci95"] and cell["n"] != 1 else (None, None)
    return Score(cell["value"], low, high, cell["n"])


def _coverage(counts: Mapping[str, int], n_findings: int) -> Coverage:
    recorded = sum(counts.values())
    total = max(recorded, n_findings)
    others = {status: n for status, n in counts.items() if status != Status.OK}
    if total > recorded:
        others["not recorded"] = total - recorded
    return Coverage(ok=counts.get(Status.OK, 0), total=total, others=others)


def _cost(timing: Mapping[str, Any]) -> Cost:
    return Cost(
        median_s=timing.get("case_median_s"),
        p95_s=timing.get("case_p95_s"),
        host_bytes=timing.get("peak_host_bytes") or timing.get("peak_container_bytes"),
        device_bytes=timing.get("peak_device_bytes"),
    )
