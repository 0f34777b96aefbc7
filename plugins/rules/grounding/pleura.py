"""Findings of the pleura: fluid that layers, thickening along the chest wall or a fissure, plaques of calcium."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .grid import Bools, components, dilated, opened, without_specks
from .regions import Regions
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
    if "fissural" in query.settings:
        region = window.region(query) & window.fine(_near_fissures(window.regions))
        return without_specks(region & window.inner_lungs(2.0) & (smooth > -600.0), window.voxels(0.05))
    grid = window.anatomy.grid
    shell = dilated(window.anatomy.aerated, 7.0, grid.spacing) & window.anatomy.cavity
    shell &= window.regions.costal_depth_mm < 9.0
    region = window.region(query) & window.fine(shell)
    tissue = region & (smooth > -250.0) & (smooth < 150.0)
    for radius in (2.0, 1.3):
        thick = opened(tissue, radius, window.ct.spacing)
        thick = without_specks(thick, window.voxels(0.1))
        if thick.any():
            return thick
    return without_specks(tissue, window.voxels(0.05))


def _near_fissures(regions: Regions) -> Bools:
    return regions.fissure("right", 12.0) | regions.fissure("left", 12.0)


def pleural_calcification(window: Window, query: Query) -> Bools:
    """Segment calcium at the lung's surface that belongs to no rib."""
    grid = window.anatomy.grid
    near = window.fine(dilated(window.anatomy.aerated, 8.0, grid.spacing))
    around = window.fine(dilated(window.anatomy.aerated, 14.0, grid.spacing))
    calcium = around & (window.ct.hu > 160.0)
    labels, kept = components(calcium, 2, connectivity=2)
    sizes = np.bincount(labels.ravel())
    inside = np.bincount(labels[near].ravel(), minlength=sizes.size)
    region = window.region(query)
    plaques = [label for label in kept if inside[label] > 0.95 * sizes[label]]
    depth = window.fine(window.regions.costal_depth_mm)
    result: Bools = np.isin(labels, plaques) & region & (depth < 12.0)
    return result
