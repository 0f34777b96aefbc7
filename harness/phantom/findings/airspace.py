"""Findings of the air spaces: emphysema, air trapping, consolidation and atelectasis, ground glass."""

from __future__ import annotations

import numpy as np

from harness.phantom.findings.bands import plate
from harness.phantom.findings.brush import Brush


def emphysema(brush: Brush) -> str:
    """Paint holes below -950 HU: scattered in the lobules without walls, or in a row under the pleura with thin ones.

    The thin walls are no emphysema: they stay lung.
    """
    paraseptal = bool(brush.rng.random() < 0.35)
    for number in brush.site.segments:
        depth = (2.5, 8.0) if paraseptal else (7.0, 60.0)
        spots = brush.spots(26 if paraseptal else 34, radius=0, apart=8.5, depth=depth, segments=[number])
        for spot in spots:
            radius = brush.rng.uniform(4.0, 7.5) if paraseptal else brush.rng.uniform(2.6, 5.2)
            blob = brush.blob(spot, radius, ripple=0.1, stretch=0.2)
            box, distance = brush.blob_box(blob, margin=1.0)
            brush.paint(box, distance <= 0, brush.rng.uniform(-996, -978))
            if paraseptal:
                brush.shade(box, distance <= 0.6, -720)
    grade = brush.one_of("Mild", "Minimal", "Moderate")
    if paraseptal:
        return f"{grade} paraseptal emphysema {brush.site.phrase}"
    return brush.one_of(
        f"{grade} centrilobular emphysema {brush.site.phrase}",
        f"{grade} emphysematous changes {brush.site.phrase}",
        f"Centrilobular emphysematous areas {brush.site.phrase}, {grade.lower()} in degree",
    )


def air_trapping(brush: Brush) -> str:
    """Paint lobules that are too dark, but not as dark as emphysema, among normal ones."""
    box, voxels = brush.territory()
    cells = brush.cells(box, voxels, pitch=19.0)
    dark = brush.rng.random(len(cells.places)) < 0.5
    shape = np.zeros(voxels.shape, np.bool_)
    shape[voxels] = dark[cells.pairs[:, 0]]
    brush.paint(box, shape, brush.rng.uniform(-932, -918))
    return brush.one_of(
        f"Lobular areas of air trapping {brush.site.phrase}",
        f"Mosaic attenuation suggesting air trapping {brush.site.phrase}",
        f"Patchy differences in aeration {brush.site.phrase}, with areas of decreased attenuation",
    )


def consolidation(brush: Brush) -> str:
    """Paint dense lung that reaches the pleura; the bronchi in it stay open and are drawn later.

    Collapsed lung is a wedge on the pleura, and its lobe is small: the patient's fissures and diaphragm are drawn so.
    """
    if brush.collapsed:
        return _atelectasis(brush)
    for entity, number in enumerate(brush.site.segments, start=1):
        radius = brush.rng.uniform(18, 32)
        (spot,) = brush.spots(1, radius=radius, apart=0, depth=(1.0, 0.5 * radius), segments=[number])
        blob = brush.blob(spot, radius, ripple=0.08, stretch=0.3, rough=0.7)
        box, distance = brush.blob_box(blob)
        rim = np.clip(1 + distance / 3.0, 0, 1)
        brush.paint(box, distance <= 0, brush.rng.uniform(28, 52) - 240 * np.square(rim), entity)
    article = "Areas of consolidation" if brush.site.plural else "Focal consolidation"
    return brush.one_of(
        f"{article} with air bronchograms {brush.site.phrase}",
        f"{article} {brush.site.phrase} containing air bronchograms",
        f"Pneumonic consolidation {brush.site.phrase}",
    )


def _atelectasis(brush: Brush) -> str:
    for entity, number in enumerate(brush.site.segments, start=1):
        (spot,) = brush.spots(1, radius=12, apart=0, depth=(8.0, 16.0), segments=[number])
        thickness, height = brush.rng.uniform(11, 17), brush.rng.uniform(26, 40)
        if not plate(brush, spot, entity, brush.rng.uniform(28, 52), thickness=thickness, height=height):
            brush.paint(brush.nearest_voxel(spot), np.ones((1, 1, 1), np.bool_), 40, entity)
    return brush.one_of(
        f"Segmental atelectasis with volume loss {brush.site.phrase}",
        f"Wedge-shaped passive atelectasis {brush.site.phrase}",
        f"Atelectasis {brush.site.phrase} with displacement of the fissure towards it",
    )


def ground_glass(brush: Brush) -> str:
    """Paint hazy lung between -700 and -500 HU; the vessels in it stay visible and are drawn later."""
    entity = 0
    nodular = bool(brush.rng.random() < 0.3)
    for number in brush.site.segments:
        radius = brush.rng.uniform(7, 11) if nodular else brush.rng.uniform(13, 24)
        count = int(brush.rng.integers(1, 3)) if brush.site.plural else 1
        spots = brush.spots(count, radius=radius, apart=3.2 * radius, depth=(2.0, 1.2 * radius), segments=[number])
        for spot in spots:
            entity += 1
            blob = brush.blob(spot, radius, ripple=0.09, stretch=0.3, rough=1.0)
            box, distance = brush.blob_box(blob)
            hu = brush.rng.uniform(-590, -540) - 110 * np.clip(1 + distance / (0.6 * radius), 0, 1)
            if not brush.paint(box, distance <= 0, hu, entity).any():
                brush.paint(brush.nearest_voxel(spot), np.ones((1, 1, 1), np.bool_), -600, entity)
    word = "opacities" if entity > 1 else "opacity"
    manner = brush.one_of("Nodular", "Focal nodular") if nodular else brush.one_of("Patchy", "Peripheral", "Hazy")
    return f"{manner} ground-glass {word} {brush.site.phrase}"
