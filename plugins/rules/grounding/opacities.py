"""Opacities that follow no blob: ground glass, consolidation, bands, septal lines, honeycombs."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .filters import plateness, share_nearby
from .grid import Bools, closed, components, dilated, opened, without_specks
from .scene import Window
from .text import Query

#: HU. Ground glass lies between normal lung and consolidation: -750 to -300 in quantitative CT of pneumonia.
GROUND_GLASS_HU = (-750.0, -300.0)
#: HU. Consolidated and airless lung; brighter is contrast-filled vessel or bone.
CONSOLIDATION_HU = (-300.0, 170.0)


def ground_glass(window: Window, query: Query) -> Bools:
    """Segment lung that is denser than its own normal and still shows its vessels."""
    median, spread = window.anatomy.parenchyma_hu
    smooth = window.smooth(1.2)
    small = bool((query.largest_mm and query.largest_mm <= 10.0) or query.sizes_mm)
    domain = window.region(query) & window.inner_lungs(2.5) & ~window.airway
    for step, opening_mm in ((2.5, 3.0), (1.7, 2.2), (1.2, 1.5)):
        low = float(np.clip(median + step * spread, -800.0, -600.0))
        low = max(low, GROUND_GLASS_HU[0]) if step > 2 else low
        hazy = domain & (smooth > low) & (smooth < GROUND_GLASS_HU[1])
        dense = domain & (smooth > low)
        broad = opened(dense, 1.5 if small else opening_mm, window.ct.spacing)
        hazy = opened(hazy & broad, 1.3, window.ct.spacing)
        hazy = without_specks(hazy, window.voxels(0.05 if small else 0.3))
        if hazy.sum() * window.ct.voxel_ml > (0.05 if small else 0.5):
            return _main_parts(hazy, query)
    return hazy


def consolidation(window: Window, query: Query) -> Bools:
    """Segment lung without air: dense regions too thick for vessels."""
    smooth = window.smooth(1.2)
    low, high = CONSOLIDATION_HU
    domain = window.region(query, tolerance_mm=12.0) & ~window.airway
    for opening_mm, threshold in ((3.5, low), (2.2, low - 50), (1.4, low - 200)):
        dense = domain & (smooth > threshold) & (smooth < high)
        thick = opened(dense, opening_mm, window.ct.spacing)
        thick = dilated(thick, 1.5, window.ct.spacing) & dense
        thick = without_specks(thick, window.voxels(0.3 if opening_mm > 2 else 0.1))
        if thick.sum() * window.ct.voxel_ml > 0.4:
            return _main_parts(thick, query)
    return thick


def _main_parts(mask: Bools, query: Query) -> Bools:
    """Keep the one large part of a singular finding; drop parts that are small beside the largest of several."""
    labels, kept = components(mask)
    if not kept:
        return mask
    sizes = np.bincount(labels.ravel())
    share = 0.02 if query.plural or "diffuse" in query.modifiers else 0.25
    parts = [label for label in kept if sizes[label] >= share * sizes[kept[0]]]
    if query.count is not None:
        parts = parts[: query.count]
    result: Bools = np.isin(labels, parts)
    return result


def bands(window: Window, query: Query) -> Bools:
    """Segment linear atelectasis, scars and bands: bright plates in the lung, and streaks that start at the pleura."""
    smooth = window.smooth(1.0)
    domain = window.region(query) & window.inner_lungs(2.0) & ~window.airway
    median, _ = window.anatomy.parenchyma_hu
    streaky = np.zeros(domain.shape, dtype=bool)
    for threshold in (median + 350.0, median + 220.0, median + 140.0):
        candidates = domain & (smooth > threshold)
        points = np.nonzero(candidates)
        streaky[...] = False
        streaky[points] = plateness(smooth, points, window.ct.spacing) > 0.45  # type: ignore[arg-type]
        streaky = closed(streaky, 1.5, window.ct.spacing) & candidates
        streaky = without_specks(streaky, window.voxels(0.08), connectivity=3)
        if streaky.sum() * window.ct.voxel_ml > 0.3:
            break
    return dilated(streaky, 0.8, window.ct.spacing) & domain & (smooth > threshold - 100.0)


def septal_lines(window: Window, query: Query) -> Bools:
    """Segment areas where fine bright lines are dense: thickened septa and reticulation."""
    smooth = window.smooth(0.6)
    median, _ = window.anatomy.parenchyma_hu
    domain = window.region(query) & window.inner_lungs(2.0) & ~window.airway
    bright = window.inner_lungs(2.0) & (smooth > median + 130.0)
    broad = opened(bright, 2.5, window.ct.spacing)
    fine = bright & ~dilated(broad, 1.5, window.ct.spacing)
    share = share_nearby(fine, 7.0, window.ct)
    if not domain.any():
        return domain
    limit = max(0.12, float(np.quantile(share[domain], 0.7)))
    area = domain & (share > limit)
    return without_specks(area, window.voxels(1.0)) & domain


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
