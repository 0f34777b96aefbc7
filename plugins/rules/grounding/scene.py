"""One CT made ready for all its findings: its anatomy, windows on the working grid, and the way back to the CT."""

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
    Box,
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
#: mm. Where candidates compete, they are sought further out, at a price that grows by e over this distance.
FAR_MM, FALL_OFF_MM = 24.0, 12.0
#: mm around a finding's region that its window keeps: for the tolerance, and for filters that look around a voxel.
MARGIN_MM = 28.0


class Scene:
    """A CT with its anatomy, from which each finding gets the window it needs.

    Parameters
    ----------
    volume
        (H, W, D), Hounsfield units, any orientation.
    affine
        (4, 4), voxel to RAS+ world, mm.

    Attributes
    ----------
    anatomy : Anatomy
        On a grid of about 3 mm, of the whole CT.
    regions : Regions
        On the anatomy's grid.
    """

    def __init__(self, volume: NDArray[Any], affine: NDArray[Any]) -> None:
        self._shape = volume.shape
        full, self._orientation = canonical(volume, affine)
        self._full_shape = full.hu.shape
        self._to_work = full.factors(WORKING_MM)
        self._work = _clean(full.reduced(self._to_work))
        self._to_coarse = self._work.factors(COARSE_MM)
        self.anatomy: Anatomy = find_anatomy(self._work.reduced(self._to_coarse))
        self.regions = Regions(self.anatomy)
        self._latest: tuple[Box, Window] | None = None

    def window(self, query: Query) -> Window:
        """Return the part of the CT that a finding's region lies in; equal parts are made once."""
        anatomy = self.anatomy
        reach = MARGIN_MM + 0.6 * max(query.sizes_mm, default=0.0)
        box = bounding_box(self.regions.of(query.places, query.settings), anatomy.grid.voxels(reach))
        if box is None:
            box = bounding_box(np.ones_like(anatomy.lungs))
        assert box is not None  # noqa: S101 - a CT has voxels
        if self._latest is None or self._latest[0] != box:  # only the latest: a window holds several filtered volumes
            self._latest = None
            self._latest = (box, Window(self, box))
        return self._latest[1]

    def crop(self, box: Box) -> tuple[Grid, Box]:
        """Cut the working grid to a box of the anatomy's grid; return it and the box on the working grid."""
        x, y, z = (
            slice(b.start * factor, min(size, b.stop * factor))
            for b, factor, size in zip(box, self._to_coarse, self._work.hu.shape, strict=True)
        )
        return Grid(np.ascontiguousarray(self._work.hu[x, y, z]), self._work.spacing), (x, y, z)

    @property
    def to_coarse(self) -> tuple[int, int, int]:
        """By how much the anatomy's grid is coarser than the working grid."""
        return self._to_coarse

    def native(self, window: Window, mask: Bools) -> Bools:
        """Bring a mask of a window onto the CT's own grid, (H, W, D)."""
        whole = np.zeros(self._work.hu.shape, dtype=bool)
        whole[window.box] = mask
        return restore(enlarged(whole, self._to_work, self._full_shape), self._orientation, self._shape)


def _clean(grid: Grid) -> Grid:
    """Bring padding, metal and missing values into the range of a CT."""
    return Grid(np.nan_to_num(np.clip(grid.hu, -1024, 3071), nan=-1024.0), grid.spacing)


class Window:
    """A part of a CT on the working grid, with the anatomy in it; all masks that segmenters handle are on its grid.

    Parameters
    ----------
    scene
        The CT.
    box
        Which part, on the anatomy's grid.

    Attributes
    ----------
    ct : Grid
        About 1.2 mm, Hounsfield units.
    box : tuple of slice
        Which part, on the working grid of the whole CT.
    anatomy, regions
        Of the whole CT, on the anatomy's grid; :meth:`fine` brings their masks here.
    """

    def __init__(self, scene: Scene, box: Box) -> None:
        self.anatomy = scene.anatomy
        self.regions = scene.regions
        self._coarse_box = box
        self._to_coarse = scene.to_coarse
        self.ct, self.box = scene.crop(box)
        self._smooth: dict[float, Floats] = {}

    def fine(self, mask: Array) -> Array:
        """Bring a mask or map of the anatomy's grid onto this grid."""
        return enlarged(mask[self._coarse_box], self._to_coarse, self.ct.hu.shape)

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
    def hull(self) -> Bools:
        """The lungs with airless parts at their surface."""
        return self.fine(self.anatomy.hull)

    @cached_property
    def airway(self) -> Bools:
        """Trachea and main bronchi with their walls."""
        return self.fine(dilated(self.anatomy.airway, 3.0, self.anatomy.grid.spacing))

    def inner_lungs(self, margin_mm: float) -> Bools:
        """Return the lungs without a rim of at least a voxel, where the pleura and the chest wall blur into them."""
        return self.fine(self.anatomy.depth_mm > max(margin_mm, 1.01 * max(self.anatomy.grid.spacing)))

    def affinity(self, query: Query) -> Floats:
        """Return 1 in a finding's region, less the further from it, 0 far away and wherever it cannot be."""
        region = self.regions.of(query.places, query.settings)[self._coarse_box]
        allowed = self._allowed(query, np.ones_like(self.anatomy.lungs))[self._coarse_box]
        if not region.all():
            outside = ndimage.distance_transform_edt(~region, sampling=self.anatomy.grid.spacing)
            allowed = np.where(allowed & (outside <= FAR_MM), np.exp(-outside / FALL_OFF_MM), 0.0)
        return enlarged(allowed.astype(np.float32), self._to_coarse, self.ct.hu.shape)

    def region(self, query: Query, *, tolerance_mm: float = TOLERANCE_MM) -> Bools:
        """Return where a finding is sought: its region, a little widened in the chest cavity, less what it spares."""
        region = self.regions.of(query.places, query.settings)
        return self.fine(self._allowed(query, dilated(region, tolerance_mm, self.anatomy.grid.spacing)))

    def _allowed(self, query: Query, wide: Bools) -> Bools:
        """Cut from a widened region what the finding cannot lie in: outside the chest, spared, the other lung."""
        wide = wide & (self.anatomy.cavity | self.anatomy.hull)
        for place in query.places.spared:
            wide &= ~self.regions.place(place)
        sides = {place.side for place in query.places.within}
        if self.anatomy.sided and query.places.within and None not in sides and len(sides) == 1:
            wide &= ~(self.anatomy.left if sides == {"right"} else self.anatomy.right)
        return wide

    def voxels(self, millilitres: float) -> int:
        """Express a volume in voxels of the working grid, at least one."""
        return max(1, round(millilitres / self.ct.voxel_ml))
