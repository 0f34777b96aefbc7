"""The last step, ``finalize``: CTs, 4-D masks and ``dataset.json`` in the benchmark's layout, split by patient."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from curation.annotation.tasks import CT, Task, Tasks
from curation.kept import REPORTS, facts_of, phrases_of, read_curated
from curation.pipeline import write_text
from curation.steps.select import natural
from curation.volumes import read_array
from harness.dataset.nifti import write_volume
from harness.dataset.patients import Person, patient_by_name, read_patients
from harness.dataset.problems import refuse
from harness.dataset.voxels import read_header
from harness.errors import DataError, UsageError

SPLITS: Final = ("train", "val", "test")


@dataclass(frozen=True)
class Made:
    """The new data set in numbers, and what was left out."""

    splits: dict[str, int]  #: split -> cases
    findings: int
    left_out: dict[str, str]  #: case, or "case finding n" -> why
    reports: int = 0  #: cases whose report's phrases stand in ``reports_dataset.json``
    unknown_patients: int = 0  #: cases of which nothing says whose they are; each was taken for another patient


def split_patients(patients: Sequence[str], val: float, test: float, seed: int) -> dict[str, str]:
    """Return patient -> split: the same for the same patients, shares and seed, whatever their order.

    Patients are ordered by a digest of the seed and their name, and the first ones become test, then val. With a share
    above 0 a split gets at least one patient where there are as many patients as splits.
    """

    def rank(patient: str) -> bytes:
        return hashlib.sha256(f"{seed}\0{patient}".encode()).digest()

    order = sorted(set(patients), key=rank)
    wanted = [share for share in (test, val) if share > 0]
    least = 1 if len(order) > len(wanted) else 0
    n_test = max(least, round(test * len(order))) if test > 0 else 0
    n_val = max(least, round(val * len(order))) if val > 0 else 0
    return {
        patient: "test" if n < n_test else "val" if n < n_test + n_val else "train" for n, patient in enumerate(order)
    }


def finalize(
    tasks: Tasks,
    folder: Path,
    masks: Path,
    out: Path,
    *,
    val: float = 0.05,
    test: float = 0.1,
    seed: int = 0,
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
        Shares of the patients (the paper: 100 and 200 of 1,914 scans).
    seed
        Of the split.
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
        Not a single finding has a mask, or the table of patients or a file of `curated` has faults.
    """
    if out.exists():
        raise UsageError(f"{out} exists already", fix="name a new folder")
    if val < 0 or test < 0 or val + test > 1:
        raise UsageError(f"shares of {val} and {test} cannot make a split", fix="e.g. --val 0.05 --test 0.1")
    phrases = None if curated is None else read_curated(curated)
    left_out: dict[str, str] = {}
    usable = [(task, kept) for task in tasks.tasks if (kept := _masks_of(task, masks, left_out))]
    if not usable:
        raise DataError(f"not a single finding has a mask in {masks}", fix="run `bench curate annotate import` first")
    table = _table(patients)
    people = {task.id: table.get(task.id, Person()) for task, _ in usable}
    known = {case: person.patient or patient_by_name(case) for case, person in people.items()}
    patient_of = {case: patient or case for case, patient in known.items()}
    splits = split_patients(list(patient_of.values()), val, test, seed)
    index: dict[str, Any] = {name: [] for name in SPLITS}
    if stated := {case: person.patient for case, person in people.items() if person.patient}:
        index["patients"] = stated
    beside = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        for task, kept in sorted(usable, key=lambda item: natural(item[0].id)):
            entry = _write_case(task, kept, (folder, masks), beside, copy=copy) | _facts(people[task.id])
            index[splits[patient_of[task.id]]].append(entry)
            progress(task.id)
        write_text(beside / "dataset.json", json.dumps(index, indent=1, ensure_ascii=False) + "\n")
        reports = {
            name: [told for entry in index[name] if phrases and (told := phrases_of(entry, phrases))] for name in SPLITS
        }
        if phrases:
            write_text(beside / REPORTS, json.dumps(reports, indent=1, ensure_ascii=False) + "\n")
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


def _masks_of(task: Task, masks: Path, left_out: dict[str, str]) -> list[int]:
    """Return which findings of a task have a mask; note the others in `left_out`."""
    kept = []
    for n, finding in enumerate(task.findings):
        if (masks / task.id / f"{finding.id}.nii.gz").is_file():
            kept.append(n)
        else:
            left_out[f"{task.id} finding {finding.id}"] = "its mask is missing"
    if not kept:
        left_out[task.id] = "none of its findings has a mask"
    return kept


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
        **facts_of(task, findings),
    }


def _labels(path: Path, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    labels, _ = read_array(path)
    if labels.shape != shape:
        raise DataError(f"{path} has shape {labels.shape}, its CT {shape}", fix="import the masks again")
    return labels.astype(np.uint8)
