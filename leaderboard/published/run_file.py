"""What is of one run alone, as a SQLite file of its own: its metrics, single scores and lesions, cases, and training.

It follows from what is stored of that run and never changes with the others of the board, so that a new run is one new
file. Findings are named in it by case and finding. ``join.py`` of the downloads makes one database of all of them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

from harness.foreign import open_database, parse_json
from leaderboard.published.kept import Kept

#: A table's rows, each with a value for every column, in their order.
Tables = dict[str, list[list[Any]]]


@dataclass(frozen=True)
class RunTable:
    """A table of a run's file.

    Attributes
    ----------
    what
        What a row of it is.
    key, columns
        Name -> type of the columns that a row is known by, and of the others.
    """

    what: str
    key: Mapping[str, str]
    columns: Mapping[str, str]

    @property
    def names(self) -> list[str]:
        """The names of all columns."""
        return [*self.key, *self.columns]


_FINDING: Final = {"case": "text", "finding": "text"}

#: The tables of a run's file.
RUN_TABLES: Final[Mapping[str, RunTable]] = {
    "coverage": RunTable(
        "findings of a run, by how they ended; no number stands for one to four of a closed split",
        {"status": "text"},
        {"n": "integer"},
    ),
    "placements": RunTable(
        "findings of a run by where their masks lie, of so many where it is known, with the 95 % interval of the "
        "share; of a closed split no number stands for one to four",
        {"placement": "text"},
        {"n": "integer", "of": "integer", "low": "real", "high": "real", "cases": "integer"},
    ),
    "metrics": RunTable(
        "one metric of a run under a profile, for one group of findings, with its 95 % interval and of how many cases "
        "it is",
        {"profile": "text", "metric": "text", "grp": "text"},
        {"value": "real", "low": "real", "high": "real", "n": "integer not null", "cases": "integer"},
    ),
    "scores": RunTable(
        "one run on one finding: voxels of the mask and of its overlap with the truth, both again of the components "
        "that are kept, single lesions found (tp), falsely marked (fp) and missed (fn), by Dice and by distance; where "
        "its mask lies, and the other findings it is most like",
        _FINDING,
        {
            "status": "text not null",
            "dice": "real not null",
            "pred_voxels": "integer",
            "intersection": "integer",
            "kept_voxels": "integer",
            "kept_intersection": "integer",
            "truth_entities": "integer",
            **dict.fromkeys(("tp", "fp", "fn", "distance_tp", "distance_fp", "distance_fn"), "integer"),
            "placement": "text not null",
            "other_truth": "text",
            "other_truth_dice": "real",
            "other_mask": "text",
            "other_mask_dice": "real",
        },
    ),
    "instances": RunTable(
        "one entity of the truth, or one component of a mask, and what it was matched with",
        _FINDING | {"side": "text", "label": "integer"},
        {
            "voxels": "integer not null",
            "mm3": "real",
            "status": "text not null",
            "matched": "integer",
            "dice": "real",
            "distance_status": "text",
            "distance_matched": "integer",
            "distance_mm": "real",
        },
    ),
    "cases": RunTable(
        "how one case of a run on an open split ended; what its seconds were spent on by the model's own word",
        {"case": "text"},
        {
            "status": "text not null",
            "reason": "text not null",
            "seconds": "real",
            "host_bytes": "integer",
            "device_bytes": "integer",
            "attempts": "integer not null",
            **dict.fromkeys(("read_s", "compute_s", "write_s", "wait_s"), "real"),
        },
    ),
    "training": RunTable(
        "what the training of a fine-tuned variant reported at one step: losses, and Dice on the val split",
        {"step": "integer"},
        {"steps": "integer not null", "losses": "text not null", "val_dice": "real"},
    ),
}

#: Those that the board's database has too, of the rows that stand: sums over many findings.
SUMS: Final = ("coverage", "placements", "metrics")

_ABOUT: Final = "create table about (name text primary key, value text not null) without rowid"


def table_of_run(name: str) -> str:
    """Return the statement that makes a table of one run's file."""
    return _create(name, RUN_TABLES[name].key)


def table_of_runs(name: str) -> str:
    """Return the statement that makes a table of the same rows of many runs, where a number stands for a finding."""
    key = RUN_TABLES[name].key
    numbered = _FINDING.keys() <= key.keys()
    own = {column: kind for column, kind in key.items() if not (numbered and column in _FINDING)}
    return _create(name, {"run": "text", **({"number": "integer"} if numbered else {}), **own})


def _create(name: str, key: Mapping[str, str]) -> str:
    columns = ", ".join(f'"{column}" {kind}' for column, kind in {**key, **RUN_TABLES[name].columns}.items())
    known_by = ", ".join(f'"{column}"' for column in key)
    return f"create table {name} ({columns}, primary key ({known_by})) without rowid"


def make_run_file(about: Mapping[str, str], tables: Tables) -> bytes:
    """Return a run's file; the same rows give the same bytes.

    Parameters
    ----------
    about
        Facts about the file: schema, run, data set, who may see it, and whether its split is open.
    tables
        Its tables; one that is not there is empty.
    """
    with closing(open_database(None)) as db:
        db.execute("pragma page_size = 1024")  # most of its tables are small
        db.execute(_ABOUT)
        db.executemany("insert into about values (?, ?)", about.items())
        for name, table in RUN_TABLES.items():
            db.execute(table_of_run(name))
            places = ", ".join("?" * len(table.names))
            db.executemany(f"insert into {name} values ({places})", tables.get(name, ()))  # noqa: S608 - our own names
        db.commit()
        return db.serialize()


def read_sums(sums: Kept) -> Tables:
    """Return the tables of :data:`SUMS` that were kept as JSON."""
    content = sums.read()
    found: Tables = parse_json(content, finite=False, levels=len(content))  # its digest is right: it is ours
    return found


class RunFile:
    """A run's file that is read; `content` as of :func:`make_run_file`."""

    def __init__(self, content: bytes) -> None:
        self._db = open_database(None)
        self._db.deserialize(content)
        self._db.row_factory = sqlite3.Row

    def rows(self, table: str, columns: Sequence[str] = (), case: str | None = None) -> Iterable[sqlite3.Row]:
        """Return the rows of a table in the order of its key; some columns, or those of one case: by default all."""
        picked = ", ".join(f'"{name}"' for name in columns or RUN_TABLES[table].names)
        key = ", ".join(f'"{name}"' for name in RUN_TABLES[table].key)
        of = 'where "case" = ?' if case is not None else ""
        return self._db.execute(
            f"select {picked} from {table} {of} order by {key}",  # noqa: S608 - our own names
            [] if case is None else [case],
        )

    def close(self) -> None:
        """Let go of it."""
        self._db.close()
