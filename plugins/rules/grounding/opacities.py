"""Opacities that follow no blob: ground glass, consolidation, bands, septal lines, honeycombs."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .filters import plateness, share_nearby
from .grid import Array, Bools, Floats, closed, components, dilated, opened, without_specks
from .scene import Window
from .text import Query

#: HU. Ground glass lies between normal lung and consolidation: -750 to -300 in quantitative CT of pneumonia.
GROUND_GLASS_HU = (-750.0, -300.0)
#: mm. The blurred surface of a vessel has the density of ground glass over about this distance.
HALO_MM = 2.0
#: HU. Consolidated and airless lung; brighter is contrast-filled vessel or bone.
CONSOLIDATION_HU = (-300.0, 170.0)


def ground_glass(window: Window, query: Query) -> Bools:
    """Segment lung that is denser than its own normal and still shows its vessels."""
    median, spread = window.anatomy.parenchyma_hu
    smooth = window.smooth(1.2)
    small = bool(query.sizes_mm) or (query.largest_mm is not None and query.largest_mm <= 10.0)
    affinity = window.affinity(query)
    inner = (affinity > 0) & window.inner_lungs(2.5) & ~window.airway
    least_ml = 0.03 if small else 0.3
    halos = dilated(window.lungs & (smooth > GROUND_GLASS_HU[1]), HALO_MM, window.ct.spacing)
    core = inner
    for step, opening_mm in ((2.5, 2.5), (1.7, 1.8), (1.2, 1.3)):
        low = float(np.clip(median + step * spread, GROUND_GLASS_HU[0] if step > 2 else -800.0, -600.0))
        grey = inner & (smooth > low) & (smooth < GROUND_GLASS_HU[1])
        core = _thick(window, grey & ~halos, 1.0 if small else opening_mm)
        core = without_specks(core, window.voxels(least_ml / 3))
        if core.any():
            main = main_parts(window, query, core, affinity)
            hazy = dilated(main, HALO_MM + 1.0, window.ct.spacing) & grey
            return hazy | (_rim(window, hazy, affinity) & (smooth > low) & (smooth < GROUND_GLASS_HU[1]))
    return core


def consolidation(window: Window, query: Query) -> Bools:
    """Segment lung without air: dense regions too thick for vessels."""
    smooth = window.smooth(1.2)
    low, high = CONSOLIDATION_HU
    affinity = window.affinity(query)
    domain = (affinity > 0) & window.hull & ~window.airway
    thick = domain
    for opening_mm, threshold in ((3.5, low), (2.2, low - 50), (1.4, low - 200)):
        dense = domain & (smooth > threshold) & (smooth < high)
        thick = _thick(window, dense, opening_mm)
        thick = dilated(thick, 1.5, window.ct.spacing) & dense
        thick = without_specks(thick, window.voxels(0.3 if opening_mm > 2 else 0.1))
        if thick.any():
            return main_parts(window, query, thick, affinity)
    return thick


def _thick(window: Window, mask: Bools, radius_mm: float) -> Bools:
    """Drop what is thinner than a ball, of one voxel at least."""
    return opened(mask, max(radius_mm, 1.01 * min(window.ct.spacing)), window.ct.spacing)


def _rim(window: Window, mask: Bools, affinity: Floats) -> Bools:
    """Return the voxels between a mask and the pleura close by, which the search had to leave out."""
    rim = window.lungs & ~window.inner_lungs(2.5) & (affinity > 0)
    return rim & dilated(mask, 1.3 * max(window.anatomy.grid.spacing), window.ct.spacing)


def main_parts(window: Window, query: Query, mask: Bools, affinity: Floats) -> Bools:
    """Keep the one main part of a singular finding; drop parts that are slight beside the main one of several.

    A part counts by how much of it lies deep inside itself and near the region that the text names.
    """
    labels, kept = components(mask)
    if len(kept) < 2:
        return mask
    depth = ndimage.distance_transform_edt(mask, sampling=window.ct.spacing)
    weight = np.bincount(labels.ravel(), (depth * affinity).ravel())
    weight[0] = 0.0
    share = 0.02 if query.plural or "diffuse" in query.modifiers else 0.3
    order = np.argsort(-weight, kind="stable")[: query.count]
    result: Bools = np.isin(labels, [label for label in order if weight[label] >= share * weight[order[0]]])
    return result & (labels > 0)


def bands(window: Window, query: Query) -> Bools:
    """Segment linear atelectasis, scars and bands: bright plates in the lung that are larger than vessels' forks."""
    smooth = window.smooth(1.0)
    affinity = window.affinity(query)
    domain = (affinity > 0) & window.inner_lungs(2.0) & ~window.airway
    median, _ = window.anatomy.parenchyma_hu
    streaks = domain
    for threshold in (median + 400.0, median + 250.0, median + 150.0):
        candidates = domain & (smooth > threshold)
        points = np.nonzero(candidates)
        streaks = np.zeros(domain.shape, dtype=bool)
        streaks[points] = plateness(smooth, points, window.ct.spacing) > 0.5
        streaks = closed(streaks, 1.5, window.ct.spacing) & candidates
        streaks = without_specks(streaks, window.voxels(0.1), connectivity=3)
        if streaks.any():
            break
    labels, kept = components(streaks, connectivity=3)
    volumes = np.bincount(labels.ravel(), affinity.ravel())
    depth = window.fine(window.regions.costal_depth_mm)
    weight = {label: volumes[label] * _flatness(window, labels, label, depth) for label in kept[:100]}
    order = sorted(weight, key=lambda label: (-weight[label], label))
    order = [label for label in order if weight[label] >= 0.15 * weight[order[0]]][: 10 if query.plural else 3]
    streaks = np.isin(labels, order)
    return dilated(streaks, 0.8, window.ct.spacing) & domain & (smooth > threshold - 100.0)


def _flatness(window: Window, labels: Array, label: int, depth: Floats) -> float:
    """Return how flat a streak is as a whole, 0 for a line or a lump; more where it reaches the pleura.

    A vessel's fork is flat for a few millimetres, but the vessel is a line; a band stays flat, and often meets pleura.
    """
    points = np.argwhere(labels == label)
    if len(points) < 4:
        return 0.0
    lengths = np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov((points * window.ct.spacing).T)), 0.0))
    flat = float((lengths[1] - lengths[0]) / max(lengths[2], 1e-6))
    at_pleura = float(depth[tuple(points.T)].min()) < 12.0
    return flat * (2.0 if at_pleura else 1.0)


def septal_lines(window: Window, query: Query) -> Bools:
    """Segment fine bright lines where they are dense: thickened septa and reticulation."""
    smooth = window.smooth(0.6)
    median, _ = window.anatomy.parenchyma_hu
    domain = window.region(query) & window.inner_lungs(2.0) & ~window.airway
    bright = window.inner_lungs(2.0) & (smooth > median + 130.0)
    broad = _thick(window, bright, 2.5)
    fine = bright & ~dilated(broad, 1.5, window.ct.spacing)
    share = share_nearby(fine, 7.0, window.ct)
    if not domain.any():
        return domain
    limit = max(0.12, float(np.quantile(share[domain], 0.7)))
    area = without_specks(domain & (share > limit), window.voxels(1.0))
    return dilated(fine & area, 0.6, window.ct.spacing) & domain


def honeycombing(window: Window, query: Query) -> Bools:
    """Segment clusters of small air cysts with thick walls below the pleura."""
    depth = window.fine(window.regions.costal_depth_mm)
    domain = window.region(query) & window.lungs & (depth < 35.0) & ~window.airway
    smooth = window.smooth(0.6)
    highest = ndimage.maximum_filter(smooth, [2 * round(4.0 / step) + 1 for step in window.ct.spacing])
    holes = domain & (smooth < -820.0) & (highest > -550.0)
    share = share_nearby(holes, 6.0, window.ct)
    walls = share_nearby(domain & (smooth > -650.0), 6.0, window.ct)
    area = np.zeros(domain.shape, dtype=bool)
    for least in (0.2, 0.12, 0.06):
        area = domain & (share > least) & (walls > least)
        area = without_specks(area, window.voxels(0.5))
        if area.any():
            break
    return closed(area, 3.0, window.ct.spacing) & domain
