"""Findings as rows: for the store, and for the tables that a user requests."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from harness.dataset import Case
from harness.errors import UsageError
from harness.host.spreadsheets import harmless
from harness.rows import FindingRow, InstanceRow
from harness.scoring.case import CaseScore
from harness.scoring.placement import placement_columns

_FORMATS = (".csv", ".json", ".parquet")


def rows_of(case: Case, score: CaseScore) -> list[FindingRow]:
    """Turn the scores of one case into rows for the store."""
    return [
        FindingRow(
            case=case.id,
            finding=finding.id,
            index=finding.index,
            category=finding.category,
            text=finding.text,
            status=result.status,
            reason=result.reason,
            dice=result.dice,
            truth_voxels=result.truth_voxels,
            pred_voxels=result.pred_voxels,
            intersection=result.intersection,
            mask_sha256=result.mask_sha256,
            verdict=result.verdict,
            details=replace(
                result.details,
                prior=finding.prior,
                age=case.age,
                sex=case.sex,
                shares_patient=None if case.shared_with is None else bool(case.shared_with),
            ),
        )
        for finding, result in zip(case.findings, score.findings, strict=True)
    ]


def check_format(path: Path) -> None:
    """Raise UsageError unless :func:`write_rows` knows the suffix."""
    if path.suffix not in _FORMATS:
        raise UsageError(f"{path}: rows cannot be written as {path.suffix or 'that'}", fix=f"use {', '.join(_FORMATS)}")


def write_rows(path: Path, rows: Sequence[FindingRow]) -> None:
    """Write one row per finding as CSV, JSON or Parquet, by the suffix of `path`; numbers in full precision."""
    _write(path, _columns(), [_record(row) for row in rows])


def write_instances(path: Path, rows: Sequence[FindingRow]) -> None:
    """Write one row per instance, as :func:`write_rows` writes findings."""
    columns = ("case", "finding", "category", *(field.name for field in fields(InstanceRow)))
    records = [
        {"case": row.case, "finding": row.finding, "category": row.category, **asdict(instance)}
        for row in rows
        for instance in row.details.rows or ()
    ]
    _write(path, columns, records)


def _write(path: Path, columns: Sequence[str], records: Sequence[dict[str, Any]]) -> None:
    check_format(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    if path.suffix == ".json":
        part.write_text(json.dumps(records, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    elif path.suffix == ".csv":
        with part.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, fieldnames=list(columns))
            writer.writeheader()
            writer.writerows({name: harmless(cell) for name, cell in record.items()} for record in records)
    else:
        import pyarrow as pa  # type: ignore[import-untyped]
        from pyarrow import parquet

        parquet.write_table(pa.table({name: [record[name] for record in records] for name in columns}), part)
    part.rename(path)


def _columns() -> tuple[str, ...]:
    matches = tuple(f"{kind}_{count}" for kind in ("instance", "distance") for count in ("tp", "fp", "fn"))
    return (
        *("case", "finding", "category", "text", "status", "reason", "dice", "truth_voxels", "pred_voxels"),
        *("intersection", "kept_voxels", "kept_intersection", *matches, "size_ratio", "verdict", "mask_sha256"),
        *("placement", "other_truth", "other_truth_dice", "other_mask", "other_mask_dice"),
    )


def _record(row: FindingRow) -> dict[str, Any]:
    counts = row.details.instances
    values: dict[str, Any] = {
        "size_ratio": row.details.size_ratio,
        "verdict": row.verdict.level if row.verdict else "",
        "kept_voxels": counts and counts.kept_voxels,
        "kept_intersection": counts and counts.kept_intersection,
        **placement_columns(row),
    }
    for kind, matches in (("instance", counts and counts.overlap), ("distance", counts and counts.distance)):
        values |= {f"{kind}_{name}": matches and getattr(matches, name) for name in ("tp", "fp", "fn")}
    return {name: values[name] if name in values else getattr(row, name) for name in _columns()}
