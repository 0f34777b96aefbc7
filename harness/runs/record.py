"""The record of a finished row: a second copy of what the database says, so that neither changes unseen."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.foreign import parse_json, read_json_file
from harness.rows import CaseRow, FindingRow, RunRow
from harness.runs.document import case_document

SCHEMA = 1
RECORD_NAME = "record.json"

#: Its signature, where somebody signed it.
SIGNED = "record.json.sig"

#: Fields of a finding in the record: those that its mask does not determine, and the results expected from its mask.
_FINDING = ("status", "reason", "category", "text", "dice", "mask_sha256")


def write_record(folder: Path, run: RunRow, cases: Sequence[CaseRow], findings: Sequence[FindingRow]) -> None:
    """Write ``record.json`` into a run's folder, whole or not at all.

    Parameters
    ----------
    folder
        The run's folder.
    run, cases, findings
        Its rows in the database.
    """
    partial = folder / f".{RECORD_NAME}"
    with partial.open("w", encoding="utf-8") as file:
        json.dump(_document(run, cases, findings), file, indent=1, sort_keys=True, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(folder / RECORD_NAME)


def compare_record(
    folder: Path, run: RunRow, cases: Sequence[CaseRow], findings: Sequence[FindingRow]
) -> Iterator[str]:
    """Name every value in which a run's record and the database differ.

    Parameters
    ----------
    folder
        The run's folder.
    run, cases, findings
        Its present rows in the database.

    Yields
    ------
    str
        One line per value: its place, the record's value and the database's value.
    """
    path = folder / RECORD_NAME
    try:
        kept = read_json_file(path)
    except FileNotFoundError:
        yield f"record: {path} is missing, so nothing confirms what the row states"
        return
    except (OSError, ValueError) as error:
        yield f"record: {path} cannot be read ({error})"
        return
    # Through JSON as well, so that a tuple or a rounded float does not count as a difference.
    now = parse_json(json.dumps(_document(run, cases, findings)))
    before, after = dict(_leaves(kept)), dict(_leaves(now))
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield f"record {name}: {_said(before, name)} in {RECORD_NAME}, {_said(after, name)} in the database"


def _document(run: RunRow, cases: Sequence[CaseRow], findings: Sequence[FindingRow]) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "run": asdict(run),
        "cases": {case.case: case_document(case) for case in cases},
        "findings": {f"{f.case}/{f.finding}": {key: getattr(f, key) for key in _FINDING} for f in findings},
    }


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (path, value) of every scalar, and of every empty object or list."""
    if isinstance(value, dict | list) and value:
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def _said(found: dict[str, Any], name: str) -> str:
    return repr(found[name])[:200] if name in found else "nothing"
