"""Findings of the bronchi: thick walls, wide lumina, and small nodules at their ends."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from harness.phantom.findings.brush import Brush
from harness.phantom.trees import Branch


def _branches(brush: Brush, most: int) -> Iterator[Branch]:
    return (item for item in brush.trees.airways if item.segment in brush.site.segments and item.order <= most)


def wall_thickening(brush: Brush) -> str:
    """Paint a thick wall round the segmental bronchi and their first branches; the lumen is not the finding's."""
    voxel = brush.canvas.grid.voxel
    thickness = brush.rng.uniform(1.8, 2.6)
    for branch in _branches(brush, 3):
        outer = branch.radius + max(thickness, 0.45 * voxel)
        box, distance = brush.canvas.tube(branch.start, branch.end, outer)
        brush.paint(box, distance <= 0, brush.diluted(25, thickness + branch.radius))
    for branch in _branches(brush, 3):
        if branch.radius < 0.5 * voxel:
            continue
        box, distance = brush.canvas.tube(branch.start, branch.end, branch.radius)
        lumen = (distance <= 0) & brush.own(box)
        brush.canvas.ct[box][lumen] = -990
        brush.canvas.finding[box][lumen] = 0
        brush.canvas.entity[box][lumen] = 0
    grade = brush.one_of("Minimal", "Mild", "Diffuse")
    return brush.one_of(
        f"{grade} bronchial wall thickening {brush.site.phrase}",
        f"{grade} peribronchial thickening {brush.site.phrase}",
        f"Thickening of the segmental bronchial walls {brush.site.phrase}",
    )


def bronchiectasis(brush: Brush) -> str:
    """Paint bronchi twice as wide as they should be; wall and lumen are the finding's."""
    varicose = bool(brush.rng.random() < 0.3)
    widening = brush.rng.uniform(1.7, 2.1)
    tubes = []
    for branch in _branches(brush, 2):
        length = float(np.linalg.norm(branch.end - branch.start))
        pieces = max(1, round(length / 4)) if varicose else 1
        joints = [branch.start + (branch.end - branch.start) * i / pieces for i in range(pieces + 1)]
        for piece, (start, end) in enumerate(itertools.pairwise(joints)):
            beads = 1 + 0.22 * (-1) ** piece if varicose else 1.0
            tubes.append((start, end, widening * beads * branch.radius))
    wall = 1.1
    for start, end, radius in tubes:
        box, distance = brush.canvas.tube(start, end, radius + wall)
        brush.paint(box, distance <= 0, brush.diluted(0, 2 * wall))
    for start, end, radius in tubes:
        box, distance = brush.canvas.tube(start, end, radius)
        brush.paint(box, distance <= 0, -985)
    kind = "varicose" if varicose else "cylindrical"
    return brush.one_of(
        f"{kind.capitalize()} bronchiectasis {brush.site.phrase}",
        f"Bronchiectasis {brush.site.phrase}, {kind} in type",
        f"{brush.one_of('Mild', 'Marked')} {kind} bronchiectasis {brush.site.phrase}",
    )


def micronodules(brush: Brush) -> str:
    """Paint many small nodules, each an entity: in the lobules' centres, or as buds at the ends of a branching twig."""
    buds = bool(brush.rng.random() < 0.5)
    radii = (1.3, 2.2)
    share = max(8, (36 if buds else 60) // len(brush.site.segments))
    entity = 0
    for number in brush.site.segments:
        spots = brush.spots(share, radius=0, apart=9.0 if buds else 11.0, depth=(3.5, 26.0), segments=[number])
        for spot in spots:
            entity += 1
            hu = brush.diluted(20, 2 * brush.rng.uniform(*radii))
            painted = twig(brush, spot, hu, entity) if buds else False
            painted |= not buds and _nodule(brush, spot, brush.rng.uniform(*radii), hu, entity)
            if not painted:
                brush.paint(brush.nearest_voxel(spot), np.ones((1, 1, 1), np.bool_), hu, entity)
    if buds:
        return brush.one_of(
            f"Tree-in-bud opacities {brush.site.phrase}",
            f"Centrilobular nodules with a tree-in-bud pattern {brush.site.phrase}",
        )
    return brush.one_of(
        f"Numerous centrilobular micronodules {brush.site.phrase}",
        f"Multiple millimetric centriacinar nodules {brush.site.phrase}",
        f"Scattered micronodules {brush.site.phrase}, few millimetres in size",
    )


def twig(brush: Brush, spot: np.ndarray[tuple[int], np.dtype[np.float64]], hu: float, entity: int) -> bool:
    """Paint a filled bronchiole that runs towards the pleura and forks twice, with a bud at each end.

    Parameters
    ----------
    brush
        What paints it.
    spot
        The middle of its stem, (x, y, z) in mm.
    hu
        Its attenuation.
    entity
        Its entity id.

    Returns
    -------
    bool
        Whether any voxel was painted.
    """
    outward, _ = brush.outward(spot)
    painted = False
    ends = [(spot - 4.0 * outward, outward, 0)]
    while ends:
        start, heading, order = ends.pop()
        end = start + (4.5, 3.6, 2.6)[order] * heading
        box, distance = brush.canvas.tube(start, end, (0.8, 0.7, 0.6)[order])
        painted |= bool(brush.paint(box, distance <= 0, hu, entity).any())
        if order == 2:
            painted |= _nodule(brush, end, brush.rng.uniform(1.0, 1.5), hu, entity)
            continue
        sideways = np.cross(heading, brush.rng.normal(0, 1, 3))
        sideways *= brush.rng.uniform(0.6, 0.9) / np.linalg.norm(sideways)
        for turn in (sideways, -sideways):
            child = heading + turn
            ends.append((end, child / np.linalg.norm(child), order + 1))
    return painted


def _nodule(
    brush: Brush, centre: np.ndarray[tuple[int], np.dtype[np.float64]], radius: float, hu: float, entity: int
) -> bool:
    blob = brush.blob(centre, radius, ripple=0.05, stretch=0.1)
    box, distance = brush.blob_box(blob)
    return bool(brush.paint(box, distance <= 0, hu, entity).any())
