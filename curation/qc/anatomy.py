"""Where body, lungs, sides and lobes of one scan are: from an anatomy mask where there is one, else from HU."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from curation.volumes import read_array
from harness.dataset.cases import Case

#: Labels of an anatomy mask, as ``bench data phantom`` writes them -> the lobe's name; 6 is airway.
LOBES: Final = {
    1: ("right", "upper"),
    2: ("right", "middle"),
    3: ("right", "lower"),
    4: ("left", "upper"),
    5: ("left", "lower"),
}

_AIR: Final = -400.0  # HU: below it lung and other air
_TISSUE: Final = -300.0  # HU: above it tissue
_OUTSIDE: Final = -930.0  # HU: air outside the patient is thinner than this, lung is not
_TISSUE_AT_SIDES: Final = 0.3  # of the sides of the slices; arms and a wide patient reach less
_GRID: Final = 2.5  # mm: fine enough to locate the lungs
_SMALLEST: Final = 0.002  # of the volume: a smaller pocket of air is not a lung

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Anatomy:
    """One scan, thinned to about 2.5 mm.

    Attributes
    ----------
    steps
        Every how many voxels a sample was taken along each axis of the CT array.
    spacing
        mm between samples.
    affine
        CT array index -> mm (RAS+); None where the header does not state it.
    body, lungs
        Thinned masks; None where the scan is a crop that shows too little anatomy.
    lobes
        Thinned labels 1 to 5 (and 6, airway), from an anatomy mask; None where there is none.
    lung_hu
        Median HU of the lungs; None where they are not known.
    """

    steps: tuple[int, int, int]
    spacing: tuple[float, float, float]
    affine: npt.NDArray[np.float64] | None
    body: Flags | None
    lungs: Flags | None
    lobes: npt.NDArray[np.uint8] | None
    lung_hu: float | None = None

    def at(self, field: npt.NDArray[Any], voxels: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Return the samples of a thinned array at CT voxels (n, 3)."""
        index = np.minimum(voxels // np.array(self.steps), np.array(field.shape) - 1)
        return np.asarray(field[tuple(index.T)])

    def near_lungs(self, millimetres: float) -> Flags:
        """Return the lungs and all within so many mm of them."""
        assert self.lungs is not None  # noqa: S101 - asked only where there are lungs
        distance = ndimage.distance_transform_edt(~self.lungs, sampling=self.spacing)
        return np.asarray(distance <= millimetres)

    def middle(self) -> float | None:
        """Return the x (mm, RAS+) of the plane between the lungs; None where unknown."""
        if self.affine is None or self.lungs is None:
            return None
        if self.lobes is not None:
            sides = [np.isin(self.lobes, labels) for labels in ((1, 2, 3), (4, 5))]
            if not all(side.any() for side in sides):
                return None
            means = [self.x_of(np.argwhere(side) * np.array(self.steps)).mean() for side in sides]
            return float(np.mean(means))
        x = self.x_of(np.argwhere(self.lungs) * np.array(self.steps))
        return float((x.min() + x.max()) / 2)

    def x_of(self, voxels: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Return the x of voxels in mm (RAS+: it grows from the patient's left to the right)."""
        assert self.affine is not None  # noqa: S101 - called only where the header states it
        return np.asarray(voxels @ self.affine[0, :3] + self.affine[0, 3])

    def height(self, voxels: npt.NDArray[np.int64]) -> npt.NDArray[np.float64] | None:
        """Return where voxels lie between the lungs' lower end (0) and upper end (1); None where unknown."""
        if self.affine is None or self.lungs is None:
            return None

        def z_of(points: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
            assert self.affine is not None  # noqa: S101 - see above
            return np.asarray(points @ self.affine[2, :3] + self.affine[2, 3])

        lungs = z_of(np.argwhere(self.lungs) * np.array(self.steps))
        return np.asarray((z_of(voxels) - lungs.min()) / max(1e-6, float(np.ptp(lungs))))


def look(case: Case, values: npt.NDArray[Any], anatomy: Path | None = None) -> Anatomy:
    """Find body and lungs of a scan.

    Parameters
    ----------
    case
        With its CT.
    values
        The CT in HU, as :func:`curation.volumes.read_array` returns it (scaled).
    anatomy
        A label mask on the CT's grid, see :data:`LOBES`; None: from HU alone.
    """
    spacing = case.spacing or (1.0, 1.0, 1.0)
    steps = (_step(spacing[0]), _step(spacing[1]), _step(spacing[2]))
    thin = np.asarray(values[:: steps[0], :: steps[1], :: steps[2]], np.float32)
    affine = None if case.affine is None else np.array(case.affine)
    fine = (spacing[0] * steps[0], spacing[1] * steps[1], spacing[2] * steps[2])
    crop = is_crop(thin)
    body = None if crop else _body(thin)
    lobes = None
    if anatomy is not None and anatomy.is_file():
        labels, _ = read_array(anatomy)
        if labels.shape == values.shape:
            lobes = np.asarray(labels[:: steps[0], :: steps[1], :: steps[2]], np.uint8)
    lungs = np.asarray(lobes > 0) if lobes is not None else None if crop else _lungs(thin)
    lung_hu = None if lungs is None else float(np.median(thin[lungs]))
    return Anatomy(steps, fine, affine, body, lungs, lobes, lung_hu)


def _step(spacing: float) -> int:
    return max(1, int(_GRID / spacing))


def is_crop(thin: npt.NDArray[np.float32]) -> bool:
    """Return whether the sides of the slices lie inside the patient: they show tissue, or air that is too dense."""
    sides = np.concatenate([part.ravel() for part in (thin[0], thin[-1], thin[:, 0], thin[:, -1])])
    air = sides[sides < _AIR]
    return bool((sides > _TISSUE).mean() > _TISSUE_AT_SIDES or (len(air) and np.median(air) > _OUTSIDE))


def _body(thin: npt.NDArray[np.float32]) -> Flags:
    """Return the largest piece of tissue, and all that it surrounds within a slice."""
    pieces, count = ndimage.label(thin > _TISSUE)
    if not count:
        return np.ones(thin.shape, bool)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    largest = pieces == sizes.argmax()
    filled = np.stack([ndimage.binary_fill_holes(largest[..., z]) for z in range(largest.shape[2])], axis=2)
    return np.asarray(filled)


def _lungs(thin: npt.NDArray[np.float32]) -> Flags | None:
    """Return large pockets of air off the sides of the slices, closed over vessels and small opacities."""
    pockets, count = ndimage.label(thin < _AIR)
    sizes = np.bincount(pockets.ravel(), minlength=count + 1)
    keep = sizes >= _SMALLEST * thin.size
    keep[0] = False
    for side in (pockets[0], pockets[-1], pockets[:, 0], pockets[:, -1]):
        keep[np.unique(side)] = False
    lungs = keep[pockets]
    if not lungs.any():
        return None
    closed = ndimage.binary_closing(np.pad(lungs, 4), iterations=3)[4:-4, 4:-4, 4:-4]
    return np.asarray(closed | lungs)
