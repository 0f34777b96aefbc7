"""The same tables as files for programs: SQLite, JSON, CSV and Parquet, with their checksums.

Tables are written row by row, since those of single scores are large.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import Any, Final, TextIO

from harness.host.spreadsheets import harmless
from leaderboard.pages.attribution import attribution, notice
from leaderboard.pages.joining import join_script
from leaderboard.pages.page import file_name
from leaderboard.pages.queries import as_file
from leaderboard.published.database import Published
from leaderboard.published.kept import Kept, digest_of, in_use
from leaderboard.published.run_file import RUN_TABLES
from leaderboard.published.standing import stands
from leaderboard.published.tables import TABLES

#: Tables that are written as CSV and Parquet too: those that a person works with.
_FLAT: Final = ("data_sets", "runs", "metrics", "placements", "findings", "comparisons")

#: JSON is for reading the board, not for single findings.
_DOCUMENT: Final = tuple(name for name in TABLES if name != "findings")

#: Rows that are held at a time where a format wants many at once.
_AT_A_TIME: Final = 1 << 16


@dataclass(frozen=True)
class File:
    """One file of the downloads: its name below them, what it holds, and where it lies while the site is built."""

    name: str
    content: str
    at: Path | Kept

    @property
    def data(self) -> bytes:
        """Its bytes."""
        return self.at.read() if isinstance(self.at, Kept) else self.at.read_bytes()

    @property
    def size(self) -> int:
        """Bytes."""
        return self.at.size if isinstance(self.at, Kept) else self.at.stat().st_size

    @cached_property
    def sha256(self) -> str:
        """Digest of the content."""
        if isinstance(self.at, Kept):
            return self.at.sha256.hex()
        with self.at.open("rb") as stream:
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

    def path(name: str, content: str) -> Path:
        files.append(File(name, content, folder / name))
        return folder / name

    files: list[File] = []
    path("LICENCE.txt", "whose the texts are").write_text(
        notice(map(attribution, published.data_sets())), encoding="utf-8"
    )
    published.save(path("results.sqlite", "every table"))
    path("join.py", "adds the files of single runs to results.sqlite").write_bytes(join_script())
    path("queries.sql", "questions to the SQLite file, as below").write_bytes(as_file())
    _write_json(published, path("results.json", "runs, metrics, comparisons and ranks"))
    for table in _FLAT:
        _write_csv(published.columns(table), published.rows(table), path(f"{table}.csv", TABLES[table]))
        if parquet:
            _write_parquet(published, table, path(f"{table}.parquet", TABLES[table]))
    return [*files, *_of_runs(published)]


def run_file_name(run: str) -> str:
    """Return the name of the file of a run among the downloads."""
    return f"runs/{file_name(run)}.sqlite"


def scores_name(run: str) -> str:
    """Return the name of the file of a run's single scores among the downloads."""
    return f"scores/{file_name(run)}.csv"


def _of_runs(published: Published) -> Iterator[File]:
    """Yield the file of every run, and the single scores of every row of an open data set that stands."""
    for data in published.data_sets():
        findings = published.findings(data.id)
        categories = {one.number: (one.case, one.finding, one.category) for one in findings}
        digest = digest_of(list(categories.items()))
        for run in published.runs(data.id):
            if (own := published.contributed.get(run.id)) is None:
                continue
            yield File(run_file_name(run.id), f"everything of {run.id}", own.file)
            if data.open and stands(run.apart):
                made = in_use().result(
                    "scores.csv", (own.file.sha256, digest), partial(_scores, published, run.id, categories)
                )
                yield File(scores_name(run.id), f"single scores of {run.id}: a finding in each line", made)


def _scores(published: Published, run: str, categories: Mapping[int, Sequence[Any]]) -> bytes:
    """Return the single scores of a run as CSV."""
    table = RUN_TABLES["scores"]
    rows = published.single(run, "scores")
    with io.StringIO() as stream:
        _csv(["case", "finding", "category", *table.columns], ((*categories[n], *row) for n, row in rows), stream)
        return stream.getvalue().encode("utf-8", "replace")


def checksums(files: Iterable[File]) -> bytes:
    """Return the content of ``SHA256SUMS``."""
    return "".join(f"{file.sha256}  {file.name}\n" for file in files).encode()


def _write_json(published: Published, path: Path) -> None:
    """Write a document of tables, a row in each line."""
    encode = json.JSONEncoder(ensure_ascii=False).encode  # a call of `dumps` makes one for each row
    with path.open("w", encoding="utf-8", errors="replace", newline="\n") as stream:
        for number, table in enumerate(_DOCUMENT):
            columns = published.columns(table)
            stream.write(f"{',' if number else '{'}\n{json.dumps(table)}: [")
            for place, row in enumerate(published.rows(table)):
                line = encode(dict(zip(columns, row, strict=True)))
                stream.write(f"{',' if place else ''}\n{line}")
            stream.write("\n]")
        stream.write("\n}\n")


def _write_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]], path: Path) -> None:
    with path.open("w", encoding="utf-8", errors="replace", newline="") as stream:
        _csv(columns, rows, stream)


def _csv(columns: Sequence[str], rows: Iterable[Sequence[Any]], stream: TextIO) -> None:
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    safe = lru_cache(maxsize=1 << 12)(harmless)  # the same names stand in many rows
    writer.writerows([safe(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)


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
