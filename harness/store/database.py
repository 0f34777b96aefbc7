"""The results database: every query on it.

One SQLite file on a local disk with one writer at a time and a write-ahead log. A case's rows are committed
together, so that a process killed at any moment leaves complete cases only.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from sqlite_utils import Database

from harness.errors import BenchError, DataError, PrerequisiteError, UnknownName, UsageError
from harness.foreign import open_database
from harness.host.file_systems import shared_file_system
from harness.rows import CaseRow, FindingDetails, FindingRow, MaskVerdict, RunRow
from harness.store.cells import OddCell, cell_json, columns_of, made_of
from harness.store.migrations import migrations

#: Seconds to wait for another process's write before giving up.
BUSY_TIMEOUT_S = 30.0


#: The metrics of one run under one profile: metric -> group -> {"value", "ci95", "n", "cases"}.
Metrics = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class MaskFacts:
    """What is stored of a mask that was scored and is not empty."""

    case: str
    finding: str
    voxels: int
    intersection: int  #: voxels that it shares with the truth
    dice: float
    sha256: str | None  #: of its file


class Store:
    """An open results database.

    Parameters
    ----------
    path
        The SQLite file; created, with its folder, when it does not exist and `readonly` is false.
    readonly
        Open an existing file for reading only.
    home
        The folder whose ``runs/`` belong to the rows; that of the file by default.

    Raises
    ------
    PrerequisiteError
        When the file cannot be opened or written, another process holds it for too long, or it is to be written on a
        file system that machines share.
    DataError
        When the file is not a database of this project, or of a newer version of it.
    """

    def __init__(self, path: Path, *, readonly: bool = False, home: Path | None = None) -> None:
        self.path = path
        self.home = home or path.parent
        if readonly and not path.is_file():
            raise DataError(
                f"the results database {path.absolute()} does not exist",
                fix="run a model first, e.g. `bench demo`",
                path=path,
            )
        if not readonly and (kind := shared_file_system(path)):
            raise PrerequisiteError(
                f"the results database {path.absolute()} would be on a file system that machines share ({kind}): "
                "its locks and its log need a local disk, and it can be damaged there without a message",
                fix="choose a file on a local disk with --db (or BENCH_DB), and move an existing results.db there; "
                "everything else in the home may stay",
            )
        try:
            if not readonly:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # often the home
        except OSError as error:
            raise _explained(error, path) from error
        with self.explaining():
            self.db = Database(_connect(path, "ro" if readonly else "rwc"))
        try:
            self._prepare(readonly=readonly)
        except BaseException:
            self.close()
            raise

    def _prepare(self, *, readonly: bool) -> None:
        """Check that the file is ours and of this version, and migrate it where that is allowed."""
        with self.explaining():
            # In this order: another process may be creating the tables right now.
            foreign = set(self.db.table_names()) - {migrations.migrations_table}
            applied = {migration.name for migration in migrations.applied(self.db)}
        if not applied and (foreign or readonly):
            raise DataError(
                f"{self.path} is not a results database of groundbench",
                fix="move it away or use another --home",
                path=self.path,
            )
        ours = {migration.name for migration in migrations._migrations}  # noqa: SLF001 - the library has no public list
        if applied - ours:
            raise DataError(
                f"{self.path} was written by a newer version of groundbench",
                fix="update groundbench, or use another --home",
                path=self.path,
            )
        if readonly:
            if ours - applied:
                raise DataError(
                    f"{self.path} was written by an older version of groundbench",
                    fix="run any command that writes, such as `bench demo`, to update it",
                    path=self.path,
                )
            return
        with self.explaining():
            self.db.enable_wal()
            self.db.execute("PRAGMA foreign_keys = ON")
        with self.write() as db:  # also where nothing is pending: a file that cannot be written fails here, not later
            migrations.apply(db)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self.db.close()

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Convert SQLite's errors, and cells that hold what is never written there, into errors of this project."""
        try:
            yield
        except sqlite3.Error as error:
            raise _explained(error, self.path) from error
        except OddCell as error:
            raise DataError(
                f"{self.path} holds a row that groundbench never wrote: {error}",
                fix="remove that row, or use another --home",
                path=self.path,
            ) from error

    @contextmanager
    def write(self, *, lasting: bool = True) -> Iterator[Database]:
        """Hold the writer's lock from the first statement on.

        A transaction that begins by reading would fail at once, without waiting, if another process wrote meanwhile.

        Parameters
        ----------
        lasting
            Wait until the disk has it, and everything before it. Otherwise a power failure may take it away again, as
            a whole; the end of a process does not.
        """
        with self.explaining():
            self.db.execute(f"PRAGMA synchronous = {'FULL' if lasting else 'NORMAL'}")
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield self.db
            except BaseException:
                self.db.rollback()
                raise
            self.db.commit()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let all reads inside see one state of the database, whatever others write meanwhile; inside another, its."""
        if self.db.conn.in_transaction:
            yield
            return
        with self.explaining():
            self.db.execute("BEGIN")
        try:
            yield
        finally:
            self.db.rollback()

    # -- runs ---------------------------------------------------------------------------------------------------------

    def save_run(self, run: RunRow, *, without: Sequence[str] = ()) -> None:
        """Insert `run`, or replace the row of the same id; cases called `without` are forgotten with their findings."""
        with self.write() as db:
            for case in without:
                for table in ("cases", "findings"):
                    db.table(table).delete_where('run = ? and "case" = ?', [run.id, case])
            db.table("runs").upsert(to_columns(run), pk="id")

    def save_whole(
        self,
        run: RunRow,
        cases: Sequence[tuple[CaseRow, Sequence[FindingRow]]],
        metrics: Mapping[str, Metrics],
    ) -> None:
        """Insert a finished run with everything in it, or replace the one of the same id: all of it or nothing.

        Parameters
        ----------
        run
            The row.
        cases
            Every case with its findings.
        metrics
            Profile -> its metrics.
        """
        with self.write() as db:
            for table in ("cases", "findings", "metrics"):
                db.table(table).delete_where("run = ?", [run.id])
            db.table("runs").upsert(to_columns(run), pk="id")
            for case, findings in cases:
                _put_case(db, run.id, case, findings)
            for profile, found in metrics.items():
                _put_metrics(db, run.id, profile, found)

    def remove_run(self, run_id: str) -> None:
        """Remove a run with everything in it; what it held is overwritten in the file, and its log is emptied."""
        with self.explaining():
            self.db.execute("PRAGMA secure_delete = ON")
        with self.write() as db:
            for table in ("metrics", "findings", "cases", "archived"):
                db.table(table).delete_where("run = ?", [run_id])
            db.table("runs").delete_where("id = ?", [run_id])
        with self.explaining():
            self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def run(self, run_id: str) -> RunRow:
        """Return one run by its id or by an unambiguous beginning of it; raises UsageError otherwise."""
        with self.explaining():
            exact = list(self.db.query("select * from runs where id = ?", [run_id]))
            rows = exact or list(
                self.db.query("select * from runs where substr(id, 1, ?) = ?", [len(run_id), run_id]) if run_id else []
            )
            names = [row["id"] for row in self.db.query("select id from runs order by created, id")]
            if len(rows) == 1:
                return _run_from(rows[0])
        if rows:
            names = [row["id"] for row in rows]
            raise UsageError(
                f"{run_id!r} is the beginning of {len(names)} runs: {', '.join(names)}", fix="give more letters of one"
            )
        raise UnknownName("run", run_id, names, fix="see `bench results list`")

    def runs(self) -> list[RunRow]:
        """Return every run, oldest first."""
        with self.explaining():
            return [_run_from(row) for row in self.db.query("select * from runs order by created, id")]

    def latest(self, plan_key: str) -> RunRow | None:
        """Return the newest run of a plan, or None."""
        with self.explaining():
            rows = list(
                self.db.query("select * from runs where plan_key = ? order by attempt desc limit 1", [plan_key])
            )
        return _run_from(rows[0]) if rows else None

    # -- cases and findings -------------------------------------------------------------------------------------------

    def save_case(self, run_id: str, case: CaseRow, findings: Sequence[FindingRow] = ()) -> None:
        """Insert or replace a case and, in the same transaction, its findings.

        It lasts from the next :meth:`save_run` on: a run that is resumed makes up for what a power failure took away.
        """
        with self.write(lasting=False) as db:
            _put_case(db, run_id, case, findings)

    def cases(self, run_id: str) -> list[CaseRow]:
        """Return the cases of a run, in the order of the split."""
        with self.explaining():
            rows = self.db.query('select * from cases where run = ? order by ordinal, "case"', [run_id])
            return [_case_from(row) for row in rows]

    def findings(self, run_id: str, case: str | None = None) -> list[FindingRow]:
        """Return the findings of a run (of one case, if given), in the order of the split."""
        with self.explaining():
            rows = self.db.query(
                # `case` and `index` are words of SQL, so these columns are quoted.
                "select findings.* from findings left join cases on cases.run = findings.run "
                'and cases."case" = findings."case" where findings.run = ? and (? is null or findings."case" = ?) '
                'order by cases.ordinal, findings."case", findings."index"',
                [run_id, case, case],
            )
            return [_finding_from(row) for row in rows]

    def masks(self, run_id: str) -> list[MaskFacts]:
        """Return what is stored of the masks of a run, by case and finding; those without a voxel are left out."""
        with self.explaining():
            rows = self.db.execute(
                'select "case", finding, pred_voxels, intersection, dice, mask_sha256 from findings '
                "where run = ? and status = 'ok' and pred_voxels > 0 order by \"case\", finding",
                [run_id],
            )
            return [MaskFacts(*row) for row in rows]

    # -- metrics ------------------------------------------------------------------------------------------------------

    def save_metrics(self, run_id: str, profile: str, metrics: Metrics) -> None:
        """Replace the metrics of a run under one profile; they last from the next :meth:`save_run` on."""
        with self.write(lasting=False) as db:
            _put_metrics(db, run_id, profile, metrics)

    def metrics(self, run_id: str, profile: str) -> dict[str, dict[str, Any]]:
        """Return the metrics of a run under one profile; empty when there are none.

        Scorers before version 4 took findings for independent, and saved no number of cases. What they saved is no
        95 % interval, and is not returned. No scorer saves half an interval: a cell with one has no value either.
        """
        found: dict[str, dict[str, Any]] = {}
        with self.explaining():
            for row in self.db.query(
                "select * from metrics where run = ? and profile = ? order by rowid", [run_id, profile]
            ):
                cell = {
                    "value": row["value"] if (row["low"] is None) == (row["high"] is None) else None,
                    "ci95": _interval(row),
                    "n": row["n"],
                    "cases": row["cases"],
                }
                groups = found.setdefault(row["metric"], {})
                parent, _, child = row["grp"].partition("/")
                if child:
                    groups.setdefault(parent, {})[child] = cell
                else:
                    groups[parent] = cell
        return found

    def coverage(self, run_id: str) -> dict[str, int]:
        """Count the findings of a run by status."""
        with self.explaining():
            rows = self.db.query(
                "select status, count(*) as n from findings where run = ? group by status order by status", [run_id]
            )
            return {row["status"]: row["n"] for row in rows}


def _interval(row: Mapping[str, Any]) -> list[float] | None:
    low, high = row["low"], row["high"]
    numbers = all(isinstance(bound, int | float) for bound in (low, high))  # a database may have been edited by hand
    return [low, high] if numbers and row["cases"] is not None and low < high else None


def _put_case(db: Database, run_id: str, case: CaseRow, findings: Sequence[FindingRow]) -> None:
    db.table("cases").upsert({"run": run_id, **to_columns(case)}, pk=("run", "case"))
    rows = ({"run": run_id, **to_columns(finding)} for finding in findings)
    db.table("findings").upsert_all(rows, pk=("run", "case", "finding"))


def _put_metrics(db: Database, run_id: str, profile: str, metrics: Metrics) -> None:
    rows = [
        {
            "run": run_id,
            "profile": profile,
            "metric": metric,
            "grp": group,
            "value": cell["value"],
            "low": cell["ci95"][0] if cell["ci95"] else None,
            "high": cell["ci95"][1] if cell["ci95"] else None,
            "n": cell["n"],
            "cases": cell["cases"],
        }
        for metric, groups in metrics.items()
        for group, cell in cells(groups)
    ]
    db.execute("delete from metrics where run = ? and profile = ?", [run_id, profile])
    db.table("metrics").insert_all(rows)


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    readonly = mode == "ro"
    try:
        return open_database(path, readonly=readonly, timeout=BUSY_TIMEOUT_S)
    except sqlite3.Error as error:
        # Reading a WAL database creates a file beside it. Where the folder is read-only and no writer has left such a
        # file, the database cannot change, and SQLite can open it as immutable.
        if not readonly or "readonly" not in str(error) or path.with_name(f"{path.name}-wal").exists():
            raise
        return open_database(path, readonly=True, immutable=True, timeout=BUSY_TIMEOUT_S)


def cells(groups: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield (name, cell) of every number in groups inside groups, which are named ``by_category/1a``."""
    for name, value in groups.items():
        if "value" in value:
            yield f"{within}{name}", value
        else:
            yield from cells(value, f"{within}{name}/")


def to_columns(row: RunRow | CaseRow | FindingRow) -> dict[str, Any]:
    """Turn a row into database values: booleans to 0/1, lists and dicts to JSON."""
    values = asdict(row)
    if isinstance(row, FindingRow):
        values |= {"verdict": row.verdict.to_json() if row.verdict else {}, "details": row.details.to_json()}
    for key, value in values.items():
        if isinstance(value, bool):
            values[key] = int(value)
        elif isinstance(value, dict | list):
            values[key] = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return values


def _run_from(row: Mapping[str, Any]) -> RunRow:
    values = columns_of(row, RunRow)
    values |= {name: cell_json(row, name) for name in ("unrankable", "plan", "record", "timing")}
    values |= {name: bool(values[name]) for name in ("fine_tuned", "rankable")}
    return made_of(RunRow, values)


def _case_from(row: Mapping[str, Any]) -> CaseRow:
    values = columns_of(row, CaseRow)
    return made_of(CaseRow, {**values, "scored": bool(values["scored"]), "evidence": cell_json(row, "evidence")})


def _finding_from(row: Mapping[str, Any]) -> FindingRow:
    values = columns_of(row, FindingRow)
    verdict, details = cell_json(row, "verdict"), cell_json(row, "details")
    try:
        values["verdict"] = MaskVerdict.from_json(verdict) if verdict else None
        values["details"] = FindingDetails.from_json(details)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise OddCell(f"verdict or details: {error!r}") from error
    return made_of(FindingRow, values)


def _explained(error: Exception, path: Path) -> BenchError:
    """Convert a failure of SQLite or of the file system into an error with a fix."""
    text = str(error)
    if (shared := shared_file_system(path)) and any(word in text for word in ("lock", "busy", "I/O")):
        return PrerequisiteError(
            f"the results database {path} cannot be used on its file system ({shared}): {text}; its locks do not work "
            "there, or another machine holds them",
            fix="copy it to a local disk and name the copy with --db",
        )
    if "locked" in text or "busy" in text:
        return PrerequisiteError(
            f"another process has held {path} for more than {BUSY_TIMEOUT_S:.0f} s",
            fix="wait for it to end, or use another --home; finished cases are kept",
        )
    if "disk is full" in text or "No space" in text:
        return PrerequisiteError(
            f"the disk of {path} is full", fix="free some space and run the same command again", lacking="disk"
        )
    if any(
        word in text for word in ("not a database", "malformed", "no such", "not only tables", "interrupted", "UTF")
    ):
        return DataError(
            f"{path} is not a results database of groundbench: {text}",
            fix="move it away or use another --home",
            path=path,
        )
    if _on_read_only_disk(path):
        # SQLite's message depends on its first step: to write, to open its log, to recover.
        return PrerequisiteError(f"the disk of {path} is read-only", fix="mount it for writing, or use another --home")
    return PrerequisiteError(f"cannot use the results database {path}: {text}", fix="check the folder's permissions")


def _on_read_only_disk(path: Path) -> bool:
    try:
        return bool(os.statvfs(path.parent).f_flag & os.ST_RDONLY)
    except OSError:
        return False
