"""Checks for headers of CTs that are contradictory, or that tools interpret differently.

Numbers in millimetres, and every model that reorients a volume, depend on the header.
Where two libraries read one file differently, the grid of a result is unknown.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from harness.dataset.cases import Case
from harness.dataset.problems import DataProblem, Level
from harness.masks.geometry import declares_nothing, same_place
from harness.masks.header import Affine, Header

#: Millimetres, and relative: the precision of single-precision headers.
MARGIN: Final = 1e-3

_PLAUSIBLE: Final = (0.05, 20.0)  # mm: the plausible range of a voxel of a chest CT
_FLAT: Final = 1e-6  # share of the product of three lengths: a voxel of less volume is a plane
_SQUARE: Final = 1e-3  # cosine between two axes of a grid that is not sheared
_METRE, _MICROMETRE = 1, 3
_UNITS: Final = {0: "not stated", _METRE: "metres", 2: "millimetres", _MICROMETRE: "micrometres"}

_ONE_AFFINE: Final = "write the CT with one affine, as sform and qform, whose columns have the length of the spacing"


def ct_header_rules(case: Case, ct: Header, where: str) -> Iterator[DataProblem]:
    """Check the header of a case's CT."""
    yield from _shape_rules(case, ct, where)
    if len(ct.grid) == 3:
        yield from _unit_rules(ct, where)
        yield from _affine_rules(ct, where)


def _shape_rules(case: Case, ct: Header, where: str) -> Iterator[DataProblem]:
    again = "download or write the file again"
    if len(ct.grid) != 3:
        yield DataProblem(Level.ERROR, "ct-shape", where, f"the CT has shape {ct.shape}, not three axes", again)
        return
    if ct.shape != ct.grid:
        what = f"the CT has shape {ct.shape}; its axes of one voxel were ignored"
        fix = f"write it with shape {ct.grid}: some tools read a volume of four axes as a series"
        yield DataProblem(Level.WARNING, "ct-extra-axis", where, what, fix)
    if case.declared_shape is not None and ct.grid != case.declared_shape:
        what = f"the CT has shape {ct.grid}, the index states {case.declared_shape}"
        if sorted(ct.grid) == sorted(case.declared_shape):
            what += ": its axes are in another order"
        yield DataProblem(Level.ERROR, "ct-shape", where, what, "use the CT of this name, or correct the index")


def _unit_rules(ct: Header, where: str) -> Iterator[DataProblem]:
    fix = "write lengths in millimetres and set the unit: header.set_xyzt_units('mm')"
    if ct.units in {_METRE, _MICROMETRE}:
        what = f"the CT's header gives lengths in {_UNITS[ct.units]}: ITK converts them to mm, nibabel does not"
        yield DataProblem(Level.ERROR, "ct-units", where, what, fix)
    elif ct.units not in _UNITS:
        what = f"the CT's header gives lengths in a unit that NIfTI does not know (code {ct.units})"
        yield DataProblem(Level.WARNING, "ct-units", where, what, fix)
    sizes = ct.spacing[:3]
    if all(0 < size < np.inf for size in sizes) and not all(_PLAUSIBLE[0] <= size <= _PLAUSIBLE[1] for size in sizes):
        what = f"the CT's voxels are {_mm(sizes)} mm large, which is not possible for a chest CT"
        yield DataProblem(Level.ERROR, "ct-spacing", where, what, fix)


def _affine_rules(ct: Header, where: str) -> Iterator[DataProblem]:
    if ct.nonsense:
        what = f"the CT's header is invalid: {ct.nonsense}"
        yield DataProblem(Level.ERROR, "ct-affine", where, what, _ONE_AFFINE)
        return
    sizes = ct.spacing[:3]
    if not all(0 < size < np.inf for size in sizes):  # also for NaN
        what = f"the CT's header states {_mm(sizes)} mm as the size of a voxel"
        yield DataProblem(Level.ERROR, "ct-affine", where, what, _ONE_AFFINE)
        return
    if ct.affine is not None and declares_nothing(ct.affine):
        what = (
            "the CT's affine is the one that a library writes without geometry: the size of its voxels and its "
            "orientation are not known"
        )
        yield DataProblem(Level.WARNING, "ct-affine", where, what, "write the CT with the affine of its scan")
    if ct.affine is None:
        what = (
            "the CT's header does not state the orientation of the array (neither qform nor sform); nibabel and ITK "
            "then assume different orientations"
        )
        yield DataProblem(Level.WARNING, "ct-affine", where, what, "write the CT with its affine")
        return
    for affine in ct.affines:
        if (fault := _fault_of(affine, sizes)) is not None:
            yield DataProblem(Level.ERROR, "ct-affine", where, fault, _ONE_AFFINE)
            return
    if ct.sform is not None and ct.qform is not None and not same_place(ct.qform, ct.sform, _grid(ct)):
        what = (
            f"the CT's sform and qform place it differently, its farthest corner by {_apart(ct):.3g} mm; nibabel reads "
            "the sform, other tools the qform"
        )
        yield DataProblem(Level.ERROR, "ct-affine", where, what, _ONE_AFFINE)


def _fault_of(affine: Affine, sizes: tuple[float, ...]) -> str | None:
    """Return the problem of an affine as that of a grid with voxels of these sizes; None without one."""
    directions = np.array(affine)[:3, :3]
    lengths = np.linalg.norm(directions, axis=0)
    if abs(np.linalg.det(directions)) < _FLAT * np.prod(lengths) or not lengths.all():
        return "the CT's affine is not that of any grid: two of its axes are the same, or one has no length"
    if not np.allclose(lengths, sizes, rtol=MARGIN, atol=MARGIN):
        return (
            f"the CT's affine states {_mm(lengths)} mm, its header {_mm(sizes)} mm as the size of a voxel; nibabel "
            "reads the former, ITK may read the latter"
        )
    cosines = (directions / lengths).T @ (directions / lengths)
    if np.abs(cosines - np.eye(3)).max() > _SQUARE:
        return "the axes of the CT's affine are not at right angles (a tilted gantry); ITK refuses such a volume"
    return None


def _grid(ct: Header) -> tuple[int, int, int]:
    return ct.shape[0], ct.shape[1], ct.shape[2]


def _apart(ct: Header) -> float:
    assert ct.sform is not None and ct.qform is not None  # noqa: S101, PT018 - compared by the caller
    corners = np.array([[x, y, z, 1] for x in (0, 1) for y in (0, 1) for z in (0, 1)]) * [
        *(extent - 1 for extent in _grid(ct)),
        1,
    ]
    shift: npt.NDArray[np.float64] = corners @ (np.array(ct.sform) - np.array(ct.qform)).T
    return float(np.linalg.norm(shift[:, :3], axis=1).max())


def _mm(sizes: Any) -> str:
    return " x ".join(f"{float(size):.4g}" for size in sizes)
