"""The content of a board: the runs of a site by data set, ranked or set apart.

Nothing here knows of HTML. One data set, by content and split, is one ranking; within it box-prompted rows are kept
from the text-only ones, and a run that may not be ranked is kept with its reasons instead of being dropped.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any

from harness.registry.declaration import Prompt
from harness.runs.claims import exposure_of
from harness.runs.seeds import BoxSeeds, collect, same_but_seed
from harness.scoring.groups import names_of
from harness.scoring.simultaneous import too_few
from harness.status import RowLevel, Status
from leaderboard.board.columns import COLUMNS, MORE, PAPER
from leaderboard.board.row_numbers import RowNumbers
from leaderboard.published import facts
from leaderboard.published.database import DataSetRow, Published, PublishedRun, Rank
from leaderboard.published.standing import Standing, standing_of, stands

#: The models that read no voxel of a CT (plugins/controls): the floor of those that are prompted with boxes.
CONTROLS = frozenset({"box", "ellipsoid"})

#: The known answers (plugins/known_answer) that deliver the reference, and those that use nothing of it.
CEILING, FLOOR = frozenset({"oracle"}), frozenset({"empty", "full"})

#: Fewest findings (or cases) for which an interval is shown, or for which a closed split shows the number.
FEWEST = 5

#: Every ranking, in the order in which they are shown.
STANDINGS: tuple[Standing, ...] = tuple(
    (level, prompt)
    for level in (None, RowLevel.RESCORED, RowLevel.REPORTED)
    for prompt in (Prompt.TEXT, Prompt.BOX, "")
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
    n, cases
        Findings behind the number, and the cases that they are in; None where the source does not state it.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    cases: int | None = None

    @property
    def basis(self) -> str:
        """Say how many findings of how many cases are behind the number; empty where it is not known."""
        if self.n is None:
            return ""
        if not self.cases:
            return str(self.n)
        cases = "1 case" if self.cases == 1 else f"{self.cases} cases"
        return cases if self.n == self.cases else f"{self.n} in {cases}"


@dataclass(frozen=True)
class Coverage:
    """How many findings of the split got a valid mask, and what became of the others.

    Attributes
    ----------
    ok, total
        Findings with a valid mask, None where that may not be shown; findings of the split.
    others
        Status -> findings, for every other status, None for one to four, which may not be shown; findings without any
        record are ``"not recorded"``.
    """

    ok: int | None
    total: int
    others: Mapping[str, int | None]

    @property
    def least(self) -> int:
        """The fewest findings that got a valid mask, as far as it may be shown."""
        if self.ok is not None:
            return self.ok
        return max(1, self.total - FEWEST + 1) if self.others else 1

    @property
    def shown(self) -> str:
        """Return how many of the findings got a valid mask, as exactly as may be shown."""
        if self.ok is not None:
            return f"{self.ok}/{self.total}"
        return f"at least {self.least}/{self.total}" if self.others else f"fewer than {FEWEST}/{self.total}"


@dataclass(frozen=True)
class Cost:
    """What inference took, scoring apart; None where nothing was recorded.

    Attributes
    ----------
    wall_s, container_bytes, gpu_bytes
        Measured from outside: seconds that the containers lived over the cases that they delivered, peak memory of a
        container, and of a GPU as the driver counts it.
    median_s, p95_s
        Seconds a case as the model's events divide the time: median and 95th percentile.
    compute_s, compute_p95_s, wait_s, read_s, write_s
        The model's own word of the seconds of a case in which it computed, median and 95th percentile, in which it
        waited for CTs and masks, and which reading and writing these took; None where it does not tell.
    host_bytes, device_bytes, load_device_bytes
        The model's own word of the peak memory of its process, of a GPU during a case, and while loading.
    gpu_busy
        Share of the time in which the GPU computed, as the driver counts it; from 0 to 1.
    """

    wall_s: float | None = None
    container_bytes: int | None = None
    gpu_bytes: int | None = None
    median_s: float | None = None
    p95_s: float | None = None
    compute_s: float | None = None
    compute_p95_s: float | None = None
    wait_s: float | None = None
    read_s: float | None = None
    write_s: float | None = None
    gpu_busy: float | None = None
    host_bytes: int | None = None
    device_bytes: int | None = None
    load_device_bytes: int | None = None

    @property
    def peak_bytes(self) -> int | None:
        """The measured peak memory: of a GPU where one was used, else of the container."""
        return self.gpu_bytes or self.container_bytes


@dataclass(frozen=True)
class Licences:
    """Under which licences a model is used, as its run recorded them.

    Attributes
    ----------
    code, sources
        Licence of the code, empty where it is not stated; name -> licence of what its image is built from.
    weights
        Name -> ``licence`` and ``note`` of each file.
    commercial
        Whether all of them allow commercial use: ``"yes"``, ``"no"`` or ``"unknown"``.
    """

    code: str = ""
    sources: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    commercial: str = "unknown"

    @property
    def of_code(self) -> str:
        """Name the licences of the code, each once; empty where none is stated."""
        return ", ".join(dict.fromkeys(filter(None, [self.code, *self.sources.values()])))

    @property
    def of_weights(self) -> str:
        """Name the licences of the weights, each once with its note; empty where none are recorded."""
        told = (f"{one['licence']} ({one['note']})" if one.get("note") else one["licence"] for one in self._each)
        return ", ".join(dict.fromkeys(told))

    @property
    def names(self) -> str:
        """Name every licence once, without notes."""
        return ", ".join(
            dict.fromkeys(filter(None, [self.code, *self.sources.values(), *(one["licence"] for one in self._each)]))
        )

    @property
    def _each(self) -> Iterable[Mapping[str, str]]:
        return self.weights.values()


@dataclass(frozen=True)
class Row:
    """One row of the board.

    Attributes
    ----------
    kind
        ``"measured"``, ``"submitted"`` or ``"reported"``.
    title, variant
        Name for people; the variant's name, empty for reported rows.
    prompt, fine_tuned, known_answer
        How it is prompted; whether it was trained on this data set's training split; whether it is no
        model at all but reads the ground truth.
    scores, by_category, by_size, by_group
        By key of the column; by category code; by the keys of :data:`~leaderboard.board.columns.SIZES`; by groups such
        as ``by_prior/yes`` of :mod:`harness.scoring.groups`.
    rank
        The ranks within its group that its comparisons leave open; None where there is no rank.
    run, coverage, cost
        Provenance; None for reported rows. No coverage either where it may not be shown.
    reasons
        Why it stands in no ranking; empty for a ranked row.
    seeds
        Of a box-prompted row: its average Dice by the seed of its boxes.
    sees
        What of a CT its model sees at once, as :data:`~harness.registry.declaration.SEES`.
    by, exposure, stands_for
        Of reported rows: who reported it, where that is another than the source; what its weights have seen, as
        :data:`~harness.registry.declaration.EXPOSURES`; plugin and variant here that can make it, where they are known.
    """

    kind: str
    title: str
    variant: str
    prompt: str
    fine_tuned: bool
    scores: Mapping[str, Score]
    by_category: Mapping[str, Score] = field(default_factory=dict)
    by_size: Mapping[str, Score] = field(default_factory=dict)
    by_group: Mapping[str, Score] = field(default_factory=dict)
    known_answer: bool = False
    rank: Rank | None = None
    run: PublishedRun | None = None
    coverage: Coverage | None = None
    cost: Cost | None = None
    reasons: tuple[str, ...] = ()
    seeds: BoxSeeds | None = None
    sees: str = "unknown"
    by: str = ""
    exposure: str = "unknown"
    stands_for: tuple[str | None, str | None] = (None, None)

    @property
    def control(self) -> bool:
        """Whether it reads no voxel of the CT."""
        return self.run is not None and self.level.headline and self.run.plugin in CONTROLS

    @property
    def level(self) -> RowLevel:
        """How much of it was made under our eyes."""
        return self.run.level if self.run else RowLevel.REPORTED

    @property
    def standing(self) -> Standing:
        """The ranking that it belongs to."""
        return standing_of(self.level, self.prompt)

    @property
    def boxed(self) -> bool:
        """Whether it was prompted with boxes made from the ground truth."""
        return self.prompt == "box"

    @property
    def replaced(self) -> bool:
        """Whether a newer run of the same model and variant took its place."""
        return not stands(self.reasons)

    @property
    def training(self) -> str:
        """Return what the row had seen before, of this data set, as :func:`leaderboard.published.facts.training`."""
        of = exposure_of(self.run.record) if self.run else self.exposure
        return facts.training(of, fine_tuned=self.fine_tuned, known_answer=self.known_answer)

    @property
    def facts(self) -> facts.Facts:
        """Return what statements choose it by; of a row that was not made here, the model is not known."""
        model = self.title if self.kind == "reported" or self.level.headline else ""
        return facts.Facts(model, self.prompt, self.training, self.sees)

    def category(self, code: str) -> Score:
        """Return the mean Dice on one category; scored runs have n = 0 on a category that the split does not hold."""
        return self.by_category.get(code, Score(n=0 if self.by_category else None))

    @property
    def licences(self) -> Licences:
        """Return under which licences the row was made; unknown where its record does not say, as of earlier rows."""
        record = self.run.record if self.run else {}
        said = record.get("licences")
        if isinstance(said, Mapping):
            return Licences(said["code"], said["sources"], said["weights"], said["commercial"])
        return Licences(code=record.get("model", {}).get("licence") or "")

    @property
    def hardware(self) -> list[str]:
        """Name the GPUs that were used, else the processor; empty where nothing was recorded."""
        recorded = self.run.record.get("hardware", {}) if self.run else {}
        gpus = [gpu["name"] for gpu in recorded.get("gpus", [])]
        if gpus:
            sharing = recorded.get("containers_per_gpu", 1)
            shared = [] if sharing == 1 else [f"{sharing} containers on each"]
            return [*(f"{gpus.count(name)} x {name}" for name in dict.fromkeys(gpus)), *shared]
        return [f"{recorded['cpu']}, {recorded['cores']} cores"] if "cpu" in recorded else []


@dataclass(frozen=True)
class DataSet:
    """The rows of one split of one data set.

    Attributes
    ----------
    about
        Its names, content, split and size.
    ranked
        Comparable rows by their ranking, in the order of :data:`STANDINGS`; in each best average Dice first.
    apart
        Rows that may not be ranked, oldest first.
    """

    about: DataSetRow
    ranked: tuple[Row, ...]
    apart: tuple[Row, ...]

    @property
    def title(self) -> str:
        """Its names and the split."""
        return f"{', '.join(self.about.names)}, {self.about.split}"

    @property
    def ceiling(self) -> float | None:
        """The average of the reference itself; None where it was not scored on the whole split."""
        return self._known(CEILING)

    @property
    def floor(self) -> float | None:
        """The best average of masks that nothing was read for: none at all, or the whole volume."""
        return self._known(FLOOR)

    def _known(self, plugins: Collection[str]) -> float | None:
        averages = [
            row.scores["average"].value
            for row in self.apart
            if row.known_answer and row.run and row.run.plugin in plugins and row.run.n_cases == self.about.n_cases
        ]
        return max((value for value in averages if value is not None), default=None)

    @property
    def too_few(self) -> str:
        """Say why no row has a rank, where there are too few cases to tell rows apart; else empty."""
        return too_few(self.about.n_cases)

    @property
    def rows(self) -> tuple[Row, ...]:
        """Every row, ranked ones first."""
        return self.ranked + self.apart

    @cached_property
    def facts(self) -> frozenset[facts.Facts]:
        """What statements choose its rows by."""
        return frozenset(row.facts for row in self.rows)

    @property
    def current(self) -> tuple[Row, ...]:
        """The rows that no newer run of the same model and variant replaced."""
        return tuple(row for row in self.rows if not row.replaced)

    @property
    def shown(self) -> tuple[Row, ...]:
        """The rows that figures show: the ranked ones or, where there are none, those that have scores."""
        return self.ranked or tuple(rank(row for row in self.apart if row.scores["average"].value is not None))


def read_board(published: Published, profile: str = PAPER, *, replaced: bool = True) -> list[DataSet]:
    """Sort every run into data sets, the one with most findings first; with or without rows that were replaced."""
    board = []
    for about in published.data_sets():
        ranks = published.ranks(about.id, profile)
        runs = (run for run in published.runs(about.id) if replaced or stands(run.apart))
        rows = _with_seeds([_row(published, run, profile, ranks.get(run.id)) for run in runs])
        ranked = tuple(rank(row for row in rows if not row.reasons))
        board.append(DataSet(about, ranked, tuple(row for row in rows if row.reasons)))
    return board


def _with_seeds(rows: list[Row]) -> list[Row]:
    """Give every box-prompted row that was measured the seeds of the runs that are alike but for theirs."""
    alike: dict[str, list[Row]] = {}
    for row in rows:
        if row.boxed and row.kind == "measured" and row.run and row.run.plan and row.run.state == "done":
            alike.setdefault(same_but_seed(row.run.plan), []).append(row)
    found = {
        row.run.id: collect((one.run.plan, one.scores["average"].value) for one in group if one.run)
        for group in alike.values()
        for row in group
        if row.run
    }
    return [replace(row, seeds=found.get(row.run.id)) if row.run else row for row in rows]


def scores_from(
    metrics: Mapping[str, Mapping[str, Any]], profile: str = PAPER, *, more: bool = False
) -> dict[str, Score]:
    """Pick the board's columns, or with `more` all of them, out of one profile's metrics; a missing one is empty."""
    columns = (*COLUMNS[profile], *(MORE[profile] if more else ()))
    return {column.key: score_from(metrics.get(column.metric, {}).get(column.group)) for column in columns}


def rank(rows: Iterable[Row]) -> list[Row]:
    """Order rows by group and average Dice, best first; rows without one come last in it, equal ones by name."""

    def key(row: Row) -> tuple[int, bool, float, str, str, str]:
        value = row.scores["average"].value
        return (
            STANDINGS.index(row.standing),
            value is None,
            -(value or 0.0),
            row.title,
            row.variant,
            row.run.id if row.run else "",
        )

    return sorted(rows, key=key)


def score_from(cell: Mapping[str, Any] | None) -> Score:
    """Turn a metric's cell into a number of the board."""
    if cell is None:
        return Score()
    if cell["n"] == 0 or cell["value"] is None:
        return Score(n=cell["n"], cases=cell.get("cases"))
    low, high = cell["ci95"] or (None, None)
    return Score(cell["value"], low, high, cell["n"], cell.get("cases"))


def _row(published: Published, run: PublishedRun, profile: str, place: Rank | None) -> Row:
    @cache
    def dice() -> Mapping[str, Mapping[str, Any]]:
        return published.metrics(run.id, profile).get("dice", {})

    columns = COLUMNS[profile]
    numbers, counts = published.summary(run.id, profile, [(column.metric, column.group) for column in columns])
    known = {column.key: score_from(number) for column, number in zip(columns, numbers, strict=True)}
    return Row(
        kind=run.kind,
        title=run.title,
        variant=run.variant,
        prompt=run.prompt,
        fine_tuned=run.fine_tuned,
        scores=RowNumbers(lambda: scores_from(published.metrics(run.id, profile), profile, more=True), **known),
        by_category=RowNumbers(lambda: _below("by_category", dice())),
        by_size=RowNumbers(lambda: _below("by_size", dice())),
        by_group=RowNumbers(lambda: {group: score_from(dice()[group]) for group in names_of(dice())}),
        known_answer=run.known_answer,
        rank=place,
        run=run,
        coverage=_coverage(counts, run.n_findings),
        cost=_cost(run.timing),
        reasons=tuple(run.apart),
        sees=facts.sees(run.record),
    )


def _below(parent: str, groups: Mapping[str, Mapping[str, Any]]) -> dict[str, Score]:
    found = {group.removeprefix(f"{parent}/"): cell for group, cell in groups.items() if group.startswith(f"{parent}/")}
    return {name: score_from(cell) for name, cell in found.items()}


def _coverage(counts: Mapping[str, int | None], n_findings: int | None) -> Coverage | None:
    if n_findings is None:
        return None
    others = {status: n for status, n in counts.items() if status != Status.OK}
    known = [n for n in counts.values() if n is not None]
    if len(known) < len(counts):
        return Coverage(ok=None, total=n_findings, others=others)
    recorded = sum(known)
    total = max(recorded, n_findings)
    if total > recorded:
        others["not recorded"] = total - recorded
    return Coverage(ok=counts.get(Status.OK, 0), total=total, others=others)


def _cost(timing: Mapping[str, Any]) -> Cost:
    rate = timing.get("cases_per_hour")  # earlier versions recorded this alone
    return Cost(
        wall_s=timing.get("case_wall_s") or (3600 / rate if rate else None),
        container_bytes=timing.get("peak_container_bytes"),
        gpu_bytes=timing.get("peak_gpu_bytes"),
        median_s=timing.get("case_median_s"),
        p95_s=timing.get("case_p95_s"),
        compute_s=timing.get("told_compute_s"),
        compute_p95_s=timing.get("told_compute_p95_s"),
        wait_s=timing.get("told_wait_s"),
        read_s=timing.get("told_read_s"),
        write_s=timing.get("told_write_s"),
        gpu_busy=timing.get("gpu_busy_share"),
        host_bytes=timing.get("peak_host_bytes"),
        device_bytes=timing.get("peak_device_bytes"),
        load_device_bytes=timing.get("load_device_bytes"),
    )
