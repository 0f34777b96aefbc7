"""The thorax of one CT by rule: body, airways, the two lungs, what is trapped in the pleural space, and depths.

Works on a grid of about 3 mm. Nothing here needs a whole thorax: for a crop of one lung or of one nodule the result is
as complete as the crop allows, and a volume without any lung is treated as one region whose side is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage

from .grid import Array, Bools, Floats, Grid, bounding_box, closed, components, dilated, without_specks

#: HU. Aerated lung is below (Hu, Hoffman, Reinhardt, IEEE TMI 2001: an optimal threshold near -400 in most chest CTs).
LUNG_HU = -400.0
#: HU. Free air and padding have a lower median than any lung, emphysema included.
FREE_AIR_HU = -962.0
#: mL. Bone and contrast-filled heart come in larger pieces than calcium in the lung.
BONE_ML = 3.0
#: mm. Vessels, nodules at the pleura and fissures are closed over up to twice this distance.
CLOSING_MM = 9.0
#: mm. The same for airless lung: wide enough for a consolidated segment, too narrow for the heart or the liver.
HULL_MM = 20.0
#: mm. Below the dome of the diaphragm only so much next to the chest wall counts as pleural recess, not as liver.
RECESS_MM = 40.0


@dataclass(frozen=True)
class Anatomy:
    """What is known about the thorax, all on one grid.

    Attributes
    ----------
    grid
        The CT that it was read from.
    body
        Inside of the patient.
    right, left
        Lungs with the vessels and lesions in them; both are the whole lung where the side is unknown.
    airway
        Lumen of trachea and main bronchi; empty where no trachea is seen.
    aerated
        Lung voxels that hold air.
    sided
        Whether the sides could be distinguished.
    found
        Whether there is any lung.
    """

    grid: Grid
    body: Bools
    right: Bools
    left: Bools
    airway: Bools
    aerated: Bools
    sided: bool
    found: bool

    @cached_property
    def lungs(self) -> Bools:
        """Both lungs."""
        return self.right | self.left

    @cached_property
    def depth_mm(self) -> Floats:
        """Distance from the surface of the lungs, inwards, in mm."""
        depth = ndimage.distance_transform_edt(np.pad(self.lungs, 1, mode="edge"), sampling=self.grid.spacing)
        return np.asarray(depth[1:-1, 1:-1, 1:-1], dtype=np.float32)

    @cached_property
    def hull(self) -> Bools:
        """The lungs with airless parts at their surface: consolidation beside the mediastinum or the chest wall."""
        hull = self.cavity & (np.arange(self.lungs.shape[2]) >= self._dome)
        for side in (self.right, self.left) if self.sided else (self.right,):
            hull |= closed(side, HULL_MM, self.grid.spacing)
        return hull & (self.body | self.lungs)

    @cached_property
    def _dome(self) -> int:
        """Slice of the diaphragm's dome: below it, what lies beside the lung may be liver, spleen or stomach."""
        lungs = self.lungs
        columns = lungs.any(axis=2)
        return int(np.percentile(lungs.argmax(axis=2)[columns], 90)) if columns.any() else 0

    @cached_property
    def cavity(self) -> Bools:
        """The lungs and what lies between them and the chest wall: fluid, consolidated lung, free air."""
        cavity = self.lungs.copy()
        if self.found:
            for side, lateral in ((self.right, 1.0), (self.left, -1.0)):
                cavity |= _hemithorax(side, self.body, self.grid, lateral, self._dome) if self.sided else False
        return cavity

    @cached_property
    def parenchyma_hu(self) -> tuple[float, float]:
        """Median of the healthy lung and a robust standard deviation (1.48 MAD), in HU."""
        values = self.grid.hu[self.aerated & ~self.airway]
        values = values[(values > -1000) & (values < -500)]
        if values.size < 50:
            return -850.0, 40.0
        median = float(np.median(values))
        return median, max(20.0, 1.4826 * float(np.median(np.abs(values - median))))


def find_anatomy(grid: Grid) -> Anatomy:
    """Segment the thorax.

    Parameters
    ----------
    grid
        A CT on RAS axes, about 3 mm; thin or small volumes are fine.

    Returns
    -------
    Anatomy
        With ``found`` False, and the body as both lungs, where no lung was found.
    """
    air = grid.hu < LUNG_HU
    body = _body(grid)
    lung = _lung_air(grid, air, body)
    airway = _airway(grid, lung, body)
    aerated = lung & ~dilated(airway, 1.2 * max(grid.spacing[:2]), grid.spacing)
    if aerated.sum() * grid.voxel_ml < 2.0:
        everything = body if body.any() else np.ones(air.shape, dtype=bool)
        return Anatomy(grid, body, everything, everything, airway & False, aerated, sided=False, found=False)
    right, left, sided = _sides(aerated, body, grid)
    filled = []
    solid = without_specks(grid.hu > 300.0, max(2, int(BONE_ML / grid.voxel_ml)))  # what is smaller may be a granuloma
    for side, other in ((right, left), (left, right)):
        lobe = closed(side, CLOSING_MM, grid.spacing)
        lobe = _filled_axially(lobe) & ~solid & ~airway
        filled.append(lobe & ~other if sided else lobe)
    second = filled[1] & ~filled[0] if sided else filled[1]
    return Anatomy(grid, body, filled[0], second, airway, aerated, sided=sided, found=True)


def _body(grid: Grid) -> Bools:
    """Return the patient without the table: the largest dense component, filled slice by slice."""
    dense = _filled_axially(grid.hu > LUNG_HU)
    opened = ndimage.binary_opening(np.pad(dense, 2, mode="edge"), iterations=2)[2:-2, 2:-2, 2:-2]
    labels, kept = components(opened)
    if not kept:
        labels, kept = components(dense)
    if not kept:
        return np.zeros(dense.shape, dtype=bool)
    main = labels == kept[0]
    return _filled_axially((dilated(main, 1.5 * max(grid.spacing[:2]), grid.spacing) & dense) | main)


def _filled_axially(mask: Bools) -> Bools:
    """Fill the holes of every axial slice."""
    filled = np.empty_like(mask)
    for z in range(mask.shape[2]):
        filled[:, :, z] = ndimage.binary_fill_holes(mask[:, :, z])
    return filled


def _lung_air(grid: Grid, air: Bools, body: Bools) -> Bools:
    """Return the air of the lungs and airways: not around the patient, not in the bowel."""
    labels, kept = components(air, minimum=max(8, int(0.5 / grid.voxel_ml)))
    if not kept:
        return air & False
    sizes = np.bincount(labels.ravel())
    medians = np.asarray(ndimage.median(grid.hu, labels, kept))
    inside = np.asarray(ndimage.mean(body, labels, kept))
    touching = set(np.unique(np.concatenate([labels[[0, -1]].ravel(), labels[:, [0, -1]].ravel()])).tolist())
    enclosed = {label for label, share in zip(kept, inside, strict=True) if share > 0.5 and label not in touching}
    tissue = {label for label, median in zip(kept, medians, strict=True) if median > FREE_AIR_HU}
    if sum(sizes[label] for label in tissue & enclosed) * grid.voxel_ml > 500.0:
        tissue &= enclosed  # a whole thorax: what lies outside is the table's foam, clothes, a padded border
    lungs = [label for label in kept if label in tissue]
    trapped = [label for label in kept if label in enclosed - tissue]
    if not lungs:
        return air & False
    largest = max(sizes[label] for label in lungs)
    main = [label for label in lungs if sizes[label] >= 0.12 * largest]
    result: Bools = np.isin(labels, main)
    box = bounding_box(result)
    if box is None:
        return result
    for label in [*lungs, *trapped]:  # a pneumothorax, a bulla, the trachea: in the lungs' box, whatever their density
        if label not in main:
            part = labels == label
            if part[box].sum() > 0.9 * sizes[label] and _mean_height(part) > _mean_height(result) * 0.6:
                result |= part
    return result


def _mean_height(mask: Bools) -> float:
    counts = mask.sum(axis=(0, 1))
    return float((counts * np.arange(counts.size)).sum() / max(1, counts.sum()))


def _airway(grid: Grid, lung: Bools, body: Bools) -> Bools:
    """Grow the trachea from a round, dark cross-section near the middle; back off where it would flood the lung."""
    nothing = np.zeros(lung.shape, dtype=bool)
    box = bounding_box(body)
    if box is None or not lung.any():
        return nothing
    width = box[0].stop - box[0].start
    central = slice(box[0].start + int(0.36 * width), box[0].stop - int(0.36 * width))
    heights = np.flatnonzero(lung.any(axis=(0, 1)))
    top = slice(int(heights[0] + 0.55 * (heights[-1] - heights[0])), lung.shape[2])
    pixel = grid.spacing[0] * grid.spacing[1]
    seeds = nothing.copy()
    for z in range(top.start, top.stop):
        dark = (grid.hu[:, :, z] < -850.0) & body[:, :, z]
        labels, _ = ndimage.label(dark)
        for index, found in enumerate(ndimage.find_objects(labels), start=1):
            part = labels[found] == index
            area = part.sum() * pixel
            x = (found[0].start + found[0].stop) / 2
            sides = [(s.stop - s.start) * step for s, step in zip(found, grid.spacing[:2], strict=True)]
            if 60 <= area <= 700 and central.start <= x < central.stop and max(sides) < 2.2 * min(sides):
                seeds[:, :, z][found] |= part
    labels, kept = components(seeds)
    if not kept:
        return nothing
    seed = labels == kept[0]
    if np.ptp(np.flatnonzero(seed.any(axis=(0, 1)))) * grid.spacing[2] < 15.0:
        return nothing
    seed_ml = seed.sum() * grid.voxel_ml
    for threshold in (-880.0, -910.0, -930.0, -950.0, -965.0):
        grown_labels, _ = ndimage.label((grid.hu < threshold) & (body | lung))
        touched = np.unique(grown_labels[seed])
        grown = np.isin(grown_labels, touched[touched > 0])
        if grown.any() and grown.sum() * grid.voxel_ml < max(90.0, 4.0 * seed_ml):
            return np.asarray(grown | seed)
    return np.asarray(seed)


def _sides(aerated: Bools, body: Bools, grid: Grid) -> tuple[Bools, Bools, bool]:
    """Split the air into right and left (in that order) and return whether that was possible."""
    split = _split_by_components(aerated, grid)
    if split is not None:
        return *split, True
    box, extent = bounding_box(body), bounding_box(aerated)
    columns = aerated.sum(axis=(1, 2))
    shows_midline = (
        box is not None
        and extent is not None
        and 0 < box[0].start < extent[0].start
        and extent[0].stop < box[0].stop < body.shape[0]
    )
    if shows_midline and box is not None:
        middle = _midline(body, box)
        share = columns[middle:].sum() / columns.sum()
        right = np.zeros_like(aerated)
        if share > 0.85:
            return aerated, right, True
        if share < 0.15:
            return right, aerated, True
        right[middle:] = aerated[middle:]
        return right, aerated & ~right, True
    return aerated, aerated, False


def _midline(body: Bools, box: tuple[slice, slice, slice]) -> int:
    columns = body[box].sum(axis=(1, 2))
    return int(box[0].start) + int(np.searchsorted(np.cumsum(columns), columns.sum() / 2))


def _split_by_components(aerated: Bools, grid: Grid) -> tuple[Bools, Bools] | None:
    """Find two large parts side by side, eroding the bridge between them if there is one."""
    total = aerated.sum()
    core = aerated
    for _ in range(5):
        labels, kept = components(core)
        if len(kept) >= 2:
            sizes = [(labels == label).sum() for label in kept[:2]]
            if sizes[1] >= 0.12 * total:
                centres = [ndimage.center_of_mass(labels == label) for label in kept[:2]]
                gap_mm = abs(centres[0][0] - centres[1][0]) * grid.spacing[0]
                extent_mm = np.ptp(np.flatnonzero(aerated.any(axis=(1, 2)))) * grid.spacing[0]
                if gap_mm > 0.3 * extent_mm:
                    order = kept[:2] if centres[0][0] > centres[1][0] else kept[1::-1]
                    return _nearest(aerated, labels == order[0], labels == order[1], grid)
        core = ndimage.binary_erosion(core)
        if core.sum() < 0.2 * total:
            break
    return None


def _nearest(aerated: Bools, right: Bools, left: Bools, grid: Grid) -> tuple[Bools, Bools]:
    """Assign every voxel to the nearer of two cores."""
    to_right = ndimage.distance_transform_edt(~right, sampling=grid.spacing)
    to_left = ndimage.distance_transform_edt(~left, sampling=grid.spacing)
    nearer = to_right <= to_left
    return aerated & nearer, aerated & ~nearer


def _hemithorax(lung: Bools, body: Bools, grid: Grid, lateral: float, dome: int) -> Bools:
    """Extend a lung to the chest wall where fluid or airless lung has taken its place.

    In polar coordinates around the lung's axis the chest wall lies where the lung reaches furthest in the slices
    above (they are the last to lose their air); only the lateral and the posterior sector are extended, since the
    other directions lead into the mediastinum.
    """
    nothing = np.zeros(lung.shape, dtype=bool)
    if not lung.any():
        return nothing
    xs, ys, zs = np.nonzero(lung)
    cx, cy = xs.mean(), ys.mean()
    sx, sy, sz = grid.spacing
    bins = 90
    angle, radius = _polar(xs - cx, ys - cy, sx, sy, lateral)
    wall = np.zeros((bins, lung.shape[2]), dtype=np.float32)
    np.maximum.at(wall, ((angle * bins / (2 * np.pi)).astype(int) % bins, zs), radius.astype(np.float32))
    above = max(1, int(70.0 / sz))
    reach = ndimage.maximum_filter1d(wall, 2 * above + 1, axis=1, origin=-above, mode="constant")
    reach = ndimage.median_filter(reach, size=(3, 3), mode="nearest")
    gx, gy = np.meshgrid(np.arange(lung.shape[0]) - cx, np.arange(lung.shape[1]) - cy, indexing="ij")
    angle, radius = _polar(gx, gy, sx, sy, lateral)
    sector = (angle < np.radians(50)) | (angle > np.radians(360 - 115))
    index = (angle * bins / (2 * np.pi)).astype(int) % bins
    inside = (radius[:, :, None] <= reach[index]) & sector[:, :, None]
    occupied = np.flatnonzero(lung.any(axis=(0, 1)))
    inside[:, :, : max(0, int(occupied[0] - 30.0 / sz))] = False
    inside[:, :, occupied[-1] + 1 :] = False
    inner = (reach[index] - RECESS_MM) > radius[:, :, None]
    inside[:, :, :dome] &= ~inner[:, :, :dome]
    bone = dilated(grid.hu > 200.0, 3.0, grid.spacing)
    extended: Bools = inside & body & ~bone
    return extended


def _polar(x: Array, y: Array, sx: float, sy: float, lateral: float) -> tuple[Array, Array]:
    """Angle from lateral (0) over anterior (a quarter turn), and radius in mm."""
    along, across = x * sx * lateral, y * sy
    return np.arctan2(across, along) % (2 * np.pi), np.hypot(along, across)
