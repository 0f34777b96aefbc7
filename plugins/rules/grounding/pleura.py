"""Findings of the pleura: fluid that layers, thickening along the chest wall or a fissure, plaques of calcium."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .grid import Bools, closed, components, dilated, opened, without_specks
from .opacities import main_parts
from .scene import Window
from .text import Query

#: HU. Pleural fluid is mostly between 0 and 20 (Abramowitz et al., AJR 2009), blurred and noisy somewhat wider.
FLUID_HU = (-25.0, 38.0)


def effusion(window: Window, query: Query) -> Bools:
    """Segment fluid between lung and chest wall."""
    smooth = window.smooth(2.0)
    near_lung = window.fine(dilated(window.anatomy.aerated, 45.0, window.anatomy.grid.spacing))
    domain = window.region(query, tolerance_mm=40.0) & window.cavity & near_lung
    wall = window.fine(_distance_to_wall(window))
    result = np.zeros(domain.shape, dtype=bool)
    for low, high, radius in ((*FLUID_HU, 3.5), (-60.0, 60.0, 2.5), (-150.0, 90.0, 1.5)):
        fluid = domain & (smooth > low) & (smooth < high)
        fluid = opened(fluid, radius, window.ct.spacing)
        labels, kept = components(fluid, window.voxels(1.5))
        sides = (window.anatomy.right, window.anatomy.left) if window.anatomy.sided else (window.anatomy.cavity,)
        for side in sides:
            reach = window.fine(dilated(side, 30.0, window.anatomy.grid.spacing))
            for label in kept:
                part = labels == label
                if (part & reach).sum() > 0.5 * part.sum() and float(wall[part].min()) < 6.0:
                    result |= dilated(part, 2.0, window.ct.spacing) & domain & (smooth > -150.0)
                    break
        if result.any():
            break
    return result


def _distance_to_wall(window: Window) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Distance from the outside of the chest cavity, in mm, on the anatomy's grid."""
    padded = np.pad(window.anatomy.cavity, 1, mode="edge")
    distance = ndimage.distance_transform_edt(padded, sampling=window.anatomy.grid.spacing)
    return np.asarray(distance[1:-1, 1:-1, 1:-1], dtype=np.float32)


def pleural_thickening(window: Window, query: Query) -> Bools:
    """Segment soft tissue between the aerated lung and the ribs, or along a fissure."""
    smooth = window.smooth(0.8)
    region = window.region(query)
    if "fissural" in query.settings:
        near = window.fine(window.regions.fissure("right", 12.0) | window.regions.fissure("left", 12.0))
        return without_specks(region & near & window.inner_lungs(2.0) & (smooth > -600.0), window.voxels(0.05))
    near = _around(window, query)
    tissue = window.fine(_subcostal(window)) & near & (smooth > -200.0) & (smooth < 200.0)
    for radius in (2.0, 1.4, 0.8):
        thick = opened(tissue, max(radius, 0.5 * max(window.ct.spacing)), window.ct.spacing)
        thick = without_specks(thick, window.voxels(0.2))
        if thick.any():
            return main_parts(window, query, thick, near.astype(np.float32))
    return without_specks(tissue & region, window.voxels(0.05))


def _subcostal(window: Window) -> Bools:
    """Return what lies between the lungs and the cage of ribs and muscles, on the anatomy's grid: a film in health."""
    anatomy = window.anatomy
    spacing = anatomy.grid.spacing
    cage = closed(anatomy.grid.hu > 180.0, 12.0, spacing) & ~anatomy.lungs
    from_lung = ndimage.distance_transform_edt(~anatomy.aerated, sampling=spacing)
    from_cage, nearest = ndimage.distance_transform_edt(~cage, sampling=spacing, return_indices=True)
    inside = from_lung < from_lung[tuple(nearest)]
    over = np.maximum.accumulate(anatomy.aerated[:, :, ::-1], axis=2)[:, :, ::-1]
    under = np.maximum.accumulate(anatomy.aerated, axis=2)
    diaphragm = over & ~under
    film = inside & (from_lung < 16.0) & (from_cage < 12.0)
    return np.asarray(film & ~cage & ~anatomy.aerated & ~diaphragm & ~window.regions.between_lungs)


def _around(window: Window, query: Query) -> Bools:
    """Return the region of a finding with the chest wall next to it, which no lung region holds."""
    region = window.regions.of(query.places, query.settings)
    other = np.zeros_like(region)
    sides = {place.side for place in query.places.within}
    if window.anatomy.sided and len(sides) == 1 and None not in sides:
        other = window.anatomy.left if sides == {"right"} else window.anatomy.right
        other = dilated(other, 14.0, window.anatomy.grid.spacing)
    return window.fine(dilated(region, 14.0, window.anatomy.grid.spacing) & ~other)


def pleural_calcification(window: Window, query: Query) -> Bools:
    """Segment calcium at the lung's surface, without the ribs behind it."""
    grid = window.anatomy.grid
    calcium = _around(window, query) & (window.ct.hu > 160.0)
    near = window.fine(dilated(window.anatomy.aerated, 7.0, grid.spacing))
    plaque = calcium & near & ~dilated(calcium & ~near, 6.0, window.ct.spacing)
    plaque &= ~window.fine(window.regions.between_lungs)
    labels, kept = components(plaque, window.voxels(0.02), connectivity=2)
    chosen = np.isin(labels, kept[: 10 if query.plural else 3])
    return dilated(chosen, 3.0, window.ct.spacing) & calcium & near
