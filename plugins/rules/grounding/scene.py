"""One CT made ready for all its findings: the working grid cropped to the chest cavity, and the way back to the CT."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .anatomy import Anatomy, find_anatomy
from .grid import (
    COARSE_MM,
    WORKING_MM,
    Array,
    Bools,
    Floats,
    Grid,
    bounding_box,
    canonical,
    dilated,
    enlarged,
    restore,
)
from .regions import Regions
from .text import Query

#: mm. Lobes are approximate and lesions cross their border; findings are sought this far outside the region.
TOLERANCE_MM = 8.0
#: mm around the chest cavity that the crop keeps, for the pleura and for filters that look around a voxel.
MARGIN_MM = 15.0


class Scene:
    """A CT, its anatomy, and its working grid.

    Parameters
    ----------
    volume
        (H, W, D), Hounsfield units, any orientation.
    affine
        (4, 4), voxel to RAS+ world, mm.

    Attributes
    ----------
    ct : Grid
        The working grid, cropped to the chest cavity; all masks that segmenters handle are on it.
    anatomy : Anatomy
        On a coarser grid of the whole CT.
    regions : Regions
        On the anatomy's grid.
    """

    def __init__(self, volume: NDArray[Any], affine: NDArray[Any]) -> None:
        self.shape = volume.shape
        full, self._orientation = canonical(volume, affine)
        self._full_shape = full.hu.shape
        self._to_work = full.factors(WORKING_MM)
        work = full.reduced(self._to_work)
        self._to_coarse = work.factors(COARSE_MM)
        coarse = work.reduced(self._to_coarse)
        coarse = Grid(np.nan_to_num(np.clip(coarse.hu, -1024, 3071), nan=-1024.0), coarse.spacing)
        self.anatomy: Anatomy = find_anatomy(coarse)
        self.regions = Regions(self.anatomy)
        box = bounding_box(self.anatomy.cavity, coarse.voxels(MARGIN_MM)) or (slice(None),) * 3
        self._coarse_box = box
        self._work_shape = work.hu.shape
        self._box = tuple(
            slice((b.start or 0) * f, min(n, (b.stop if b.stop is not None else n) * f))
            for b, f, n in zip(box, self._to_coarse, work.hu.shape, strict=True)
        )
        hu = np.nan_to_num(np.clip(work.hu[self._box], -1024, 3071), nan=-1024.0)
        self.ct = Grid(np.ascontiguousarray(hu, dtype=np.float32), work.spacing)
        self._smooth: dict[float, Floats] = {}

    def fine(self, mask: Array) -> Array:
        """Bring a mask or map of the anatomy's grid onto the working grid."""
        return enlarged(mask[self._coarse_box], self._to_coarse, self.ct.hu.shape)

    def native(self, mask: Bools) -> Bools:
        """Bring a mask of the working grid onto the CT's own grid."""
        whole = np.zeros(self._work_shape, dtype=bool)
        whole[self._box] = mask
        return restore(enlarged(whole, self._to_work, self._full_shape), self._orientation, self.shape)

    def smooth(self, sigma_mm: float) -> Floats:
        """Return the CT after a Gaussian of `sigma_mm`."""
        if sigma_mm not in self._smooth:
            clipped = np.clip(self.ct.hu, -1024, 400)
            self._smooth[sigma_mm] = ndimage.gaussian_filter(clipped, self.ct.voxels(sigma_mm), truncate=3.0)
        return self._smooth[sigma_mm]

    @cached_property
    def lungs(self) -> Bools:
        """Both lungs with what lies in them."""
        return self.fine(self.anatomy.lungs)

    @cached_property
    def cavity(self) -> Bools:
        """The chest cavity: lungs and pleural space."""
        return self.fine(self.anatomy.cavity)

    @cached_property
    def airway(self) -> Bools:
        """Trachea and main bronchi with their walls."""
        return self.fine(dilated(self.anatomy.airway, 3.0, self.anatomy.grid.spacing))

    def inner_lungs(self, margin_mm: float) -> Bools:
        """Return the lungs without a rim, where the pleura and the chest wall blur into them."""
        return self.fine(self.anatomy.depth_mm > margin_mm)

    def region(self, query: Query, *, tolerance_mm: float = TOLERANCE_MM) -> Bools:
        """Return where a finding is sought: its region, a little widened in the chest cavity, less what it spares."""
        region = self.regions.of(query.places, query.settings)
        wide = dilated(region, tolerance_mm, self.anatomy.grid.spacing) & self.anatomy.cavity
        for place in query.places.spared:
            wide &= ~self.regions.place(place)
        sides = {place.side for place in query.places.within}
        if self.anatomy.sided and query.places.within and None not in sides and len(sides) == 1:
            wide &= ~(self.anatomy.left if sides == {"right"} else self.anatomy.right)
        return self.fine(wide)

    def voxels(self, millilitres: float) -> int:
        """Express a volume in voxels of the working grid, at least one."""
        return max(1, round(millilitres / self.ct.voxel_ml))
