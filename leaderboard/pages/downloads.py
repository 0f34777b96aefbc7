"""The same tables as files for programs: SQLite, JSON, CSV and Parquet, with their checksums."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from dataclasses import dataclass

from leaderboard.pages.attribution import attribution, notice
from leaderboard.pages.queries import as_file
from leaderboard.published.database import TABLES, Published

#: Tables that are written as CSV and Parquet too: those that a person works with.
_FLAT = ("data_sets", "runs", "metrics", "placements", "findings", "scores", "instances", "comparisons")

#: JSON is for reading the board, not for every single score.
_DOCUMENT = tuple(name for name in TABLES if name not in {"findings", "scores", "instances", "cases"})


@dataclass(frozen=True)
class File:
    """One file of the downloads page."""

    name: str
    content: str
    data: bytes

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.data)

    @property
    def sha256(self) -> str:
        """Digest of the content."""
        return hashlib.sha256(self.data).hexdigest()


def make_files(published: Published, *, parquet: bool) -> list[File]:
    """Write the tables in every format; the same database gives the same bytes.

    Parameters
    ----------
    published
        The site's database.
    parquet
        Whether to write Parquet as well.
    """
    files = [
        File("LICENCE.txt", "whose the texts are", notice(map(attribution, published.data_sets())).encode()),
        File("results.sqlite", "every table", published.seal()),
        File("queries.sql", "questions to the SQLite file, as below", as_file()),
        File("results.json", "runs, metrics, comparisons and ranks", _json(published)),
    ]
    for table in _FLAT:
        files.append(File(f"{table}.csv", TABLES[table], _csv(published, table)))
        if parquet:
            files.append(File(f"{table}.parquet", TABLES[table], _parquet(published, table)))
    return files


def checksums(files: list[File]) -> bytes:
    """Return the content of ``SHA256SUMS``."""
    return "".join(f"{file.sha256}  {file.name}\n" for file in files).encode()


def _json(published: Published) -> bytes:
    document: dict[str, object] = {}
    for table in _DOCUMENT:
        columns = published.columns(table)
        document[table] = [dict(zip(columns, row, strict=True)) for row in published.rows(table)]
    return json.dumps(document, ensure_ascii=False, indent=1).encode() + b"\n"


def _csv(published: Published, table: str) -> bytes:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(published.columns(table))
    writer.writerows([_harmless(value) for value in row] for row in published.rows(table))
    return stream.getvalue().encode("utf-8", "replace")


def _harmless(value: object) -> object:
    """Keep a spreadsheet from reading a text as a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _parquet(published: Published, table: str) -> bytes:
    import pyarrow as pa  # type: ignore[import-untyped]
    from pyarrow import parquet

    kinds = {"text": pa.string(), "integer": pa.int64(), "real": pa.float64()}
    info = published.db.execute(f"pragma table_info({table})").fetchall()
    schema = pa.schema([(column["name"], kinds[column["type"].lower()]) for column in info])
    columns = list(zip(*published.rows(table), strict=True)) or [()] * len(schema)
    stream = io.BytesIO()
    parquet.write_table(pa.table(list(map(list, columns)), schema=schema), stream, compression="zstd")
    return stream.getvalue()
