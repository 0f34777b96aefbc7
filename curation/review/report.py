"""The paper's Table 2 from filled-in sheets, the quality of the categories, and how far two reviewers agree."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Final

from curation.classifier.quality import Quality, measure
from curation.reports import decode, delimiter_of
from curation.review.sheet import COLUMNS
from curation.schema import CODES
from harness.errors import DataError, UsageError

#: Error type -> what the paper reports for step 1 and step 2: mean and 95 % interval.
PAPER: Final[Mapping[str, tuple[tuple[float, float, float] | None, tuple[float, float, float] | None]]] = {
    "misclassification": ((0.11, 0.05, 0.17), None),
    "descriptor": ((0.14, 0.08, 0.19), (0.13, 0.10, 0.15)),
    "false positive": ((0.00, 0.00, 0.00), (0.00, 0.00, 0.00)),
    "false negative": ((0.05, 0.04, 0.06), (0.01, 0.00, 0.02)),
}
_YES: Final = frozenset({"x", "1", "y", "yes", "true"})
_NO: Final = frozenset({"", "0", "n", "no", "false"})
_MARKS: Final = ("misclassified", "descriptor", "false_positive")


@dataclass(frozen=True)
class Rate:
    """A mean over reports with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int  #: reports

    def as_dict(self) -> dict[str, Any]:
        """Return it for a JSON document."""
        return {"value": self.value, "ci95": [self.low, self.high], "n": self.n}


@dataclass(frozen=True)
class Sheet:
    """One filled-in sheet: the rows of the reports whose review is done."""

    rows: tuple[dict[str, str], ...]
    reports: tuple[str, ...]  #: done
    open: int  #: not done


def read_sheet(path: Path) -> Sheet:
    """Read a filled-in CSV file.

    Raises
    ------
    UsageError
        The file does not exist.
    DataError
        It is not a review sheet, or cells have invalid values; each is named.
    """
    if not path.exists():
        raise UsageError(f"{path} does not exist", fix="give a review.csv that a reviewer filled in")
    text, _ = decode(path)
    try:
        # Spreadsheets save it with semicolons, and in an encoding of their own, where that is the country's custom.
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter_of(text))
        rows = [dict(row) for row in reader]
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or [])]
    except csv.Error as error:
        raise DataError(f"{path} cannot be read: {error}", fix="save it as CSV in UTF-8") from error
    if missing:
        raise DataError(f"{path} lacks the columns {', '.join(missing)}", fix="give a review.csv with all its columns")
    wrong = [f"row {n}: {what}" for n, row in enumerate(rows, start=2) for what in _faults(row)]
    if wrong:
        raise DataError(f"{path}: {'; '.join(wrong[:20])}", fix="correct these cells; x marks an error, nothing none")
    done = [row["report"] for row in rows if row["row"] == "report" and _marked(row, "done")]
    kept = set(done)
    everything = {row["report"] for row in rows}
    return Sheet(tuple(row for row in rows if row["report"] in kept), tuple(done), len(everything - kept))


def _marked(row: Mapping[str, str], column: str) -> bool:
    return (row[column] or "").strip().lower() in _YES


def _count(row: Mapping[str, str], column: str) -> int:
    return int((row[column] or "").strip() or 0)


def _faults(row: dict[str, str]) -> list[str]:
    said = {column: (row[column] or "").strip() for column in COLUMNS}
    marks = [column for column in (*_MARKS, "done") if said[column].lower() not in _YES | _NO]
    counts = [column for column in ("missed_step1", "missed_step2") if said[column] and not said[column].isdigit()]
    faults = [f"{column} says {row[column]!r}" for column in marks]
    faults += [f"{column} says {row[column]!r}, not a number" for column in counts]
    if said["right_category"] and said["right_category"] not in CODES:
        faults.append(f"right_category {said['right_category']!r} is not in the schema")
    return faults


def mean_rate(rates: Sequence[float]) -> Rate:
    """Return the mean over reports with its normal 95 % interval, kept between 0 and 1."""
    mean = fmean(rates)
    half = 1.96 * stdev(rates) / math.sqrt(len(rates)) if len(rates) > 1 else 0.0
    return Rate(mean, max(0.0, mean - half), min(1.0, mean + half), len(rates))


def table2(sheet: Sheet) -> dict[str, tuple[Rate | None, Rate | None]]:
    """Return error type -> rate in step 1 and in step 2.

    For each report the number of findings with an error is divided by the number of its findings (paper, section 3.4);
    those that were missed count as findings. Reports without any finding carry no information here and are left out.

    Raises
    ------
    DataError
        Not a single report is done.
    """
    if not sheet.reports:
        raise DataError("no report of the sheet is done", fix="tick `done` for the reports that were reviewed")
    by_step: dict[int, dict[str, list[float]]] = {1: {}, 2: {}}
    for name in sheet.reports:
        rows = [row for row in sheet.rows if row["report"] == name]
        end = next(row for row in rows if row["row"] == "report")
        for step in (1, 2):
            mine = [row for row in rows if row["row"] != "report" and (row["row"][0] == "S") == (step == 2)]
            missed = _count(end, f"missed_step{step}")
            total = len(mine) + missed
            if not total:
                continue
            errors = {column: sum(_marked(row, column) for row in mine) for column in _MARKS} | {"missed": missed}
            for kind, count in errors.items():
                by_step[step].setdefault(kind, []).append(count / total)
    names = {"misclassified": "misclassification", "descriptor": "descriptor", "false_positive": "false positive"}
    names |= {"missed": "false negative"}
    rates: dict[str, tuple[Rate | None, Rate | None]] = {}
    for column, name in names.items():
        first, second = (by_step[step].get(column) for step in (1, 2))
        both = mean_rate(first) if first else None, mean_rate(second) if second else None
        rates[name] = (both[0], None) if column == "misclassified" else both
    return rates


def categories(sheet: Sheet) -> Quality | None:
    """Return the quality of the categories by the reviewer's corrections; None where there is no finding."""
    rows = [row for row in sheet.rows if row["row"][0] == "S"]
    truth = [(row["right_category"] or "").strip() or row["label"] for row in rows]
    return measure(truth, [row["label"] for row in rows]) if rows else None


def agreement(first: Sheet, second: Sheet) -> dict[str, dict[str, float | int | None]]:
    """Compare two reviewers on the rows that both have done.

    Returns
    -------
    dict
        Column -> ``n`` rows, share of ``agreement``, Cohen's ``kappa`` (None where both give every row the same value).

    Raises
    ------
    DataError
        They share no row.
    """
    others = {(row["report"], row["row"]): row for row in second.rows}
    pairs = [(row, others[row["report"], row["row"]]) for row in first.rows if (row["report"], row["row"]) in others]
    if not pairs:
        raise DataError("the two sheets share no report that both reviewers completed", fix="give sheets of one sample")
    result: dict[str, dict[str, float | int | None]] = {}
    for column in (*_MARKS, "right_category"):
        wanted = [pair for pair in pairs if _applies(pair[0]["row"], column)]
        if not wanted:
            continue
        values = [tuple(_value(row, column) for row in pair) for pair in wanted]
        result[column] = {"n": len(values), **cohens_kappa([(a, b) for a, b in values])}
    return result


def _applies(row: str, column: str) -> bool:
    if row == "report":
        return False
    return {"misclassified": row[0] != "S", "right_category": row[0] == "S"}.get(column, True)


def _value(row: Mapping[str, str], column: str) -> str:
    if column == "right_category":
        return (row[column] or "").strip() or row["label"]
    return "yes" if _marked(row, column) else "no"


def cohens_kappa(pairs: Sequence[tuple[str, str]]) -> dict[str, float | None]:
    """Return the share of ``agreement`` of pairs of values and their ``kappa``, None where all values are the same."""
    same = fmean(a == b for a, b in pairs)
    values = {value for pair in pairs for value in pair}
    firsts, seconds = [a for a, _ in pairs], [b for _, b in pairs]
    chance = sum(firsts.count(value) * seconds.count(value) for value in values) / len(pairs) ** 2
    return {"agreement": same, "kappa": None if chance == 1 else (same - chance) / (1 - chance)}
