"""The same tables as files for programs: SQLite, JSON, CSV and Parquet, with their checksums.

Tables are written row by row, since those of single scores are large.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

from harness.host.spreadsheets import harmless
from leaderboard.pages.attribution import attribution, notice
from leaderboard.pages.page import file_name
from leaderboard.pages.queries import as_file
from leaderboard.published.database import TABLES, Published
from leaderboard.published.standing import REPLACED

#: Tables that are written as CSV and Parquet too: those that a person works with.
_FLAT: Final = ("data_sets", "runs", "metrics", "placements", "findings", "scores", "instances", "comparisons")

#: JSON is for reading the board, not for every single score.
_DOCUMENT: Final = tuple(name for name in TABLES if name not in {"findings", "scores", "instances", "cases"})

#: Rows that are held at a time where a format wants many at once.
_AT_A_TIME: Final = 1 << 16


@dataclass(frozen=True)
class File:
    """One file of the downloads page, and where it lies while the site is built."""

    name: str
    content: str
    path: Path

    @property
    def data(self) -> bytes:
        """Its bytes."""
        return self.path.read_bytes()

    @property
    def size(self) -> int:
        """Bytes."""
        return self.path.stat().st_size

    @cached_property
    def sha256(self) -> str:
        """Digest of the content."""
        with self.path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()


def make_files(published: Published, folder: Path, *, parquet: bool) -> list[File]:
    """Write the tables in every format; the same database gives the same bytes.

    Parameters
    ----------
    published
        The site's database.
    folder
        Where they are written; it exists.
    parquet
        Whether to write Parquet as well.
    """

    def file(name: str, content: str) -> File:
        return File(name, content, folder / name)

    files = [
        file("LICENCE.txt", "whose the texts are"),
        file("results.sqlite", "every table"),
        file("queries.sql", "questions to the SQLite file, as below"),
        file("results.json", "runs, metrics, comparisons and ranks"),
    ]
    licence, database, queries, document = (one.path for one in files)
    licence.write_text(notice(map(attribution, published.data_sets())), encoding="utf-8")
    published.save(database)
    queries.write_bytes(as_file())
    _write_json(published, document)
    for table in _FLAT:
        files.append(file(f"{table}.csv", TABLES[table]))
        _write_csv(published.columns(table), published.rows(table), files[-1].path)
        if parquet:
            files.append(file(f"{table}.parquet", TABLES[table]))
            _write_parquet(published, table, files[-1].path)
    files += [file(name, f"single scores of {run}: a finding in each line") for run, name in _single(published, folder)]
    return files


def scores_name(run: str) -> str:
    """Return the name of the file of a run's single scores among the downloads."""
    return f"scores/{file_name(run)}.csv"


def _single(published: Published, folder: Path) -> Iterator[tuple[str, str]]:
    """Write the single scores of every row of an open data set that stands; yield run and name of the file."""
    (folder / "scores").mkdir()
    columns = ("case", "finding", "category", *published.columns("scores")[2:])
    picked = ", ".join(f'"{name}"' for name in columns)
    query = f"select {picked} from scores join findings using (number) where run = ? order by number"  # noqa: S608
    for data in published.data_sets():
        for run in published.runs(data.id) if data.open else ():
            if any(reason.startswith(REPLACED) for reason in run.apart):
                continue
            rows = published.db.execute(query, [run.id])
            if (first := rows.fetchone()) is not None:
                name = scores_name(run.id)
                _write_csv(columns, (tuple(row) for row in chain([first], rows)), folder / name)
                yield run.id, name


def checksums(files: Iterable[File]) -> bytes:
    """Return the content of ``SHA256SUMS``."""
    return "".join(f"{file.sha256}  {file.name}\n" for file in files).encode()


def _write_json(published: Published, path: Path) -> None:
    """Write a document of tables, a row in each line."""
    with path.open("w", encoding="utf-8", errors="replace", newline="\n") as stream:
        for number, table in enumerate(_DOCUMENT):
            columns = published.columns(table)
            stream.write(f"{',' if number else '{'}\n{json.dumps(table)}: [")
            for place, row in enumerate(published.rows(table)):
                line = json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False)
                stream.write(f"{',' if place else ''}\n{line}")
            stream.write("\n]")
        stream.write("\n}\n")


def _write_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]], path: Path) -> None:
    with path.open("w", encoding="utf-8", errors="replace", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([harmless(value) for value in row] for row in rows)


def _write_parquet(published: Published, table: str, path: Path) -> None:
    import pyarrow as pa  # type: ignore[import-untyped]
    from pyarrow import parquet

    kinds = {"text": pa.string(), "integer": pa.int64(), "real": pa.float64()}
    info = published.db.execute(f"pragma table_info({table})").fetchall()
    schema = pa.schema([(column["name"], kinds[column["type"].lower()]) for column in info])
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for rows in _batches(published.rows(table)):
            writer.write_table(pa.table(list(map(list, zip(*rows, strict=True))), schema=schema))


def _batches(rows: Iterator[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    while batch := list(islice(rows, _AT_A_TIME)):
        yield batch
