"""The tables of a text folder: findings, instances and cases as CSV, every number with every digit.

A table has one form: fixed columns, the order of the split, one spelling of every value. What is read is written again
and has to give the same bytes, so that no reader sees another table in the file than this one does.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from harness.errors import DataError
from harness.rows import CaseRow, FindingDetails, FindingRow, InstanceCounts, InstanceRow, Matches, Other, Others
from harness.status import Status
from harness.submissions.text_files import CASES, FINDINGS, INSTANCES, plain, shown

#: Findings of a row, and categories: sums over more would take a stranger's time and memory from the reader.
_MOST_FINDINGS, _MOST_CATEGORIES = 10_000, 64

#: Characters of a name, of any other text.
_NAME, _TEXT = 200, 20_000

_INTEGER = re.compile(r"0|[1-9][0-9]{0,17}")
#: One line without a slash, a quotation mark, or a character that a spreadsheet calculates with at its beginning.
_PLAIN_NAME = re.compile(r"[^\W_][^/\\\x00-\x1f\x7f\"']*|_[^/\\\x00-\x1f\x7f\"']+")
_SHA256 = re.compile(r"[0-9a-f]{64}")

Cell = str | int | float | bool | None


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise ValueError("is not a whole number from 0")
    return int(text)


def _number(text: str) -> float:
    number = float(text) if len(text) < 32 else math.nan
    if not math.isfinite(number) or repr(number) != text:
        raise ValueError("is not a number with all of its digits")
    return number


def _flag(text: str) -> bool:
    if text not in {"yes", "no"}:
        raise ValueError("is neither yes nor no")
    return text == "yes"


def _text(text: str) -> str:
    if len(text) > _TEXT or not plain(text):
        raise ValueError("is too long or has control characters")
    return text


def _pattern(pattern: re.Pattern[str], what: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if len(text) > _NAME or not pattern.fullmatch(text):
            raise ValueError(f"is not {what}")
        return text

    return read


def _one_of(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"is none of {', '.join(words)}")
        return text

    return read


_name = _pattern(_PLAIN_NAME, "a plain name")
_digest = _pattern(_SHA256, "a SHA-256 (64 hexadecimal digits)")
_status = _one_of(*Status)

#: Column -> its reader. An empty cell is None, but for a text.
_FINDINGS: Final[Mapping[str, Callable[[str], Cell]]] = {
    "case": _name, "finding": _name, "index": _integer, "category": _name, "text": _text,
    "text_sha256": _digest, "status": _status, "reason": _text, "dice": _number, "truth_voxels": _integer,
    "pred_voxels": _integer, "intersection": _integer, "mask_sha256": _digest, "truth_entities": _integer,
    "size_ratio": _number, "kept_voxels": _integer, "kept_intersection": _integer,
    "overlap_tp": _integer, "overlap_fp": _integer, "overlap_fn": _integer, "matched_dice": _number,
    "distance_tp": _integer, "distance_fp": _integer, "distance_fn": _integer, "instances": _integer,
    "others": _flag, "other_truth": _name, "other_truth_dice": _number, "other_mask": _name,
    "other_mask_dice": _number, "prior": _flag, "shares_patient": _flag,
}  # fmt: skip
_INSTANCES: Final[Mapping[str, Callable[[str], Cell]]] = {
    "case": _name, "finding": _name, "side": _one_of("truth", "prediction"), "label": _integer, "voxels": _integer,
    "mm3": _number, "status": _one_of("found", "missed", "true", "false"), "matched": _integer, "dice": _number,
    "distance_status": _one_of("found", "missed", "true", "false"), "distance_matched": _integer,
    "distance_mm": _number,
}  # fmt: skip
_CASES: Final[Mapping[str, Callable[[str], Cell]]] = {
    "case": _name, "ordinal": _integer, "status": _status, "reason": _text, "seconds": _number,
    "host_bytes": _integer, "device_bytes": _integer, "attempts": _integer, "scored": _flag,
}  # fmt: skip
_COLUMNS: Final = {FINDINGS: _FINDINGS, INSTANCES: _INSTANCES, CASES: _CASES}

#: Columns that are texts; those that no row may leave empty.
_TEXTS: Final = ("text", "reason")
_NEEDED: Final = {
    FINDINGS: ("case", "finding", "index", "text_sha256", "status", "dice", "others"),
    INSTANCES: ("case", "finding", "side", "label", "voxels", "status"),
    CASES: ("case", "ordinal", "status", "attempts", "scored"),
}


def write_table(name: str, rows: Iterable[Mapping[str, Cell]]) -> bytes:
    """Return a table in its one form; `name` is that of its file."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    columns = list(_COLUMNS[name])
    writer.writerow(columns)
    writer.writerows([_written(row[column]) for column in columns] for row in rows)
    return stream.getvalue().encode()


def _written(value: Cell) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return repr(value) if isinstance(value, float) else str(value)


def read_table(name: str, content: bytes) -> list[dict[str, Any]]:
    """Return the rows of a table that :func:`write_table` wrote; None stands for an empty cell that is not a text.

    Raises
    ------
    DataError
        A column, a value or the form of the file is another; the line is named.
    """
    columns = _COLUMNS[name]
    rows: list[dict[str, Any]] = []
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _refused(name, f"is not UTF-8 text (byte {error.start})") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        if next(reader, None) != list(columns):
            raise _refused(name, f"has other columns than {', '.join(columns)}")
        for cells in reader:
            if len(cells) != len(columns):
                raise _refused(name, f"has {len(cells)} cells in line {reader.line_num}, not {len(columns)}")
            rows.append({})
            for (column, read), cell in zip(columns.items(), cells, strict=True):
                rows[-1][column] = _value(column, read, cell, needed=column in _NEEDED[name])
    except (ValueError, csv.Error) as error:
        raise _refused(name, f"line {reader.line_num}: {shown(error)}") from error
    if write_table(name, rows) != content:
        raise _refused(name, "is not in the form in which `bench submit` writes it")
    return rows


def _value(column: str, read: Callable[[str], Cell], cell: str, *, needed: bool) -> Cell:
    if not cell and column not in _TEXTS:
        if needed:
            raise ValueError(f"{column} is empty")
        return None
    try:
        return read(cell)
    except ValueError as error:
        raise ValueError(f"{column} {shown(cell, 40)!r} {error}") from error


def _refused(name: str, why: str) -> DataError:
    return DataError(f"{name} {why}", fix="make the folder again with `bench submit`, and change nothing in it")


@dataclass(frozen=True)
class Tables:
    """What the tables of a folder say.

    Attributes
    ----------
    cases, findings
        As rows of the database, in the order of the split; a text that is not published is empty.
    texts
        SHA-256 of the text of every finding.
    """

    cases: tuple[CaseRow, ...]
    findings: tuple[FindingRow, ...]
    texts: Mapping[tuple[str, str], str]


def tables_of(
    cases: Sequence[CaseRow], findings: Sequence[FindingRow], texts: Mapping[tuple[str, str], str]
) -> dict[str, bytes]:
    """Return the files of the three tables.

    Parameters
    ----------
    cases, findings
        In the order of the split, with texts and reasons as they are to be published.
    texts
        SHA-256 of the text of every finding.
    """
    return {
        CASES: write_table(CASES, [{column: getattr(case, column) for column in _CASES} for case in cases]),
        FINDINGS: write_table(FINDINGS, [_cells(row, texts[row.case, row.finding]) for row in findings]),
        INSTANCES: write_table(
            INSTANCES,
            [
                {"case": row.case, "finding": row.finding}
                | {column: getattr(one, column) for column in list(_INSTANCES)[2:]}
                for row in findings
                for one in row.details.rows or ()
            ],
        ),
    }


def read_tables(files: Mapping[str, bytes]) -> Tables:
    """Return the rows of the three tables of a folder.

    Raises
    ------
    DataError
        A file is missing or not in its form, or a row is there twice.
    """
    for name in _COLUMNS:
        if name not in files:
            raise DataError(f"{name} is missing", fix="make the folder again with `bench submit`")
    instances: dict[tuple[str, str], list[InstanceRow]] = {}
    for cells in read_table(INSTANCES, files[INSTANCES]):
        key = cells.pop("case"), cells.pop("finding")
        instances.setdefault(key, []).append(InstanceRow(**cells))
    found = read_table(FINDINGS, files[FINDINGS])
    if len(found) > _MOST_FINDINGS or len({cells["category"] for cells in found}) > _MOST_CATEGORIES:
        raise _refused(FINDINGS, f"has more than {_MOST_FINDINGS:,} findings, or {_MOST_CATEGORIES} categories")
    rows = tuple(_row(cells, instances) for cells in found)
    cases = tuple(CaseRow(**cells) for cells in read_table(CASES, files[CASES]))
    _once(FINDINGS, [(row.case, row.finding) for row in rows])
    _once(CASES, [(case.case,) for case in cases])
    if instances.keys() - {(row.case, row.finding) for row in rows}:
        raise _refused(INSTANCES, f"has instances of a finding that {FINDINGS} lacks")
    return Tables(cases, rows, {(cells["case"], cells["finding"]): cells["text_sha256"] for cells in found})


def _once(name: str, keys: Sequence[tuple[str, ...]]) -> None:
    seen: set[tuple[str, ...]] = set()
    for key in keys:
        if key in seen:
            raise _refused(name, f"has {'/'.join(key)} twice")
        seen.add(key)


def _cells(row: FindingRow, text_sha256: str) -> dict[str, Cell]:
    details = row.details
    counts, others = details.instances, details.others
    cells: dict[str, Cell] = {
        "text_sha256": text_sha256,
        "truth_entities": details.truth_entities,
        "size_ratio": details.size_ratio,
        "kept_voxels": None if counts is None else counts.kept_voxels,
        "kept_intersection": None if counts is None else counts.kept_intersection,
        "matched_dice": None if counts is None else counts.matched_dice,
        "instances": None if details.rows is None else len(details.rows),
        "others": others is not None,
        "prior": details.prior,
        "shares_patient": details.shares_patient,
    }
    for kind in ("overlap", "distance"):
        matches = None if counts is None else getattr(counts, kind)
        cells |= {f"{kind}_{name}": matches and getattr(matches, name) for name in ("tp", "fp", "fn")}
    for kind in ("truth", "mask"):
        other = None if others is None else getattr(others, kind)
        cells |= {f"other_{kind}": other and other.finding, f"other_{kind}_dice": other and other.dice}
    return {column: cells[column] if column in cells else getattr(row, column) for column in _FINDINGS}


def _row(cells: Mapping[str, Any], instances: Mapping[tuple[str, str], Sequence[InstanceRow]]) -> FindingRow:
    key = cells["case"], cells["finding"]
    number = cells["instances"]
    own = tuple(instances.get(key, ()))
    if len(own) != (number or 0):
        raise _refused(FINDINGS, f"{'/'.join(key)} counts {number or 0} instances, {INSTANCES} has {len(own)}")
    counts = None
    if cells["kept_voxels"] is not None:
        overlap = _matches(cells, "overlap")
        if overlap is None or None in (cells["kept_intersection"], cells["matched_dice"]):
            raise _refused(FINDINGS, f"{'/'.join(key)} counts only a part of its instances")
        counts = InstanceCounts(
            cells["kept_voxels"],
            cells["kept_intersection"],
            overlap,
            cells["matched_dice"],
            _matches(cells, "distance"),
        )
    details = FindingDetails(
        truth_entities=cells["truth_entities"],
        size_ratio=cells["size_ratio"],
        instances=counts,
        rows=None if number is None else own,
        others=Others(_other(cells, "truth"), _other(cells, "mask")) if cells["others"] else None,
        prior=cells["prior"],
        shares_patient=cells["shares_patient"],
    )
    plain_columns = (
        *("case", "finding", "index", "category", "text", "status", "reason", "dice", "truth_voxels", "pred_voxels"),
        *("intersection", "mask_sha256"),
    )
    return FindingRow(**{column: cells[column] for column in plain_columns}, details=details)


def _matches(cells: Mapping[str, Any], kind: str) -> Matches | None:
    found = [cells[f"{kind}_{name}"] for name in ("tp", "fp", "fn")]
    return None if None in found else Matches(*found)


def _other(cells: Mapping[str, Any], kind: str) -> Other | None:
    name, dice = cells[f"other_{kind}"], cells[f"other_{kind}_dice"]
    return None if name is None or dice is None else Other(name, dice)
