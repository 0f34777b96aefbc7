"""The database that the site is made from, which the site also offers for download.

Every page is drawn from this database alone. What was left out when it was filled
(:mod:`leaderboard.published.export`) appears on no page, and every number can be checked against the download.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from operator import itemgetter
from pathlib import Path
from typing import Any

from harness.foreign import open_database, parse_json
from harness.rows import Other
from harness.runs.confirmed import NOT_CONFIRMED
from harness.scoring.comparison import rank_words
from harness.scoring.placement import OTHER_FINDING, PLACEMENTS, SAME_MASK, Placement
from harness.status import RowLevel
from leaderboard.published.kept import Kept, in_use
from leaderboard.published.run_file import RUN_TABLES, SUMS, RunFile, Tables, read_sums, table_of_runs
from leaderboard.published.statements import BoardStatement
from leaderboard.published.tables import CREATED


@dataclass(frozen=True)
class DataSetRow:
    """One split of one data set.

    `sizes` says where its findings are divided by size (:class:`harness.scoring.sizes.SizeCuts`), empty where that is
    not known or may not be shown; `open`: whether single cases of it may be shown.
    """

    id: str
    names: list[str]
    fingerprint: str
    split: str
    licence: str
    terms: dict[str, Any]
    n_cases: int
    n_findings: int
    sizes: dict[str, Any]
    open: bool


@dataclass(frozen=True)
class PublishedRun:
    """One run as the site knows it.

    `apart` is the reason why it is not ranked, empty for a ranked run; `warnings` concern its masks;
    `n_findings` is None where too few are
    behind it, or left out of it, to be shown.
    """

    id: str
    data_set: str
    kind: str
    level: RowLevel
    who: str
    plugin: str
    title: str
    plugin_version: str
    variant: str
    prompt: str
    fine_tuned: bool
    known_answer: bool
    engine: str
    image_id: str
    state: str
    created: str
    finished: str | None
    attempt: int
    n_cases: int
    n_findings: int | None
    apart: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    plan: dict[str, Any] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)
    timing: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "level", RowLevel(self.level))  # a word in the database

    @property
    def made_by(self) -> tuple[str, str, str]:
        """Whose row it is, as :attr:`harness.rows.RunRow.made_by`."""
        return self.kind, self.plugin, self.who


@dataclass(frozen=True)
class Pair:
    """Two runs of one ranking: mean difference (first minus second), interval and p of the whole ranking, and cases."""

    first: str
    second: str
    difference: float
    low: float | None
    high: float | None
    p: float
    n: int


@dataclass(frozen=True)
class Rank:
    """The best and the worst rank of so many that comparisons leave to a run, and its chance of every rank."""

    best: int
    worst: int
    of: int
    chances: list[float]

    @property
    def words(self) -> str:
        """Return it in words, as :func:`harness.scoring.comparison.rank_words`."""
        return rank_words((self.best, self.worst), self.of)


@dataclass(frozen=True)
class StatementTest:
    """One comparison that a statement rests on; numbers are None where they may not be shown.

    `second` is empty where a run is compared with another group of findings or with a number. `value` and `other` are
    the means of the two sides over `n` and `n_other` findings, `difference` the first minus the second.
    """

    first: str
    second: str
    value: float | None
    other: float | None
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    n: int | None
    n_other: int | None


@dataclass(frozen=True)
class PublishedFinding:
    """One finding of an open split; `number` stands for it in the table ``scores`` of the same file only."""

    number: int
    data_set: str
    case: str
    finding: str
    category: str | None
    text: str
    truth_voxels: int | None
    size_ratio: float | None
    volume_ul: float | None


@dataclass(frozen=True)
class PublishedScore:
    """One run on one finding: how it ended, its Dice, its counts of voxels and lesions, and where its mask lies.

    `other_truth` is the other finding of the case whose truth the mask fits best, `other_mask` the one whose mask is
    most like it, each with the Dice; None where there is none, or it is not known.
    """

    status: str
    dice: float
    pred_voxels: int | None
    intersection: int | None
    tp: int | None
    fp: int | None
    fn: int | None
    placement: str
    other_truth: str | None
    other_truth_dice: float | None
    other_mask: str | None
    other_mask_dice: float | None

    @property
    def where(self) -> str:
        """Say in words where the mask lies."""
        name = {OTHER_FINDING: "other_truth", SAME_MASK: "other_mask"}.get(self.placement)
        other = None if name is None else Other(getattr(self, name), getattr(self, f"{name}_dice"))
        return Placement(self.placement, other).words


_SCORE = tuple(column.name for column in fields(PublishedScore))


@dataclass(frozen=True)
class PublishedCase:
    """How one case of a run ended."""

    case: str
    status: str
    reason: str
    seconds: float | None
    host_bytes: int | None
    device_bytes: int | None
    attempts: int
    read_s: float | None
    compute_s: float | None
    write_s: float | None
    wait_s: float | None


@dataclass(frozen=True)
class TrainingStep:
    """What a training reported at one step: means of its losses by name, and mean Dice on the val split."""

    step: int
    steps: int
    losses: dict[str, float]
    val_dice: float | None


@dataclass(frozen=True)
class Contribution:
    """What is of one run alone.

    Attributes
    ----------
    sums
        Table of :data:`~leaderboard.published.run_file.SUMS` -> its rows, as JSON.
    file
        Everything, as :func:`~leaderboard.published.run_file.make_run_file` has it.
    """

    sums: Kept
    file: Kept

    @property
    def digest(self) -> bytes:
        """The digest of all of it."""
        return self.sums.sha256 + self.file.sha256


#: Files of runs that are open at a time: pages of cases show some rows of each.
_FILES = 256

#: Looks at a statement, of 100,000 steps each, after which it is ended: ours go through all of a large board.
_LOOKS = 100_000

_JSON = frozenset({"losses", "names", "terms", "sizes", "apart", "warnings", "plan", "record", "timing", "chances"})
_BOOLEAN = frozenset({"fine_tuned", "known_answer", "open"})


class Published:
    """The database of a site while it is filled and read.

    Parameters
    ----------
    path
        A file for it that does not exist yet; None: in memory.

    Attributes
    ----------
    contributed
        Run -> what is of this run alone, but for the row itself; nothing of a run whose numbers are not shown.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.db = open_database(path, work=_LOOKS)
        self.db.row_factory = sqlite3.Row
        self.db.execute("pragma journal_mode = off")  # nobody reads it before it is finished
        self.db.execute("pragma synchronous = off")
        self.contributed: dict[str, Contribution] = {}
        self._runs: dict[str, list[PublishedRun]] = {}
        self._files: dict[str, RunFile] = {}  # the last ones that were read
        self._numbers: tuple[str, Mapping[tuple[str, str], int]] = "", {}  # of the data set that was asked for last
        self._sums: tuple[str, Tables] = "", {}  # of the run that was read last
        self.db.executescript(CREATED)
        for name in SUMS:
            self.db.execute(table_of_runs(name))

    def add(self, table: str, rows: Sequence[Mapping[str, Any]] | Iterator[Mapping[str, Any]]) -> None:
        """Insert rows, each with a value for every column; lists and dicts are stored as JSON."""
        columns = self.columns(table)
        self.insert(table, ([_to_column(row[name]) for name in columns] for row in rows))

    def insert(self, table: str, rows: Iterable[Sequence[Any]]) -> None:
        """Insert rows, each with a value for every column, in their order, as SQLite holds it."""
        places = ", ".join("?" * len(self.columns(table)))
        self.db.executemany(f"insert into {table} values ({places})", rows)  # noqa: S608 - names are our own

    def save(self, path: Path) -> None:
        """Finish filling, and write it to a file: the same rows give the same bytes."""
        self.db.commit()
        self.db.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 1)  # it is written through a second one
        self.db.execute("vacuum into ?", [str(path)])
        self.db.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)

    def columns(self, table: str) -> list[str]:
        """Name the columns of a table."""
        return [row["name"] for row in self.db.execute(f"pragma table_info({table})")]

    def rows(self, table: str) -> Iterator[tuple[Any, ...]]:
        """Go through a table in the order of its key, which is its first columns."""
        key = ", ".join(f'"{name}"' for name in self.columns(table)[:4])  # `case` is a word of SQL
        for row in self.db.execute(f"select * from {table} order by {key}"):  # noqa: S608 - names are our own
            yield tuple(row)

    def about(self) -> dict[str, str]:
        """Return the facts about the file as a whole."""
        return dict(self.db.execute("select name, value from about order by name").fetchall())

    def data_sets(self) -> list[DataSetRow]:
        """Return every data set, the one with most findings first."""
        rows = self.db.execute("select * from data_sets order by n_findings desc, names, id")
        return [DataSetRow(**_values(row, DataSetRow)) for row in rows]

    def runs(self, data_set: str) -> list[PublishedRun]:
        """Return the runs on a data set, oldest first, once all are there."""
        if data_set not in self._runs:
            rows = self.db.execute("select * from runs where data_set = ? order by created, id", [data_set])
            self._runs[data_set] = [PublishedRun(**_values(row, PublishedRun)) for row in rows]
        return self._runs[data_set]

    def doubted(self) -> list[tuple[str, str]]:
        """Return (run, reason) of every row whose numbers are not shown, since they are not confirmed."""
        rows = self.db.execute("select id, apart from runs order by created, id").fetchall()
        return [(run, why) for run, apart in rows for why in parse_json(apart) if why.startswith(NOT_CONFIRMED)]

    def coverage(self, run: str) -> dict[str, int | None]:
        """Count a run's findings by status; None where one to four may not be shown."""
        counts: dict[str, int | None] = dict(sorted(map(tuple, self.sums(run)["coverage"])))
        return counts

    def placements(self, run: str) -> dict[str, dict[str, Any]]:
        """Return placement -> ``{"count", "n", "cases", "value", "ci95"}`` of a run, in the order of `PLACEMENTS`.

        The count is None where it may not be shown; empty where none of them may be.
        """
        found = {}
        for name, count, of, low, high, cases in self.sums(run)["placements"]:
            value = None if count is None or not of else count / of
            ci95 = None if low is None else [low, high]
            found[name] = {"count": count, "n": of, "cases": cases, "value": value, "ci95": ci95}
        return {name: found[name] for name in PLACEMENTS if name in found}

    def metrics(self, run: str, profile: str) -> dict[str, dict[str, dict[str, Any]]]:
        """Return metric -> group -> ``{"value", "ci95", "n", "cases"}``; a category's is named ``by_category/1a``."""
        found: dict[str, dict[str, dict[str, Any]]] = {}
        rows = (row[1:] for row in self.sums(run)["metrics"] if row[0] == profile)
        for metric, group, value, low, high, n, cases in sorted(rows, key=lambda row: row[:2]):
            ci95 = None if low is None else [low, high]
            found.setdefault(metric, {})[group] = {"value": value, "ci95": ci95, "n": n, "cases": cases}
        return found

    def summary(
        self, run: str, profile: str, cells: Sequence[tuple[str, str]]
    ) -> tuple[list[dict[str, Any] | None], dict[str, int | None]]:
        """Return what lists show of a run: some numbers of :meth:`metrics`, None for none, and its :meth:`coverage`.

        Parameters
        ----------
        run, profile
            Whose.
        cells
            Metric and group of each number.
        """

        def compute() -> list[Any]:
            metrics = self.metrics(run, profile)
            return [[metrics.get(metric, {}).get(group) for metric, group in cells], self.coverage(run)]

        if run not in self.contributed:
            return [None] * len(cells), {}
        numbers, counts = in_use().value("summary", [self.contributed[run].sums.sha256, profile, [*cells]], compute)
        return numbers, counts

    def pairs(self, data_set: str, profile: str) -> list[Pair]:
        """Return every compared pair of a data set."""
        query = "select * from comparisons where data_set = ? and profile = ? order by first, second"
        return [Pair(**_values(row, Pair)) for row in self.db.execute(query, [data_set, profile])]

    def ranks(self, data_set: str, profile: str) -> dict[str, Rank]:
        """Return the ranks of a data set, by run."""
        query = "select * from ranks where data_set = ? and profile = ? order by best, worst, run"
        return {row["run"]: Rank(**_values(row, Rank)) for row in self.db.execute(query, [data_set, profile])}

    def statements(self) -> list[tuple[BoardStatement, bool]]:
        """Return every statement in its order, and whether it is the organiser's own."""
        rows = self.db.execute("select definition, own from statements order by number")
        return [(BoardStatement.model_validate_json(definition), bool(own)) for definition, own in rows]

    def statement_tests(self, data_set: str, statement: str) -> list[StatementTest]:
        """Return the comparisons that a statement rests on, on one data set."""
        query = "select * from statement_tests where data_set = ? and statement = ? order by first, second"
        return [StatementTest(**_values(row, StatementTest)) for row in self.db.execute(query, [data_set, statement])]

    def findings(self, data_set: str) -> list[PublishedFinding]:
        """Return the findings of an open data set in its order; none of a closed one."""
        rows = self.db.execute("select * from findings where data_set = ? order by number", [data_set])
        return [PublishedFinding(**_values(row, PublishedFinding)) for row in rows]

    def numbers(self, data_set: str) -> Mapping[tuple[str, str], int]:
        """Return case and finding -> the number that stands for it, of an open data set."""
        rows = self.db.execute('select "case", finding, number from findings where data_set = ?', [data_set])
        return {(case, finding): number for case, finding, number in rows}

    def scores(self, run: str, case: str | None = None) -> dict[int, PublishedScore]:
        """Return number of a finding (of one case, if given) -> how a run on an open data set did on it."""
        return {number: PublishedScore(*row) for number, row in self.single(run, "scores", _SCORE, case)}

    def single(
        self, run: str, table: str, columns: Sequence[str] = (), case: str | None = None
    ) -> list[tuple[int, tuple[Any, ...]]]:
        """Return number of a finding, and some columns, of the rows of a table of single findings, by number.

        Parameters
        ----------
        run
            On an open data set; of others there are none.
        table
            Of :data:`~leaderboard.published.run_file.RUN_TABLES`.
        columns
            Beside the key; by default all.
        case
            The one that is asked for; by default all.
        """
        picked = ["case", "finding", *(columns or RUN_TABLES[table].columns)]
        return self._numbered(run, [tuple(row) for row in self._rows(run, table, picked, case)])

    def dice(self, run: str) -> list[tuple[int, float]]:
        """Return number of a finding and the Dice of a run on an open data set on it, by number.

        They are kept apart from all else of the run, since the pages of cases look at every row.
        """
        if run not in self.contributed:
            return []
        found = in_use().value(
            "dice of findings",
            [self.contributed[run].file.sha256],
            lambda: [tuple(row) for row in self._rows(run, "scores", ["case", "finding", "dice"])],
        )
        return [(number, dice) for number, (dice,) in self._numbered(run, found)]

    def _numbered(self, run: str, rows: Sequence[Sequence[Any]]) -> list[tuple[int, tuple[Any, ...]]]:
        """Return the number of a finding, and what comes after case and finding in each of a run's rows, by number."""
        if not rows:
            return []
        (data_set,) = self.db.execute("select data_set from runs where id = ?", [run]).fetchone()
        if self._numbers[0] != data_set:
            self._numbers = data_set, self.numbers(data_set)
        numbers = self._numbers[1]
        found = [(numbers[case, finding], tuple(others)) for case, finding, *others in rows]
        return sorted(found, key=itemgetter(0))

    def instances(self, run: str) -> list[tuple[str, float | None, str]]:
        """Return the side of every entity and component of a run on an open data set, its volume in mm³, and status."""
        return [tuple(row) for row in self._rows(run, "instances", ["side", "mm3", "status"])]

    def cases(self, run: str) -> list[PublishedCase]:
        """Return how the cases of a run on an open data set ended."""
        return [PublishedCase(**_values(row, PublishedCase)) for row in self._rows(run, "cases")]

    def training(self, run: str) -> list[TrainingStep]:
        """Return how the checkpoint of a run was trained, in the order of steps; empty where nothing was trained."""
        return [TrainingStep(**_values(row, TrainingStep)) for row in self._rows(run, "training")]

    def sums(self, run: str) -> Tables:
        """Return table -> rows of the sums of a run; empty tables where its numbers are not shown."""
        if run not in self.contributed:
            return {key: [] for key in SUMS}
        if self._sums[0] != run:
            self._sums = run, read_sums(self.contributed[run].sums)
        return self._sums[1]

    def _rows(
        self, run: str, table: str, columns: Sequence[str] = (), case: str | None = None
    ) -> Iterable[sqlite3.Row]:
        """Return rows of a run's file; none where its numbers are not shown."""
        if run not in self.contributed:
            return []
        file = self._files.pop(run, None) or RunFile(self.contributed[run].file.read())
        self._files[run] = file
        if len(self._files) > _FILES:
            self._files.pop(next(iter(self._files))).close()
        return file.rows(table, columns, case)


def _to_column(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    return json.dumps(value, ensure_ascii=False, sort_keys=True) if isinstance(value, list | dict) else value


def _values(row: sqlite3.Row, kind: type[Any]) -> dict[str, Any]:
    values = {name: row[name] for name in kind.__dataclass_fields__}
    for name in values.keys() & _JSON:
        values[name] = parse_json(values[name])
    for name in values.keys() & _BOOLEAN:
        values[name] = bool(values[name])
    return values
