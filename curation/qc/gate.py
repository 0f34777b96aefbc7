"""What stands between masks and a data set: problems that nobody has looked at, and the verdicts of who did.

A verdict belongs to the mask that was looked at, by the digest of its voxels: a mask drawn again needs another one.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from curation.pipeline import write_text
from curation.qc.report import Checked
from curation.reports import decode, delimiter_of
from harness.dataset.problems import Level
from harness.errors import DataError, UsageError
from harness.host.spreadsheets import harmless

SHEET: Final = "review.csv"
_VERDICTS: Final = frozenset({"", "accept", "reject"})

#: Which problems need a verdict: those of this level and above; ``every``: each finding needs one.
Gate = Literal["none", "error", "warning", "every"]


@dataclass(frozen=True)
class Row:
    """One finding in the sheet of a senior reader, who fills in `verdict`, and `reviewer` and `note` as wanted."""

    case: str
    finding: str  #: as in the tasks: its number and the digest of its text
    mask: str  #: digest of its voxels
    category: str
    text: str
    problems: str
    verdict: str = ""  #: ``accept``, ``reject`` or empty
    reviewer: str = ""
    note: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What a verdict is about."""
        return self.case, self.finding, self.mask


def mask_digest(labels: npt.NDArray[np.uint8]) -> str:
    """Return the digest of a finding's label map on its CT's grid."""
    return hashlib.sha256(np.ascontiguousarray(labels).tobytes()).hexdigest()[:16]


def read_sheet(path: Path) -> list[Row]:
    """Read a filled-in sheet.

    Raises
    ------
    UsageError
        It does not exist.
    DataError
        It lacks columns, or a verdict is neither ``accept`` nor ``reject``; or one mask has both.
    """
    if not path.exists():
        raise UsageError(f"{path} does not exist", fix=f"give the {SHEET} that a reader filled in")
    text, _ = decode(path)
    names = [field.name for field in fields(Row)]
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter_of(text))
        rows = [Row(**{name: (row.get(name) or "").strip() for name in names}) for row in reader]
        lacking = [name for name in names[:7] if name not in (reader.fieldnames or [])]
    except csv.Error as error:
        raise DataError(f"{path} cannot be read: {error}", fix="save it as CSV in UTF-8") from error
    if lacking:
        raise DataError(f"{path} lacks the columns {', '.join(lacking)}", fix=f"give a {SHEET} with all its columns")
    wrong = [f"{row.case} {row.finding}: {row.verdict!r}" for row in rows if row.verdict.lower() not in _VERDICTS]
    if wrong:
        raise DataError(f"{path}: not a verdict: {'; '.join(wrong[:10])}", fix="write accept, reject or nothing")
    said: dict[tuple[str, str, str], str] = {}
    for row in rows:
        if row.verdict and said.setdefault(row.key, row.verdict.lower()) != row.verdict.lower():
            raise DataError(f"{path}: {row.case} {row.finding} is accepted and rejected", fix="keep one of the rows")
    return rows


def verdicts(rows: Iterable[Row]) -> dict[tuple[str, str, str], str]:
    """Return what was said of which mask."""
    return {row.key: row.verdict.lower() for row in rows if row.verdict}


def row_of(case: str, finding: str, mask: str, checked: Checked) -> Row:
    """Return the empty row of a finding."""
    problems = "; ".join(f"{p.level} {p.code}: {p.what}" for p in checked.problems)
    return Row(case, finding, mask, checked.category or "", harmless(checked.text), problems)


def waiting(rows: Sequence[tuple[Row, Checked]], said: Mapping[tuple[str, str, str], str], gate: Gate) -> list[Row]:
    """Return the rows that need a verdict and have none."""
    levels = {"none": (), "error": (Level.ERROR,), "warning": (Level.ERROR, Level.WARNING), "every": ()}[gate]
    return [
        row
        for row, checked in rows
        if row.key not in said and (gate == "every" or any(p.level in levels for p in checked.problems))
    ]


def write_sheet(path: Path, rows: Sequence[Row]) -> None:
    """Write the sheet, findings with problems first; every verdict that is there already stays in it."""
    before = read_sheet(path) if path.exists() else []
    filled = {row.key: row for row in before if row.verdict or row.note or row.reviewer}
    merged: list[dict[str, Any]] = []
    for row in sorted(rows, key=lambda row: not row.problems):
        old = filled.pop(row.key, None)
        kept = {"verdict": old.verdict, "reviewer": old.reviewer, "note": old.note} if old else {}
        merged.append(asdict(row) | kept)
    merged += [asdict(row) for row in filled.values()]  # of masks that have been drawn again since
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, [field.name for field in fields(Row)])
    writer.writeheader()
    writer.writerows(merged)
    write_text(path, "\N{BYTE ORDER MARK}" + stream.getvalue())
