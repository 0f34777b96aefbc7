"""Read reports from a CSV file, whatever is wrong with some of its rows."""

from __future__ import annotations

import codecs
import csv
import html
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from curation.records import Report
from harness.errors import DataError, UnknownName, UsageError
from harness.foreign import unzipped

#: Names that a column may have, the commonest first; case, blanks and underscores do not count.
COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "id": ("VolumeName", "id", "AccessionNo", "study_id", "case", "name"),
    "findings": ("Findings_EN", "findings", "finding"),
    "impressions": ("Impressions_EN", "impressions", "impression"),
}

#: Characters of a section beyond which a row is set aside: the longest of CT-RATE has a few thousand.
LONGEST: Final = 100_000

#: Bytes of a file, unpacked, beyond which it is not read: all 25,692 reports of CT-RATE have 60 million.
MOST_BYTES: Final = 2**30

_EMPTY = re.compile(r"(?:not\s+(?:given|available|provided)|n/?a|none|nan|-+)?[.\s]*", re.IGNORECASE)
_TAG = re.compile(
    r"</?(?:p|br|b|i|u|em|strong|div|span|li|ul|ol|table|tr|td|th|tbody|h[1-6]|html|body|head|font|a|sup|sub|script|style|!--)\b[^<>]*>|<br>",
    re.IGNORECASE,
)
_BREAKING = re.compile(r"<(?:/p|br|/div|li|/tr|/h[1-6])\b[^<>]*>", re.IGNORECASE)
_SEPARATOR_LINE = re.compile(r"\A\ufeff?\"?sep=.\"?\r?\n", re.IGNORECASE)  # a spreadsheet's own first line
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@dataclass(frozen=True)
class RowProblem:
    """A problem in one row of the file."""

    row: int  #: line number of a spreadsheet: the header is row 1
    id: str
    what: str
    lost: bool  #: whether the row was set aside; False: it goes on


@dataclass
class Reports:
    """What a file held."""

    reports: list[Report] = field(default_factory=list)
    problems: list[RowProblem] = field(default_factory=list)
    encoding: str = ""
    by_id: dict[str, Report] = field(default_factory=dict, repr=False)


def read_reports(path: Path, *, columns: Mapping[str, str] | None = None, encoding: str | None = None) -> Reports:
    """Read a ``.csv`` or ``.csv.gz`` file of reports.

    Parameters
    ----------
    path
        A file with a header, its cells separated by commas, semicolons, tabs or bars.
    columns
        Which column is the ``id``, the ``findings``, the ``impressions``; unnamed ones are searched for among
        :data:`COLUMNS`.
    encoding
        By default UTF-8 or, with a byte order mark, UTF-16; else Windows-1254 (Turkish and Western European).

    Raises
    ------
    UsageError
        The file, a column or the encoding does not exist.
    DataError
        The file is not CSV, its header lacks the columns, or it has no rows that can be used.
    """
    text, used = decode(path, encoding)
    if other := _not_csv(text):
        raise DataError(f"{path} is {other}, not CSV", fix="export it as CSV in UTF-8, one report a row")
    if _is_wide(text):
        raise DataError(f"{path} is UTF-16 without a byte order mark", fix="give --encoding utf-16-le or utf-16-be")
    csv.field_size_limit(2**31 - 1)
    text = _SEPARATOR_LINE.sub("", text, count=1)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter_of(text))
    result = Reports(encoding=used)
    try:
        header = next(rows, [])
        where = _find_columns(header, columns or {}, path)
        for number, row in enumerate(rows, start=2):
            if any(cell.strip() for cell in row):
                _read_row(number, row, header, where, result)
    except csv.Error as error:
        raise DataError(f"{path} is not a CSV file: {error}", fix="export it again as CSV in UTF-8") from error
    if not result.reports and not result.problems:
        raise DataError(f"{path} has a header but no reports", fix="give a file with one report a row")
    if not result.reports:
        first = result.problems[0]
        raise DataError(
            f"{path}: none of its {len(result.problems)} rows can be used; row {first.row}: {first.what}",
            fix="correct the rows, or name the columns with --column",
        )
    return result


def delimiter_of(text: str) -> str:
    """Return what separates the cells of a CSV file's header: a comma, a semicolon, a tab or a bar."""
    return max(",;\t|", key=text[:100_000].split("\n", 1)[0].count)


def decode(path: Path, encoding: str | None = None) -> tuple[str, str]:
    """Return the text of a file, unpacked where it is gzip, and the encoding; as :func:`read_reports` finds it."""
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
        if len(raw) > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES:,} bytes")  # noqa: TRY301 - as one that unpacks to more
        if raw[:2] == b"\x1f\x8b":
            raw = unzipped(raw, most=MOST_BYTES)
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist", fix="give the CSV file of the reports") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}", fix="check the file, or download it again") from error
    if encoding is None and raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    for name in [encoding] if encoding else ["utf-8-sig", "cp1254"]:
        try:
            return raw.decode(name), name
        except UnicodeDecodeError:
            continue
        except LookupError as error:
            raise UsageError(f"unknown encoding {name!r}", fix="e.g. utf-8, cp1254, latin-1") from error
    raise DataError(
        f"{path} is not written in {encoding or 'UTF-8 or Windows-1254'}", fix="name its encoding with --encoding"
    )


def _not_csv(text: str) -> str:
    """Return what a file is by its first characters where it is no table of texts; empty where it may be one."""
    begin = text[:200].lstrip("\ufeff \r\n\t")
    if begin.startswith("PK\x03\x04"):
        return "a workbook or another zip archive"
    return "JSON" if re.match(r"\[?\s*\{\s*\"", begin) else ""


def _is_wide(text: str) -> bool:
    """Return whether every other character of the beginning is NUL: UTF-16 without a mark, read as single bytes."""
    begin = text[:200]
    return begin.count("\0") * 3 > len(begin)


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).lower()


def _find_columns(header: list[str], chosen: Mapping[str, str], path: Path) -> dict[str, int]:
    if len(set(header)) < len(header):
        raise DataError(f"{path}: a column name stands in the header twice", fix="rename one of them")
    names = {_plain(name): number for number, name in enumerate(header)}
    where = {}
    for role, usual in COLUMNS.items():
        if role in chosen:
            if _plain(chosen[role]) not in names:
                raise UnknownName("column", chosen[role], header)
            where[role] = names[_plain(chosen[role])]
            continue
        found = next((names[_plain(name)] for name in usual if _plain(name) in names), None)
        if found is None:
            shown = ", ".join(header[:12])[:200] or "nothing"
            raise DataError(
                f"{path} has no column for the {role} of a report; its header says: {shown}",
                fix=f"name it, e.g. --column {role}=NAME (usual names: {', '.join(usual)})",
            )
        where[role] = found
    return where


def _read_row(number: int, row: list[str], header: list[str], where: Mapping[str, int], result: Reports) -> None:
    name = re.sub(r"\.nii(?:\.gz)?$", "", row[where["id"]].strip() if len(row) > where["id"] else "")

    def add(what: str, *, lost: bool) -> None:
        result.problems.append(RowProblem(number, name[:200], what, lost))

    problem = _row_fault(name, row, header, where)
    if problem:
        add(problem, lost=True)
        return
    sections = {}
    for role in ("findings", "impressions"):
        text = row[where[role]]
        clean = clean_text(text)
        if clean != text.replace("\r\n", "\n"):
            add(f"HTML or control characters were taken out of its {role}", lost=False)
        sections[role] = "" if _EMPTY.fullmatch(clean) else clean
    report = Report(id=name, **sections)
    first = result.by_id.get(name)
    if first is not None:
        add(f"its id appears in an earlier row with {'the same' if first == report else 'another'} text", lost=True)
        return
    if not report.findings:
        both = "neither findings nor impressions are given"
        add("its findings are not given" if report.impressions else both, lost=False)
    result.by_id[name] = report
    result.reports.append(report)


def _row_fault(name: str, row: list[str], header: list[str], where: Mapping[str, int]) -> str:
    """Return why a row cannot be a report; empty where it can."""
    if not name:
        return "it lacks an id"
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,190}", name):
        return "its id cannot be used as a file name: use up to 190 letters, digits, `_`, `.` and `-`"
    if len(row) != len(header):
        lines = sum(cell.count("\n") for cell in row)
        more = f"; it spans {lines + 1} lines, so a quotation mark may not be closed" if lines else ""
        return f"it has {len(row)} cells, the header has {len(header)}{more}"
    for role in ("findings", "impressions"):
        if len(row[where[role]]) > LONGEST:
            return f"its {role} have {len(row[where[role]]):,} characters; the most is {LONGEST:,}"
    return ""


def clean_text(text: str) -> str:
    """Return a section without HTML and control characters, its lines ended alike."""
    text = text.replace("\r\n", "\n")
    if _TAG.search(text):
        text = _TAG.sub(" ", _BREAKING.sub("\n", text))
    if re.search(r"&(?:[a-z]{2,8}|#\d{2,5});", text):
        text = html.unescape(text).replace("\N{NO-BREAK SPACE}", " ")
    return _CONTROL.sub(" ", text)


def describe_problems(problems: list[RowProblem]) -> Iterator[str]:
    """Give one line a problem, for a person."""
    for problem in problems:
        state = "set aside" if problem.lost else "goes on"
        yield f"row {problem.row} ({problem.id or 'no id'}): {problem.what} ({state})"
