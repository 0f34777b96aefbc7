"""CT-RATE's metadata table: the facts that the raw volumes lack."""

from __future__ import annotations

import csv
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.errors import DataError, UsageError

_NEEDED: Final = ("VolumeName", "RescaleSlope", "RescaleIntercept")


@dataclass(frozen=True)
class Scan:
    """One row: HU = stored * slope + intercept; spacing in mm where the table has it."""

    slope: float
    intercept: float
    spacing: tuple[float, float, float] | None


def read_metadata(path: Path) -> tuple[dict[str, Scan], dict[str, str]]:
    """Read a metadata table.

    Returns
    -------
    tuple
        Volume name (without ``.nii.gz``) -> its row, and -> what is wrong with its row.

    Raises
    ------
    UsageError
        The file does not exist.
    DataError
        It is not a CSV file with the columns ``VolumeName``, ``RescaleSlope`` and ``RescaleIntercept``.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            columns = list(reader.fieldnames or [])  # read from the file, which must still be open
            rows = list(reader)
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist", fix="give CT-RATE's metadata table (CSV)") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {error}", fix="give CT-RATE's metadata table (CSV)") from error
    missing = [name for name in _NEEDED if name not in columns]
    if missing:
        raise DataError(f"{path} has no column {', '.join(missing)}", fix="give CT-RATE's metadata table")
    scans: dict[str, Scan] = {}
    faults: dict[str, str] = {}
    for row in rows:
        name = (row["VolumeName"] or "").removesuffix(".nii.gz")
        try:
            scan = Scan(_number(row["RescaleSlope"]), _number(row["RescaleIntercept"]), _spacing(row))
        except (TypeError, ValueError) as error:
            faults[name] = f"its row in {path.name} is unusable: {error}"
            continue
        if scan.slope == 0:
            faults[name] = f"its slope in {path.name} is 0"
        elif scans.setdefault(name, scan) != scan:
            faults[name] = f"it stands in {path.name} twice, with different values"
    return {name: scan for name, scan in scans.items() if name not in faults}, faults


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a number")
    return value


def _spacing(row: dict[str, str]) -> tuple[float, float, float] | None:
    in_plane = re.findall(r"[\d.eE+-]+", row.get("XYSpacing") or "")
    along = row.get("ZSpacing") or ""
    if not in_plane or not along:
        return None
    x, y, z = _number(in_plane[0]), _number(in_plane[-1]), abs(_number(along))
    if not all(0 < size < 100 for size in (x, y, z)):
        raise ValueError(f"a spacing of {x} x {y} x {z} mm")
    return x, y, z
