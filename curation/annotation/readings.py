"""Two readers' masks of the same tasks: how far they agree, who decides where they do not, and what then counts."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any, Final

import numpy as np

from curation.annotation.answers import WORDS, answer_of
from curation.annotation.masks import REPORT, Import, Imported
from curation.annotation.tasks import Task, TaskFinding, Tasks
from curation.pipeline import write_text
from curation.qc.gate import mask_digest
from curation.reports import decode, delimiter_of
from curation.review.report import cohens_kappa
from curation.volumes import read_array
from harness.errors import DataError, UsageError
from harness.foreign import read_json_file

ADJUDICATION: Final = "adjudication.csv"
_COLUMNS: Final = (
    "case", "finding", "category", "text", "first", "second", "dice", "mask_1", "mask_2", "decision", "reader", "note",
)  # fmt: skip
_DRAWN: Final = "drawn"


@dataclass(frozen=True)
class Reading:
    """What one reader made of one finding."""

    state: str  #: ``drawn``, an answer, or a state of the import that leaves the finding open
    mask: str = ""  #: digest of the label map; empty: none

    @property
    def is_open(self) -> bool:
        """Whether the reader neither drew nor answered."""
        return self.state not in {_DRAWN, *WORDS}


@dataclass(frozen=True)
class Pair:
    """One finding, read twice."""

    case: str
    finding: TaskFinding
    first: Reading
    second: Reading
    dice: float | None  #: None: not drawn by both
    voxels: tuple[int, int, int, int]  #: marked by both, by the first, by the second alone, by none

    def decision(self, agree: float) -> str:
        """Return what needs no adjudicator: ``1`` where the masks agree, an answer that both gave; else nothing."""
        if self.first.is_open or self.first.state != self.second.state:
            return ""
        if self.first.state in WORDS:
            return self.first.state
        return "1" if self.dice is not None and self.dice >= agree else ""


def read_import(folder: Path) -> dict[tuple[str, str], Imported]:
    """Return case and finding -> its row, of a folder of ``bench curate annotate import``; raises UsageError."""
    try:
        rows = read_json_file(folder / REPORT)["findings"]
        return {(row["case"], row["finding"]): Imported(**row | {"objects": tuple(row["objects"])}) for row in rows}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{folder} does not hold the masks of a reader ({REPORT}: {error!r})",
            fix="give folders that `bench curate annotate import` wrote",
        ) from error


def compare(tasks: Tasks, first: Path, second: Path) -> list[Pair]:
    """Compare the masks of two readers, finding by finding."""
    rows = [read_import(folder) for folder in (first, second)]
    return [_pair(task, finding, (first, second), rows) for task in tasks.tasks for finding in task.findings]


def _pair(
    task: Task, finding: TaskFinding, folders: tuple[Path, Path], rows: Sequence[Mapping[tuple[str, str], Imported]]
) -> Pair:
    readings, masks = [], []
    for folder, known in zip(folders, rows, strict=True):
        row = known.get((task.id, finding.id))
        state = "missing" if row is None else _DRAWN if row.state == "ok" else row.state
        labels = _labels(folder, task.id, finding.id) if state == _DRAWN else None
        masks.append(labels)
        readings.append(Reading(state, "" if labels is None else mask_digest(labels)))
    dice, voxels = None, (0, 0, 0, 0)
    a, b = masks
    if a is not None and b is not None:
        if a.shape != b.shape:
            raise DataError(f"{task.id} finding {finding.id}: the two masks have different grids", fix="import again")
        both, one, other = (int(np.count_nonzero(part)) for part in ((a > 0) & (b > 0), a, b))
        dice = 2 * both / (one + other)
        voxels = (both, one - both, other - both, a.size - one - other + both)
    return Pair(task.id, finding, readings[0], readings[1], dice, voxels)


def _labels(folder: Path, case: str, finding: str) -> Any:
    return read_array(folder / case / f"{finding}.nii.gz")[0].astype(np.uint8)


def agreement(pairs: Sequence[Pair]) -> dict[str, dict[str, float | int | None]]:
    """Return how far two readers agree, by category and over ``all``.

    Returns
    -------
    dict
        Category -> ``findings`` that both drew or answered; ``kappa`` of drawn, not visible and not localizable
        (Cohen's; None where both give every finding the same); ``drawn`` by both; the mean ``dice`` of these; and
        ``kappa_voxels`` of all voxels of their scans together.
    """
    codes = sorted({pair.finding.category for pair in pairs})
    table = {code: _agreement([pair for pair in pairs if pair.finding.category == code]) for code in codes}
    return table | {"all": _agreement(pairs)}


def _agreement(pairs: Sequence[Pair]) -> dict[str, float | int | None]:
    answered = [pair for pair in pairs if not pair.first.is_open and not pair.second.is_open]
    drawn = [pair.dice for pair in answered if pair.dice is not None]
    states = [(pair.first.state, pair.second.state) for pair in answered]
    both, one, other, none = (sum(pair.voxels[n] for pair in answered) for n in range(4))
    total = both + one + other + none
    kappa = None
    if total:
        chance = ((both + one) * (both + other) + (none + one) * (none + other)) / total**2
        kappa = ((both + none) / total - chance) / (1 - chance) if chance < 1 else None
    return {
        "findings": len(answered),
        "kappa": cohens_kappa(states)["kappa"] if states else None,
        "drawn": len(drawn),
        "dice": fmean(drawn) if drawn else None,
        "kappa_voxels": kappa,
    }


def write_adjudication(path: Path, pairs: Iterable[Pair], agree: float) -> int:
    """Write the sheet of decisions, those to take first; return how many are to take.

    Raises
    ------
    UsageError
        It is there already, and may be filled in.
    """
    if path.exists():
        raise UsageError(f"{path} is there already, and may be filled in", fix="name another folder")
    rows = [
        {
            "case": pair.case,
            "finding": pair.finding.id,
            "category": pair.finding.category,
            "text": " ".join(pair.finding.text.split()),
            "first": pair.first.state,
            "second": pair.second.state,
            "dice": "" if pair.dice is None else f"{pair.dice:.3f}",
            "mask_1": pair.first.mask,
            "mask_2": pair.second.mask,
            "decision": pair.decision(agree),
        }
        for pair in pairs
    ]
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, _COLUMNS, restval="")
    writer.writeheader()
    writer.writerows(sorted(rows, key=lambda row: bool(row["decision"])))
    write_text(path, "\N{BYTE ORDER MARK}" + stream.getvalue())
    return sum(not row["decision"] for row in rows)


def settle(tasks: Tasks, sheet: Path, folders: Sequence[Path], out: Path) -> Import:
    """Write the masks that count into `out`, in the form of an import.

    Parameters
    ----------
    tasks
        The tasks that were read.
    sheet
        The filled-in sheet: a decision is ``1``, ``2`` (a reader's mask), ``3`` (the adjudicator's own), or an answer.
    folders
        Imported masks of the first, the second and, where there is one, the third.
    out
        Folder to write, none of the others.

    Raises
    ------
    UsageError
        `out` is one of `folders`, or the sheet does not exist.
    DataError
        The sheet lacks columns.
    """
    if out.resolve() in [folder.resolve() for folder in folders]:
        raise UsageError(f"{out} holds the masks of a reader", fix="name another folder")
    decisions = _decisions(sheet)
    rows = [read_import(folder) for folder in folders]
    result = Import()
    for task in tasks.tasks:
        for finding in task.findings:
            target = out / task.id / f"{finding.id}.nii.gz"
            target.unlink(missing_ok=True)
            decided = decisions.get((task.id, finding.id), {})
            row = _settled(task.id, finding.id, decided, folders, rows)
            result.findings.append(row)
            if row.state == "ok":
                target.parent.mkdir(parents=True, exist_ok=True)
                folder = folders[int(decided["decision"]) - 1]
                shutil.copyfile(folder / task.id / target.name, target)
    write_text(out / REPORT, json.dumps(result.as_dict(), indent=1, ensure_ascii=False) + "\n")
    return result


def _decisions(sheet: Path) -> dict[tuple[str, str], dict[str, str]]:
    if not sheet.exists():
        raise UsageError(f"{sheet} does not exist", fix="give the sheet of `bench curate annotate compare`")
    text, _ = decode(sheet)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter_of(text))
    rows = [{name: (row.get(name) or "").strip() for name in _COLUMNS} for row in reader]
    if missing := [name for name in _COLUMNS[:10] if name not in (reader.fieldnames or [])]:
        raise DataError(f"{sheet} lacks the columns {', '.join(missing)}", fix="give the sheet with all its columns")
    return {(row["case"], row["finding"]): row for row in rows}


def _settled(
    case: str,
    finding: str,
    decided: Mapping[str, str],
    folders: Sequence[Path],
    rows: Sequence[Mapping[tuple[str, str], Imported]],
) -> Imported:
    decision = decided.get("decision", "")
    if answer := answer_of(decision):
        return Imported(case, finding, answer, f"{WORDS[answer]}, by adjudication")
    if not decision:
        return Imported(case, finding, "missing", "no decision was taken")
    if not decision.isdigit() or not 1 <= int(decision) <= len(folders):
        return Imported(case, finding, "refused", f"{decision!r} names none of {len(folders)} readers, and no answer")
    number = int(decision)
    row = rows[number - 1].get((case, finding))
    stated = decided.get(f"mask_{number}", "")
    if row is None or row.state != "ok":
        reason = f"reader {number} has no mask of it"
    elif stated and mask_digest(_labels(folders[number - 1], case, finding)) != stated:
        reason = f"reader {number} has drawn it again since the decision"
    else:
        return replace(row, reason=f"reader {number}")
    return Imported(case, finding, "refused", reason)
