"""The two files of a case, checked against each other and against the index."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from harness.dataset.cases import Case, Finding
from harness.dataset.headers import MARGIN, ct_header_rules
from harness.dataset.hounsfield import judge_intensities
from harness.dataset.measured import Measurements
from harness.dataset.problems import DataProblem, Level
from harness.dataset.voxels import read_header, stretches
from harness.errors import DataError
from harness.masks.geometry import declares_nothing
from harness.masks.header import GZIP_MAGIC, Affine, Header

_MOST_LABELS: Final = 255  # of a finding, in the uint8 that the organisers' evaluator reads


class Depth(enum.StrEnum):
    """Extent to which the volumes are read."""

    QUICK = "quick"  #: headers only
    FULL = "full"  #: every mask and every CT to its end, or its cached counts


def check_volumes(case: Case, depth: Depth, measured: Measurements) -> list[DataProblem]:
    """Check the CT and the mask of one case, as far as they exist."""
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
    ct, seg = headers.get("ct"), headers.get("seg")
    readable = {kind for kind in headers if f"unreadable-{kind}" not in {problem.code for problem in problems}}
    if ct is not None:
        problems += _named(ct_header_rules(case, ct, where), case.ct)
        if depth is Depth.FULL and "ct" in readable:
            problems += _named(_ct_voxels(case, where, measured), case.ct)
    if seg is not None:
        of_header = list(_seg_header(case, seg, ct, where))
        problems += _named(of_header, case.truth)
        # Without the right shape, channels and labels are meaningless.
        fits = not any(problem.code == "seg-shape" for problem in of_header)
        if depth is Depth.FULL and fits and "seg" in readable:
            problems += _named(_seg_voxels(case, seg, where, measured), case.truth)
    return problems


def _named(problems: Iterable[DataProblem], path: Path | None) -> list[DataProblem]:
    """Name the file in the message, so that a person knows which one to open."""
    return [
        problem if str(path) in problem.what else replace(problem, what=f"{path}: {problem.what}")
        for problem in problems
    ]


def _check_end(path: Path, header: Header) -> None:
    """Raise DataError for a truncated file without decoding it: gzip stores the content's size at its end."""
    declared = header.offset + header.nbytes
    with path.open("rb") as stream:
        if stream.read(2) == GZIP_MAGIC:
            stream.seek(-4, 2)
            size, declared = int.from_bytes(stream.read(4), "little"), declared % 2**32
        else:
            size = stream.seek(0, 2)
    if size != declared:  # truncated, of several gzip members, or followed by other bytes: reading it decides
        for _ in stretches(path):
            pass


def _ct_voxels(case: Case, where: str, measured: Measurements) -> list[DataProblem]:
    assert case.ct is not None  # noqa: S101 - its header was read
    try:
        return judge_intensities(measured.intensities(case.ct), where)
    except DataError as error:
        return [DataProblem(Level.ERROR, "unreadable-ct", where, error.message, error.fix)]


def _seg_header(case: Case, seg: Header, ct: Header | None, where: str) -> Iterator[DataProblem]:
    yield from _seg_shape(case, seg, ct, where)
    fix = "write the labels as uint8, unscaled: 0 outside, 1 to n for the entities of a finding"
    if seg.dtype != np.uint8 or seg.scaled:
        scale = f", scaled by {seg.slope:g} and {seg.inter:g}" if seg.scaled else ""
        what = f"the labels are stored as {seg.dtype.name}{scale}; the organisers' evaluator casts them to uint8"
        yield DataProblem(Level.WARNING, "seg-dtype", where, what, fix)
    if seg.affine is not None and not _same_grid(seg.affine, ct):
        import nibabel as nib  # imported when first needed, which is seldom

        axes = "".join(nib.orientations.aff2axcodes(np.array(seg.affine)))  # type: ignore[no-untyped-call]
        what = f"the mask's affine (axes {axes}) is neither that of a library without geometry nor that of its CT"
        fix = "write an identity or the CT's affine, once the array is known to have the CT's orientation"
        yield DataProblem(Level.ERROR, "seg-affine", where, what, fix)


def _seg_shape(case: Case, seg: Header, ct: Header | None, where: str) -> Iterator[DataProblem]:
    """Compare the mask's shape with the CT's; where the index agrees with the mask, the fault is the CT's."""
    count = len(case.findings)
    fix = "write the mask as (F,H,W,D): one channel a finding, then the axes of the CT array"
    grid = ct.grid if ct is not None and len(ct.grid) == 3 else case.declared_shape
    if len(seg.shape) != 4:
        what = f"the mask has shape {seg.shape}, not four axes"
        yield DataProblem(Level.ERROR, "seg-shape", where, what, fix)
    elif seg.shape[0] == count and seg.shape[1:] in {grid, case.declared_shape}:
        return
    elif grid is not None and seg.shape != (count, *grid):
        what = f"the mask has shape {seg.shape}; {count} findings on the CT's grid make {(count, *grid)}"
        if seg.shape == (*grid, count):
            what += ": its findings are the last axis"
        elif seg.shape[1:] == grid:
            what += ": the number of findings differs"
        elif sorted(seg.shape[1:]) == sorted(grid):
            what += ": its axes are in another order"
        yield DataProblem(Level.ERROR, "seg-shape", where, what, fix)
    elif seg.shape[0] != count:
        what = f"the mask has {seg.shape[0]} channels for {count} findings"
        yield DataProblem(Level.ERROR, "seg-shape", where, what, fix)


def _same_grid(affine: Affine, ct: Header | None) -> bool:
    if declares_nothing(affine) or ct is None or ct.affine is None:
        return True
    return np.allclose(affine, ct.affine, rtol=MARGIN, atol=MARGIN)


def _seg_voxels(case: Case, seg: Header, where: str, measured: Measurements) -> Iterator[DataProblem]:
    assert case.truth is not None  # noqa: S101 - its header was read
    try:
        counts = measured.labels(case.truth, seg.shape[0])
    except DataError as error:
        yield DataProblem(Level.ERROR, "unreadable-seg", where, error.message, error.fix)
        return
    for finding in case.findings:
        yield from _finding_rules(finding, counts[finding.index], f"{where} finding {finding.id}")


def _finding_rules(finding: Finding, labels: Counter[int], where: str) -> Iterator[DataProblem]:
    if not labels:
        yield from _absent_rules(finding, where)
        return
    voxels = labels.total()
    fix = "correct the index, or use the mask of this version of the data set"
    if finding.voxels is not None and finding.voxels != voxels:
        what = f"{voxels:,} voxels in the mask, {finding.voxels:,} by the index"
        yield DataProblem(Level.ERROR, "voxel-count", where, what, fix)
    if finding.entities is not None and finding.entities != len(labels):
        what = f"{len(labels)} entities in the mask, {finding.entities} by the index"
        yield DataProblem(Level.ERROR, "entity-count", where, what, fix)
    if min(labels) < 1:
        what = f"the mask contains the label {min(labels)}; 0 is outside, and entities are numbered from 1"
        yield DataProblem(Level.ERROR, "label-range", where, what, "number the entities of a finding 1, 2, 3, ...")
    elif max(labels) > _MOST_LABELS:
        what = f"{len(labels)} entities are labelled up to {max(labels)}; the organisers' evaluator reads uint8"
        fix = (
            "number the entities without gaps"
            if len(labels) <= _MOST_LABELS
            else "none needed for our profiles, which count them all; that evaluator distinguishes 255 labels at most"
        )
        yield DataProblem(Level.WARNING, "label-range", where, what, fix)
    elif max(labels) != len(labels):
        what = f"{len(labels)} entities are labelled up to {max(labels)}"
        yield DataProblem(Level.WARNING, "label-gap", where, what, "number the entities of a finding without gaps")


def _absent_rules(finding: Finding, where: str) -> Iterator[DataProblem]:
    """Judge a channel without a voxel: correct where the index declares it, unclear where it does not."""
    declared = [(finding.voxels, "voxels"), (finding.entities, "entities")]
    contradicting = [f"{count:,} {noun}" for count, noun in declared if count]
    what = "its channel of the mask is empty"
    if contradicting:
        what += f", the index declares {' and '.join(contradicting)}"
        yield DataProblem(Level.ERROR, "empty-finding", where, what, "annotate it, or correct the index")
    elif not any(count == 0 for count, _ in declared):
        what += ": an empty prediction scores 1, any other scores 0"
        fix = "declare 0 voxels in the index where it is absent on purpose; otherwise annotate it"
        yield DataProblem(Level.WARNING, "empty-finding", where, what, fix)
