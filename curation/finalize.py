"""The last step, ``finalize``: CTs, 4-D masks and ``dataset.json`` in the benchmark's layout, split by patient."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from curation.annotation.masks import REPORT as IMPORT
from curation.annotation.tasks import CT, Task, Tasks
from curation.kept import REPORTS, facts_of, phrases_of, read_curated
from curation.pipeline import write_text
from curation.qc.gate import SHEET, Gate, mask_digest, read_sheet, row_of, verdicts, waiting, write_sheet
from curation.qc.report import HTML, Checked, check_all, write_report
from curation.splits import SPLITS, Amount, ToSplit, split_scans
from curation.steps.select import natural
from curation.volumes import read_array
from harness.dataset import open_dataset
from harness.dataset.nifti import write_volume
from harness.dataset.patients import Person, patient_by_name, read_patients
from harness.dataset.problems import refuse
from harness.dataset.voxels import read_header
from harness.errors import DataError, UsageError
from harness.foreign import read_json_file


@dataclass(frozen=True)
class Made:
    """The new data set in numbers, and what was left out."""

    splits: dict[str, int]  #: split -> cases
    findings: int
    left_out: dict[str, str]  #: case, or "case finding n" -> why
    reports: int = 0  #: cases whose report's phrases stand in ``reports_dataset.json``
    unknown_patients: int = 0  #: cases of which nothing says whose they are; each was taken for another patient


def finalize(
    tasks: Tasks,
    folder: Path,
    masks: Path,
    out: Path,
    *,
    val: Amount = 0.05,
    test: Amount = 0.1,
    seed: int = 0,
    stratify: bool = False,
    gate: Gate = "warning",
    review: Path | None = None,
    anatomy: Path | None = None,
    copy: bool = False,
    patients: Path | None = None,
    curated: Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Made:
    """Make a data set; it appears whole or not at all.

    Parameters
    ----------
    tasks, folder
        The exported tasks, and their folder.
    masks
        Folder of ``bench curate annotate import``.
    out
        Folder to make; it must not be there.
    val, test
        Shares of the patients, or numbers of scans (the paper: 100 and 200 of 1,914).
    seed, stratify
        Of the split, see :func:`curation.splits.split_scans`.
    gate
        Which problems that the quality control finds must have a verdict.
    review
        The filled-in sheet of verdicts: an accepted mask goes in, a rejected one is left out.
    anatomy
        Folder of lobe masks for the quality control, see :func:`curation.qc.report.check_case`.
    copy
        Copy the CTs; False: link them.
    patients
        A table of cases, patients, ages and sexes (:func:`harness.dataset.patients.read_patients`), which the data set
        keeps. A case of which it tells no patient, and whose name is not of CT-RATE's form, is taken for another's.
    curated
        Folder of ``bench curate run``, whose phrases go into ``reports_dataset.json``; None: there is no such file.

    Raises
    ------
    UsageError
        `out` exists already, the shares are not valid, or `curated` lacks a file.
    DataError
        Not a single finding has a mask, masks wait for a verdict (``<out>-qc`` has pictures and the sheet to fill in),
        whole patients do not make the split, or the table of patients or a file of `curated` has faults.
    """
    if out.exists():
        raise UsageError(f"{out} exists already", fix="name a new folder")
    said = verdicts(read_sheet(review)) if review else {}
    phrases = None if curated is None else read_curated(curated)
    left_out: dict[str, str] = {}
    states = _states(masks)
    usable = [(task, kept) for task in tasks.tasks if (kept := _masks_of(task, masks, states, said, left_out))]
    if not usable:
        raise DataError(f"not a single finding has a mask in {masks}", fix="run `bench curate annotate import` first")
    table = _table(patients)
    people = {task.id: table.get(task.id, Person()) for task, _ in usable}
    known = {case: person.patient or patient_by_name(case) for case, person in people.items()}
    to_split = {
        task.id: ToSplit(
            known[task.id] or task.id, tuple(task.findings[n].category for n in kept), exhaustive=not task.most_entities
        )
        for task, kept in usable
    }
    splits = split_scans(to_split, val, test, seed, stratify=stratify)
    index: dict[str, Any] = {name: [] for name in SPLITS}
    if stated := {case: person.patient for case, person in people.items() if person.patient}:
        index["patients"] = stated
    beside = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        for task, kept in sorted(usable, key=lambda item: natural(item[0].id)):
            entry = _write_case(task, kept, (folder, masks), beside, copy=copy) | _facts(people[task.id])
            index[splits[task.id]].append(entry)
            progress(task.id)
        write_text(beside / "dataset.json", json.dumps(index, indent=1, ensure_ascii=False) + "\n")
        reports = {
            name: [told for entry in index[name] if phrases and (told := phrases_of(entry, phrases))] for name in SPLITS
        }
        if phrases:
            write_text(beside / REPORTS, json.dumps(reports, indent=1, ensure_ascii=False) + "\n")
        if gate != "none":
            checked = check_all(open_dataset(beside), anatomy=anatomy, every=gate == "every")
            keys = [(task.id, task.findings[n].id) for task, kept in usable for n in kept]
            digests = {(case, finding): _digest(masks / case / f"{finding}.nii.gz") for case, finding in keys}
            _hold(checked, digests, out, gate, said)
            write_report("dataset", checked, beside)  # the same bytes under whatever name
        out.parent.mkdir(parents=True, exist_ok=True)
        beside.rename(out)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    counts = {name: len(index[name]) for name in SPLITS}
    unknown = sum(patient is None for patient in known.values())
    with_report = sum(map(len, reports.values()))
    return Made(counts, sum(len(kept) for _, kept in usable), left_out, with_report, unknown)


def _facts(person: Person) -> dict[str, Any]:
    """Return what the index says of the patient of a case, as far as it is known."""
    return {name: value for name in ("age", "sex") if (value := getattr(person, name)) is not None}


def _table(path: Path | None) -> dict[str, Person]:
    """Read the table of patients; raises DataError where it has faults."""
    if path is None:
        return {}
    table, problems = read_patients(path)
    if problems:
        raise refuse(problems, str(path))
    return table


def _states(masks: Path) -> dict[tuple[str, str], str]:
    """Return what the import said of each finding, by case and finding; nothing where it left no report."""
    try:
        rows = read_json_file(masks / IMPORT)["findings"]
        return {(row["case"], row["finding"]): f"{row['state']}: {row['reason']}" for row in rows}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _masks_of(
    task: Task,
    masks: Path,
    states: Mapping[tuple[str, str], str],
    said: Mapping[tuple[str, str, str], str],
    left_out: dict[str, str],
) -> list[int]:
    """Return which findings of a task have a mask that nobody rejected; note the others in `left_out`."""
    kept = []
    for n, finding in enumerate(task.findings):
        path = masks / task.id / f"{finding.id}.nii.gz"
        if not path.is_file():
            left_out[f"{task.id} finding {finding.id}"] = states.get((task.id, finding.id), "its mask is missing")
        elif said and said.get((task.id, finding.id, _digest(path))) == "reject":
            left_out[f"{task.id} finding {finding.id}"] = "rejected in review"
        else:
            kept.append(n)
    if not kept:
        left_out[task.id] = "none of its findings has a mask"
    return kept


def _digest(path: Path) -> str:
    return mask_digest(read_array(path)[0].astype(np.uint8))


def _hold(
    checked: list[Checked],
    digests: Mapping[tuple[str, str], str],
    out: Path,
    gate: Gate,
    said: Mapping[tuple[str, str, str], str],
) -> None:
    """Raise DataError where masks wait for a verdict, after writing what is needed for one into ``<out>-qc``."""
    ids: dict[str, list[str]] = {}
    for case, finding in digests:
        ids.setdefault(case, []).append(finding)
    rows = []
    for row in checked:
        finding = ids[row.case][int(row.finding)] if row.finding else ""
        rows.append((row_of(row.case, finding, digests.get((row.case, finding), ""), row), row))
    lacking = waiting(rows, said, gate)
    if not lacking:
        return
    folder = out.with_name(f"{out.name}-qc")
    write_report(out.name, checked, folder)
    write_sheet(folder / SHEET, [row for row, _ in rows])
    few = "; ".join(f"{row.case} {row.finding}: {row.problems or 'not looked at'}" for row in lacking[:5])
    raise DataError(
        f"{len(lacking)} of {len(rows)} masks wait for a verdict: {few}{'; …' if len(lacking) > 5 else ''}",
        fix=f"look at {folder / HTML}, write accept or reject into {folder / SHEET}, and add --review {folder / SHEET}",
    )


def _write_case(
    task: Task, kept: Sequence[int], folders: tuple[Path, Path], root: Path, *, copy: bool
) -> dict[str, Any]:
    folder, masks = folders
    source = (folder / task.id / CT).resolve()
    shape = read_header(source).shape
    labels = [_labels(masks / task.id / f"{task.findings[n].id}.nii.gz", shape) for n in kept]
    target = root / "ct" / f"{task.id}.nii.gz"
    target.parent.mkdir(parents=True, exist_ok=True)
    if copy:
        shutil.copyfile(source, target)
    else:
        target.symlink_to(source)

    def slices() -> Iterator[npt.NDArray[np.uint8]]:
        return (np.stack([mask[..., z] for mask in labels]) for z in range(shape[2]))

    write_volume(root / "seg" / target.name, np.uint8, (len(labels), *shape), np.eye(4), slices())
    findings = [task.findings[n] for n in kept]
    return {
        "name": target.name,
        "shape": list(shape),
        "findings": {str(n): finding.text for n, finding in enumerate(findings)},
        "categories": {str(n): finding.category for n, finding in enumerate(findings)},
        "entity_counts": {str(n): int(len(np.unique(mask)) - (mask == 0).any()) for n, mask in enumerate(labels)},
        "pixels": {str(n): int(np.count_nonzero(mask)) for n, mask in enumerate(labels)},
        **({"most_entities": task.most_entities} if task.most_entities else {}),
        **facts_of(task, findings),
    }


def _labels(path: Path, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    labels, _ = read_array(path)
    if labels.shape != shape:
        raise DataError(f"{path} has shape {labels.shape}, its CT {shape}", fix="import the masks again")
    return labels.astype(np.uint8)
