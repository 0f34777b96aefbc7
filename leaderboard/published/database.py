"""The database that the site is made from, which the site also offers for download.

Every page is drawn from this database alone. What was left out when it was filled
(:mod:`leaderboard.published.export`) appears on no page, and every number can be checked against the download.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from harness.foreign import open_database, parse_json
from harness.rows import Other
from harness.runs.confirmed import NOT_CONFIRMED
from harness.scoring.comparison import rank_words
from harness.scoring.placement import OTHER_FINDING, PLACEMENTS, SAME_MASK, Placement
from harness.status import RowLevel
from leaderboard.published.statements import BoardStatement

#: Version of the tables below; raised when a reader of an older one would be misled.
SCHEMA_VERSION = 7

_TABLES = """
create table about (name text primary key, value text not null);
create table data_sets (
  id text primary key, names text not null, fingerprint text not null, split text not null, licence text not null,
  terms text not null, n_cases integer not null, n_findings integer not null, sizes text not null,
  open integer not null);
create table runs (
  id text primary key, data_set text not null, kind text not null, level text not null, who text not null,
  plugin text not null, title text not null,
  plugin_version text not null, variant text not null, prompt text not null, fine_tuned integer not null,
  known_answer integer not null, engine text not null, image_id text not null, state text not null,
  created text not null, finished text, attempt integer not null, n_cases integer not null,
  n_findings integer, apart text not null, warnings text not null, plan text not null, record text not null,
  timing text not null);
create table coverage (run text, status text, n integer, primary key (run, status)) without rowid;
create table placements (
  run text, placement text, n integer, "of" integer, low real, high real, cases integer,
  primary key (run, placement)) without rowid;
create table metrics (
  run text, profile text, metric text, grp text, value real, low real, high real, n integer not null,
  cases integer, primary key (run, profile, metric, grp)) without rowid;
create table comparisons (
  data_set text, profile text, first text, second text, difference real, low real, high real, p real,
  n integer not null, primary key (data_set, profile, first, second)) without rowid;
create table ranks (
  data_set text, profile text, run text, best integer not null, worst integer not null,
  "of" integer not null, chances text not null,
  primary key (data_set, profile, run)) without rowid;
create table statements (
  id text primary key, number integer not null, own integer not null, says text not null, meaning text not null,
  definition text not null);
create table statement_tests (
  data_set text, statement text, first text, second text, value real, other real, difference real, low real, high real,
  p real, n integer, n_other integer,
  primary key (data_set, statement, first, second)) without rowid;
create table findings (
  number integer primary key, data_set text not null, "case" text not null, finding text not null, category text,
  text text not null, truth_voxels integer, size_ratio real, volume_ul real);
create table scores (
  run text, number integer, status text not null, dice real not null, pred_voxels integer, intersection integer,
  kept_voxels integer, kept_intersection integer, truth_entities integer, tp integer, fp integer, fn integer,
  distance_tp integer, distance_fp integer, distance_fn integer, placement text not null,
  other_truth text, other_truth_dice real, other_mask text, other_mask_dice real,
  primary key (run, number)) without rowid;
create table instances (
  run text, number integer, side text, label integer, voxels integer not null, mm3 real, status text not null,
  matched integer, dice real, distance_status text, distance_matched integer, distance_mm real,
  primary key (run, number, side, label)) without rowid;
create table cases (
  run text, "case" text, status text not null, reason text not null, seconds real, host_bytes integer,
  device_bytes integer, attempts integer not null, read_s real, compute_s real, write_s real, wait_s real,
  primary key (run, "case")) without rowid;
create table training (
  run text, step integer, steps integer not null, losses text not null, val_dice real,
  primary key (run, step)) without rowid;
"""

#: Each table and what a row of it is; the downloads page shows them.
TABLES: Mapping[str, str] = {
    "about": "what this file is",
    "data_sets": "one split of one data set, known by its content",
    "runs": "one run: one variant of one model on one split",
    "coverage": "findings of a run, by how they ended; no number stands for one to four of a closed split",
    "placements": "findings of a run by where their masks lie, of so many where it is known, with the 95 % interval of "
    "the share; of a closed split no number stands for one to four",
    "metrics": "one metric of a run under a profile, for one group of findings, with its 95 % interval and of how "
    "many cases it is",
    "comparisons": "two runs of one ranking on the same findings: mean difference of Dice, interval and p, which share "
    "one error rate with all others of the ranking",
    "ranks": "best and worst rank that the comparisons leave to a run, and how often it takes each when the cases "
    "are drawn again",
    "statements": "one sentence on models and findings that is tested; `own` for those of the organiser",
    "statement_tests": "one comparison that a statement rests on: a run and the second that it is compared with, which "
    "is empty for another group of findings or a number",
    "findings": "one finding of an open split: its text, category and size; its number is that of this file alone",
    "scores": "one run on one finding, by its number: voxels of the mask and of its overlap with the truth, both again "
    "of the components that are kept, single lesions found (tp), falsely marked (fp) and missed (fn), by Dice and by "
    "distance; where its mask lies, and the other findings it is most like",
    "instances": "one entity of the truth, or one component of a mask, and what it was matched with",
    "cases": "how one case of a run on an open split ended; what its seconds were spent on by the model's own word",
    "training": "what the training of a fine-tuned variant reported at one step: losses, and Dice on the val split",
}


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
        Run -> the digest of everything in the tables that is of this run alone, but for the row itself.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.db = open_database(path, work=_LOOKS)
        self.db.row_factory = sqlite3.Row
        self.db.execute("pragma journal_mode = off")  # nobody reads it before it is finished
        self.db.execute("pragma synchronous = off")
        self.contributed: dict[str, bytes] = {}
        self.db.executescript(_TABLES)

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
        """Return the runs on a data set, oldest first."""
        rows = self.db.execute("select * from runs where data_set = ? order by created, id", [data_set])
        return [PublishedRun(**_values(row, PublishedRun)) for row in rows]

    def doubted(self) -> list[tuple[str, str]]:
        """Return (run, reason) of every row whose numbers are not shown, since they are not confirmed."""
        rows = self.db.execute("select id, apart from runs order by created, id").fetchall()
        return [(run, why) for run, apart in rows for why in parse_json(apart) if why.startswith(NOT_CONFIRMED)]

    def coverage(self, run: str) -> dict[str, int | None]:
        """Count a run's findings by status; None where one to four may not be shown."""
        return dict(self.db.execute("select status, n from coverage where run = ? order by status", [run]).fetchall())

    def placements(self, run: str) -> dict[str, dict[str, Any]]:
        """Return placement -> ``{"count", "n", "cases", "value", "ci95"}`` of a run, in the order of `PLACEMENTS`.

        The count is None where it may not be shown; empty where none of them may be.
        """
        columns = 'placement, n, "of", low, high, cases'
        found = {}
        for name, count, of, low, high, cases in self.db.execute(
            f"select {columns} from placements where run = ?",  # noqa: S608 - ours
            [run],
        ):
            value = None if count is None or not of else count / of
            ci95 = None if low is None else [low, high]
            found[name] = {"count": count, "n": of, "cases": cases, "value": value, "ci95": ci95}
        return {name: found[name] for name in PLACEMENTS if name in found}

    def metrics(self, run: str, profile: str) -> dict[str, dict[str, dict[str, Any]]]:
        """Return metric -> group -> ``{"value", "ci95", "n", "cases"}``; a category's is named ``by_category/1a``."""
        found: dict[str, dict[str, dict[str, Any]]] = {}
        columns = "metric, grp, value, low, high, n, cases"
        query = f"select {columns} from metrics where run = ? and profile = ? order by metric, grp"  # noqa: S608 - ours
        for metric, group, value, low, high, n, cases in self.db.execute(query, [run, profile]):
            ci95 = None if low is None else [low, high]
            found.setdefault(metric, {})[group] = {"value": value, "ci95": ci95, "n": n, "cases": cases}
        return found

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

    def scores(self, run: str) -> dict[int, PublishedScore]:
        """Return number of a finding -> how a run on an open data set did on it."""
        rows = self.db.execute("select * from scores where run = ? order by number", [run])
        return {row["number"]: PublishedScore(**_values(row, PublishedScore)) for row in rows}

    def cases(self, run: str) -> list[PublishedCase]:
        """Return how the cases of a run on an open data set ended."""
        rows = self.db.execute('select * from cases where run = ? order by "case"', [run])
        return [PublishedCase(**_values(row, PublishedCase)) for row in rows]

    def training(self, run: str) -> list[TrainingStep]:
        """Return how the checkpoint of a run was trained, in the order of steps; empty where nothing was trained."""
        rows = self.db.execute("select * from training where run = ? order by step", [run])
        return [TrainingStep(**_values(row, TrainingStep)) for row in rows]


def _to_column(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    return json.dumps(value, ensure_ascii=False, sort_keys=True) if isinstance(value, list | dict) else value


def _values(row: sqlite3.Row, kind: type[Any]) -> dict[str, Any]:
    values = {column.name: row[column.name] for column in fields(kind)}
    for name in values.keys() & _JSON:
        values[name] = parse_json(values[name])
    for name in values.keys() & _BOOLEAN:
        values[name] = bool(values[name])
    return values
