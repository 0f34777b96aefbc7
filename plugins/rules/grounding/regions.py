"""Places and settings of a text as regions of one patient's lungs: lobes from fissure planes, segments from shares.

Fissures are too thin to be found reliably by rule. Their course, however, varies little compared with a lobe: each
oblique fissure is taken as a plane of usual slope that falls from back to front, placed such that the lobe below has
its usual share of the lung's volume; the horizontal fissure likewise cuts the middle lobe off. Segments are shares of
their lobe along the patient's axes.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy import ndimage

from .anatomy import Anatomy
from .grid import Array, Bools, Floats, bounding_box
from .places import Place, Places

#: Rise in mm for each mm towards the back. Measured on a slab of one labelled scan: 0.47 right, 0.76 left;
#: taken a little steeper, as a slab of 48 mm shows the middle of the fissures only.
FISSURE_SLOPE = {"right": 0.55, "left": 0.8}
#: Share of a lung's volume in its lower lobe, and of the right lung's in its middle lobe: about half, and about a fifth
#: (inspiratory CT volumetry gives some 20/9/24/22/24 % of both lungs for the five lobes).
LOWER_LOBE = {"right": 0.47, "left": 0.48}
MIDDLE_LOBE = 0.18
#: Shares of a lobe, along its own distribution of voxels, that a direction takes up.
SHARE = {"anterior": 0.5, "posterior": 0.5, "lateral": 0.55, "medial": 0.55, "inferior": 0.5, "superior": 0.5}
#: mm from the costal surface.
PERIPHERAL_MM = 25.0


class Regions:
    """Regions of the lungs of one CT; everything is computed on first use.

    Parameters
    ----------
    anatomy
        The thorax; all masks are on its grid.
    """

    def __init__(self, anatomy: Anatomy) -> None:
        self.anatomy = anatomy
        self._lobes: dict[str, dict[str, Bools]] = {}

    def of(self, places: Places, settings: frozenset[str] = frozenset()) -> Bools:
        """Return where a finding is to be sought.

        Parameters
        ----------
        places
            Within, spared.
        settings
            ``"peripheral"``, ``"dependent"`` ...; one that leaves nothing over is ignored.
        """
        region: Bools = np.zeros_like(self.anatomy.lungs)
        for place in places.within or (Place(),):
            region |= self.place(place)
        for place in places.spared:
            region &= ~self.place(place)
        for setting in sorted(settings):
            narrowed = region & self.setting(setting)
            if narrowed.any():
                region = narrowed
        return region

    def place(self, place: Place) -> Bools:
        """Return one place's voxels."""
        sides = [place.side] if place.side else ["right", "left"]
        region = np.zeros_like(self.anatomy.lungs)
        for side in sides:
            region |= self._in_lung(side, place)
        return region

    def _in_lung(self, side: str, place: Place) -> Bools:
        lung = self._lung(side)
        if not lung.any():
            return lung
        level = place.level
        if level is None:
            region = lung
        elif level.endswith("lobe"):
            region = self.lobes(side).get(level.split()[0], np.zeros_like(lung))
        else:
            low, high = _HEIGHTS[level]
            height = self._height(side)
            region = lung & (height >= low) & (height <= high)
        return self._parts(region, place.parts, side)

    def _lung(self, side: str) -> Bools:
        return self.anatomy.right if side == "right" else self.anatomy.left

    @cached_property
    def _axes(self) -> tuple[Array, Array, Array]:
        """Millimetres to the right, to the front and upwards."""
        x, y, z = (
            np.arange(size, dtype=np.float32) * np.float32(step)
            for size, step in zip(self.anatomy.lungs.shape, self.anatomy.grid.spacing, strict=True)
        )
        return x[:, None, None], y[None, :, None], z[None, None, :]

    def _height(self, side: str) -> Array:
        """Height in a lung, 0 at its lowest and 1 at its highest point, by slice."""
        occupied = np.flatnonzero(self._lung(side).any(axis=(0, 1)))
        z = np.arange(self.anatomy.lungs.shape[2], dtype=np.float32)
        height: Array = (z - occupied[0] + 0.5) / (occupied[-1] - occupied[0] + 1)
        return height[None, None, :]

    def lobes(self, side: str) -> dict[str, Bools]:
        """Return ``{"upper": ..., "middle": ..., "lower": ...}`` of one lung (no middle lobe on the left)."""
        if side not in self._lobes:
            lung = self._lung(side)
            above = self._above_fissure(side)
            lower = lung & (above < 0)
            upper = lung & ~lower
            lobes = {"lower": lower}
            if side == "right" and upper.any():
                z = np.broadcast_to(self._axes[2], lung.shape)
                middle = upper & (z <= np.quantile(z[upper], MIDDLE_LOBE / (1 - LOWER_LOBE["right"])))
                lobes["middle"] = middle
                upper = upper & ~middle
            lobes["upper"] = upper
            self._lobes[side] = lobes
        return self._lobes[side]

    def _above_fissure(self, side: str) -> Floats:
        """Signed height above the oblique fissure's plane, in mm."""
        lung = self._lung(side)
        _, y, z = self._axes
        rise = np.broadcast_to(z + np.float32(FISSURE_SLOPE[side]) * y, lung.shape)
        return np.asarray(rise - np.quantile(rise[lung], LOWER_LOBE[side]), dtype=np.float32)

    def _parts(self, region: Bools, parts: frozenset[str], side: str) -> Bools:
        """Narrow a lobe to the directions named."""
        if not parts or not region.any():
            return region
        x, y, z = (np.broadcast_to(axis, region.shape) for axis in self._axes)
        if "lingula" in parts:
            region = region & (z <= np.quantile(z[region], 0.42))
            parts = parts - {"lingula"}
        outward = x if side == "right" else -x
        values = {"anterior": y, "posterior": -y, "lateral": outward, "medial": -outward}
        values |= {"superior": z, "apical": z, "basal": -z, "inferior": -z}
        shares = SHARE | {"apical": 0.45, "basal": 0.65}
        if not self.anatomy.sided:
            parts = parts - {"lateral", "medial"}
        masks = []
        for part in sorted(parts):
            value = values[part]
            masks.append(region & (value >= np.quantile(value[region], 1.0 - shares[part])))
        if parts == {"apical", "posterior"}:  # one segment of the left upper lobe that takes up both
            return np.asarray(region & (masks[0] | masks[1]))
        narrowed = region
        for mask in masks:
            narrowed = narrowed & mask
        return narrowed if narrowed.any() else region

    @cached_property
    def between_lungs(self) -> Bools:
        """What lies between the two lungs, left to right: mediastinum and spine."""
        lungs = self.anatomy.lungs
        if not self.anatomy.sided:
            return np.zeros_like(lungs)
        forward = np.maximum.accumulate(lungs, axis=0)
        backward = np.maximum.accumulate(lungs[::-1], axis=0)[::-1]
        return np.asarray(forward & backward & ~lungs)

    @cached_property
    def costal_depth_mm(self) -> Floats:
        """Distance from the surface of the chest cavity, in mm: the mediastinum counts as inside."""
        padded = np.pad(self.anatomy.lungs | self.between_lungs, 1, mode="edge")
        depth = ndimage.distance_transform_edt(padded, sampling=self.anatomy.grid.spacing)
        return np.asarray(depth[1:-1, 1:-1, 1:-1], dtype=np.float32)

    def setting(self, name: str) -> Bools:
        """Return the voxels of a setting, whatever the place."""
        lungs = self.anatomy.lungs
        if name in ("peripheral", "central"):
            deepest = float(self.costal_depth_mm.max(initial=0.0))
            limit = min(PERIPHERAL_MM, 0.5 * deepest)
            peripheral: Bools = self.costal_depth_mm <= limit
            return lungs & (peripheral if name == "peripheral" else ~peripheral)
        region = np.zeros_like(lungs)
        for side in ("right", "left"):
            lung = self._lung(side)
            if lung.any():
                region |= self._setting_of(name, side, lung)
        return region

    def _setting_of(self, name: str, side: str, lung: Bools) -> Bools:
        if name == "fissural":
            return lung & self.fissure(side, 12.0)
        if name == "diaphragmatic":
            return lung & (self._height(side) <= 0.4)
        wanted = {"dependent": {"posterior"}, "paraspinal": {"medial", "posterior"}, "mediastinal": {"medial"}}
        return self._parts(lung, frozenset(wanted.get(name, set())), side)

    def fissure(self, side: str, within_mm: float) -> Bools:
        """Return the voxels near the fissures of a lung."""
        slope = FISSURE_SLOPE[side]
        near: Bools = np.abs(self._above_fissure(side)) / np.hypot(1.0, slope) <= within_mm
        middle = self.lobes(side).get("middle")
        box = bounding_box(middle) if middle is not None else None
        if box is not None:
            top = self._axes[2][0, 0, box[2].stop - 1]
            near = near | (np.abs(self._axes[2] - top) <= within_mm) & (self._above_fissure(side) > 0)
        return near & self._lung(side)


#: Levels of a lung as shares of its height.
_HEIGHTS = {
    "upper zone": (0.6, 1.0),
    "middle zone": (0.3, 0.7),
    "lower zone": (0.0, 0.4),
    "apex": (0.75, 1.0),
    "base": (0.0, 0.45),
}
