"""What lies in a case's two files, checked against each other and against the index."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import nibabel as nib
import numpy as np

from harness.dataset.cases import Case, Finding
from harness.dataset.problems import DataProblem, Level
from harness.dataset.voxels import labelled, read_header, stretches
from harness.errors import DataError
from harness.masks.header import Affine, Header

_AGAIN: Final = "download or write the file again"
_AIR: Final = -500.0  # HU: a chest CT without a voxel below it is not in HU
_UNCOUNTABLE: Final = {"seg-shape", "seg-dtype"}  # with these errors, channels and labels mean nothing
_MARGIN: Final = 1e-3  # mm, and relative: single-precision headers are no better


class Depth(enum.StrEnum):
    """How far the volumes are read."""

    QUICK = "quick"  #: headers only
    MASKS = "masks"  #: every mask to its end, headers of the CTs
    DEEP = "deep"  #: every mask and every CT to its end


def check_volumes(case: Case, depth: Depth) -> list[DataProblem]:
    """Check the CT and the mask of one case, as far as they are there."""
    problems: list[DataProblem] = []
    headers: dict[str, Header] = {}
    where = f"{case.split}/{case.id}"
    for kind, path in (("ct", case.ct), ("seg", case.truth)):
        if path is None:
            continue
        try:
            headers[kind] = read_header(path)
            _check_end(path, headers[kind])
        except DataError as error:
            problems.append(DataProblem(Level.ERROR, f"unreadable-{kind}", where, error.message, error.fix))
    ct, truth = headers.get("ct"), headers.get("seg")
    unreadable = {problem.code for problem in problems}
    if case.ct is not None and ct is not None:
        problems += _ct_header(case, ct, where)
        if depth is Depth.DEEP and "unreadable-ct" not in unreadable:
            problems += _ct_voxels(case.ct, ct, where)
    if case.truth is not None and truth is not None:
        grid = ct.shape if ct is not None else case.declared_shape
        of_header = list(_seg_header(case, truth, grid, ct, where))
        problems += of_header
        fits = not any(problem.level is Level.ERROR and problem.code in _UNCOUNTABLE for problem in of_header)
        if depth is not Depth.QUICK and fits and "unreadable-seg" not in unreadable:
            problems += _seg_voxels(case, case.truth, truth, where)
    return problems


def _check_end(path: Path, header: Header) -> None:
    """Raise DataError for a truncated file without decoding it: gzip writes down the content's size at its end."""
    with path.open("rb") as stream:
        stream.seek(-4, 2)
        size = int.from_bytes(stream.read(4), "little")
    if size != (header.offset + header.nbytes) % 2**32:  # truncated, or of several gzip members: reading it tells
        for _ in stretches(path):
            pass


def _ct_header(case: Case, ct: Header, where: str) -> Iterator[DataProblem]:
    if len(ct.shape) != 3:
        yield DataProblem(Level.ERROR, "ct-shape", where, f"the CT has shape {ct.shape}, not three axes", _AGAIN)
        return
    if case.declared_shape is not None and ct.shape != case.declared_shape:
        what = f"the CT has shape {ct.shape}, the index says {case.declared_shape}"
        if sorted(ct.shape) == sorted(case.declared_shape):
            what += ": its axes are in another order"
        yield DataProblem(Level.ERROR, "ct-shape", where, what, "take the CT of this very name, or correct the index")
    if ct.affine is None:
        what = "the CT's header does not say how the array lies in the patient (neither qform nor sform)"
        yield DataProblem(Level.WARNING, "ct-affine", where, what, "write the CT with its affine")
        return
    directions = np.array(ct.affine)[:3, :3]
    sizes = np.linalg.norm(directions, axis=0)
    fix = "write the CT with one affine whose columns have the length of the spacing"
    if min(ct.spacing) == 0 or abs(np.linalg.det(directions)) < 1e-9:
        yield DataProblem(Level.ERROR, "ct-affine", where, "the CT's affine or spacing is not that of any grid", fix)
    elif not np.allclose(sizes, ct.spacing, rtol=_MARGIN, atol=_MARGIN):
        what = f"the CT's affine says {_mm(sizes)} mm, its header says {_mm(ct.spacing)} mm"
        yield DataProblem(Level.ERROR, "ct-affine", where, what, fix)


def _ct_voxels(path: Path, ct: Header, where: str) -> Iterator[DataProblem]:
    lowest = np.inf
    try:
        for values in stretches(path):
            lowest = min(lowest, float(values.min()) * ct.slope + ct.inter)
    except DataError as error:
        yield DataProblem(Level.ERROR, "unreadable-ct", where, error.message, error.fix)
        return
    if not lowest < _AIR:
        what = f"the lowest value of the CT is {lowest:g}: a chest in HU has air below {_AIR:g}"
        fix = "use volumes in HU (CT-RATE's `*_fixed` folders), not raw values"
        yield DataProblem(Level.ERROR, "ct-not-hu", where, what, fix)


def _seg_header(
    case: Case, truth: Header, grid: tuple[int, ...] | None, ct: Header | None, where: str
) -> Iterator[DataProblem]:
    count = len(case.findings)
    fix = "write the mask as (F,H,W,D): one channel a finding, then the axes of the CT array"
    if len(truth.shape) != 4:
        yield DataProblem(Level.ERROR, "seg-shape", where, f"the mask has shape {truth.shape}, not four axes", fix)
    elif grid is not None and truth.shape != (count, *grid):
        what = f"the mask has shape {truth.shape}; {count} findings on the CT's grid make {(count, *grid)}"
        if truth.shape == (*grid, count):
            what += ": its findings are the last axis"
        elif truth.shape[1:] == grid:
            what += ": the number of findings differs"
        elif sorted(truth.shape[1:]) == sorted(grid):
            what += ": its axes are in another order"
        yield DataProblem(Level.ERROR, "seg-shape", where, what, fix)
    elif truth.shape[0] != count:
        what = f"the mask has {truth.shape[0]} channels for {count} findings"
        yield DataProblem(Level.ERROR, "seg-shape", where, what, fix)
    fix = "write the labels as uint8, unscaled: 0 outside, 1 to n for the entities of a finding"
    if truth.dtype.kind not in "iu" or (truth.slope, truth.inter) != (1.0, 0.0):
        what = f"the labels are {truth.dtype.name}, slope {truth.slope:g}, intercept {truth.inter:g}"
        yield DataProblem(Level.ERROR, "seg-dtype", where, what, fix)
    elif truth.dtype != np.uint8:
        what = f"the labels are {truth.dtype.name}; the organisers' evaluator reads them as uint8"
        yield DataProblem(Level.WARNING, "seg-dtype", where, what, fix)
    if truth.affine is not None and not _same_grid(truth.affine, ct):
        axes = "".join(nib.orientations.aff2axcodes(np.array(truth.affine)))  # type: ignore[no-untyped-call]
        what = f"the mask's affine (axes {axes}) is neither an identity nor that of its CT"
        fix = "write an identity or the CT's affine, once the array is known to lie as the CT's does"
        yield DataProblem(Level.ERROR, "seg-affine", where, what, fix)


def _same_grid(affine: Affine, ct: Header | None) -> bool:
    if np.allclose(affine, np.eye(4), atol=_MARGIN) or ct is None or ct.affine is None:
        return True
    return np.allclose(affine, ct.affine, rtol=_MARGIN, atol=_MARGIN)


def _seg_voxels(case: Case, path: Path, truth: Header, where: str) -> Iterator[DataProblem]:
    try:
        counts = count_labels(path, truth.shape[0])
    except DataError as error:
        yield DataProblem(Level.ERROR, "unreadable-seg", where, error.message, error.fix)
        return
    for finding in case.findings:
        yield from _finding_rules(finding, counts[finding.index], f"{where} finding {finding.id}")


def count_labels(path: Path, findings: int) -> list[Counter[int]]:
    """Count the voxels of every label in every channel of a 4-D mask; raises DataError for a damaged file."""
    counts: list[Counter[int]] = [Counter() for _ in range(findings)]
    for part in labelled(path, findings):
        pairs, sizes = np.unique(np.stack([part.channel, part.label.astype(np.int64)]), axis=1, return_counts=True)
        for channel, label, size in zip(*pairs.tolist(), sizes.tolist(), strict=True):
            counts[channel][label] += size
    return counts


def _finding_rules(finding: Finding, labels: Counter[int], where: str) -> Iterator[DataProblem]:
    if not labels:
        fix = "annotate it, or take it out of the index: any prediction for it scores 0"
        yield DataProblem(Level.ERROR, "empty-finding", where, "its channel of the mask has no voxel", fix)
        return
    voxels = labels.total()
    fix = "correct the index, or take the mask of this very version of the data set"
    if finding.voxels is not None and finding.voxels != voxels:
        what = f"{voxels:,} voxels in the mask, {finding.voxels:,} by the index"
        yield DataProblem(Level.ERROR, "voxel-count", where, what, fix)
    if finding.entities is not None and finding.entities != len(labels):
        what = f"{len(labels)} entities in the mask, {finding.entities} by the index"
        yield DataProblem(Level.ERROR, "entity-count", where, what, fix)
    if min(labels) < 1 or max(labels) > 255:
        what = f"labels from {min(labels)} to {max(labels)} do not fit uint8, which the organisers' evaluator reads"
        yield DataProblem(Level.ERROR, "label-range", where, what, "number the entities of a finding from 1")
    elif max(labels) != len(labels):
        what = f"{len(labels)} entities are labelled up to {max(labels)}"
        yield DataProblem(
            Level.WARNING, "label-gap", where, what, "number the entities of a finding from 1, without gaps"
        )


def _mm(sizes: Any) -> str:
    return " x ".join(f"{float(size):.4g}" for size in sizes)
