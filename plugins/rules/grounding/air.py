"""Findings made of air: emphysema, bullae, mosaic attenuation, pneumothorax, and the bronchi."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .grid import Bools, closed, components, dilated, opened, without_specks
from .opacities import main_parts
from .scene import Window
from .text import Query

#: HU. Emphysema on inspiratory CT (Gevenois et al., AJRCCM 1996: -950 matches the pathologist best).
EMPHYSEMA_HU = -950.0

#: mm. The widest lumen sought; the main bronchi are wider, and are not part of a finding of the lung.
LUMEN_MM = 9.0


def emphysema(window: Window, query: Query) -> Bools:
    """Segment low-attenuation areas; the threshold rises only where a lung has almost none below it."""
    domain = window.region(query) & window.lungs & ~window.airway
    aerated = domain & (window.ct.hu < -500.0)
    low = domain
    for threshold in (EMPHYSEMA_HU, -940.0, -930.0, -920.0, -910.0):
        low = without_specks(domain & (window.ct.hu < threshold), 2, connectivity=2)
        if low.sum() > 0.003 * max(1, aerated.sum()):
            break
    return low


def bullae(window: Window, query: Query) -> Bools:
    """Segment the largest holes without any structure."""
    affinity = window.affinity(query)
    domain = (affinity > 0) & window.lungs & ~window.airway
    smooth = window.smooth(0.8)
    holes = domain
    for threshold, radius in ((-960.0, 3.0), (-945.0, 2.5), (-930.0, 2.0), (-915.0, 1.5)):
        low = domain & (smooth < threshold)
        core = opened(low, max(radius, 1.01 * min(window.ct.spacing)), window.ct.spacing)
        holes = without_specks(dilated(core, 1.0, window.ct.spacing) & low, window.voxels(0.1))
        if holes.any():
            break
    return main_parts(window, query, holes, affinity)


def mosaic(window: Window, query: Query) -> Bools:
    """Segment the darker patches of a lung of two densities."""
    domain = window.region(query) & window.inner_lungs(3.0) & ~window.airway
    calm = domain & (window.ct.hu < -600.0)
    if not calm.any():
        return domain
    weight = ndimage.gaussian_filter(calm.astype(np.float32), window.ct.voxels(3.0), truncate=2.5)
    summed = ndimage.gaussian_filter(
        np.where(calm, window.ct.hu, 0).astype(np.float32), window.ct.voxels(3.0), truncate=2.5
    )
    level = summed / np.maximum(weight, 1e-3)
    limit = float(np.median(level[calm]))
    return without_specks(domain & (level < limit), window.voxels(1.0))


def pneumothorax(window: Window, query: Query) -> Bools:
    """Segment air without any vessel that touches the chest wall."""
    smooth = window.smooth(0.8)
    domain = window.region(query, tolerance_mm=12.0) & ~window.airway
    depth = window.fine(window.regions.costal_depth_mm)
    empty = domain
    for threshold, calm in ((-970.0, -930.0), (-955.0, -910.0), (-940.0, -890.0), (-925.0, -870.0)):
        free = domain & (smooth < threshold)
        size = [2 * round(2.5 / step) + 1 for step in window.ct.spacing]
        quiet = ndimage.maximum_filter(np.where(domain, smooth, -1000.0), size) < calm
        empty = dilated(free & quiet, 3.5, window.ct.spacing) & domain & (smooth < threshold + 60.0)
        labels, kept = components(empty, window.voxels(0.5))
        touching = [label for label in kept if float(depth[labels == label].min()) < 8.0]
        if touching:
            return np.asarray(labels == touching[0] if not query.plural else np.isin(labels, touching[:4]))
    return empty & (depth < 8.0)


def _lumens(window: Window, query: Query) -> Bools:
    """Return the lumens of bronchi: darker than lung, and filled by a closing because a bright wall surrounds them."""
    domain = window.region(query) & window.inner_lungs(5.0)
    median, _ = window.anatomy.parenchyma_hu
    smooth = window.smooth(0.6)
    size = tuple(2 * max(1, round(LUMEN_MM / 2 / step)) + 1 for step in window.ct.spacing)
    filled = ndimage.grey_closing(smooth, size)
    lumens = domain
    for darkness, wall in ((40.0, 200.0), (15.0, 130.0), (-10.0, 80.0)):
        lumens = domain & (smooth < median - darkness) & (filled > median + wall)
        lumens = without_specks(lumens, window.voxels(0.02), connectivity=3)
        if lumens.sum() * window.ct.voxel_ml > 0.1:
            break
    return lumens


def bronchiectasis(window: Window, query: Query) -> Bools:
    """Segment widened bronchi, lumen and wall."""
    lumens = _lumens(window, query)
    return dilated(lumens, 1.6, window.ct.spacing) & window.lungs


def bronchial_walls(window: Window, query: Query) -> Bools:
    """Segment the walls around the lumens that can be seen."""
    lumens = _lumens(window, query)
    median, _ = window.anatomy.parenchyma_hu
    ring = dilated(lumens, 2.8, window.ct.spacing) & ~lumens & window.lungs
    return ring & (window.smooth(0.6) > median + 80.0)


def airway_content(window: Window, query: Query) -> Bools:
    """Segment soft tissue where the large airways should hold air."""
    airway = window.fine(window.anatomy.airway)
    hull = closed(airway, 8.0, window.ct.spacing) & ~dilated(airway, 1.0, window.ct.spacing)
    region = window.region(query, tolerance_mm=30.0)
    return without_specks(hull & region & (window.smooth(0.8) > -200.0), window.voxels(0.05))
