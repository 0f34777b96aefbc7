"""Findings of the interstitium: thick septa, bands, honeycombs."""

from __future__ import annotations

import numpy as np

from harness.phantom.findings.bands import plate
from harness.phantom.findings.brush import Brush


def septal_thickening(brush: Brush) -> str:
    """Paint all walls of some lobules of the outer lung: closed polygons that stand on the pleura.

    A wall that lies in the slice is left out: a slice shows the edge of a septum, not its face.
    """
    box, voxels = brush.territory()
    outer = voxels & (brush.canvas.depth[box] < brush.rng.uniform(16, 23))
    cells = brush.cells(box, outer, pitch=brush.rng.uniform(14, 17))
    half = max(0.55, 0.36 * brush.canvas.grid.voxel)
    thick = (brush.rng.random(len(cells.places)) < 0.5)[cells.pairs].any(axis=1)
    facing = cells.places[cells.pairs[:, 0]] - cells.places[cells.pairs[:, 1]]
    upright = np.abs(facing[:, 2]) < 0.8 * np.linalg.norm(facing, axis=1)
    shape = np.zeros(voxels.shape, np.bool_)
    shape[outer] = thick & upright & (cells.wall < half)
    brush.paint(box, shape, brush.diluted(-120, 1.2))
    return brush.one_of(
        f"Smooth interlobular septal thickening in the periphery {brush.site.phrase}",
        f"Interlobular septal thickening {brush.site.phrase}",
        f"Reticular opacities with thickened interlobular septa {brush.site.phrase}",
    )


def band(brush: Brush) -> str:
    """Paint thin, slightly bent plates that stand on the pleura."""
    plates = 0
    for number in brush.site.segments:
        for spot in brush.spots(1, radius=9, apart=0, depth=(5, 18), segments=[number]):
            plates += 1
            thickness, height = brush.rng.uniform(1.8, 3.0), brush.rng.uniform(10, 18)
            if not plate(brush, spot, plates, brush.diluted(25, thickness), thickness=thickness, height=height):
                brush.paint(brush.nearest_voxel(spot), np.ones((1, 1, 1), np.bool_), -100, plates)
    many = plates > 1
    return brush.one_of(
        f"{'Linear atelectases' if many else 'Linear atelectasis'} {brush.site.phrase}",
        f"{'Subsegmental linear atelectases' if many else 'Subsegmental linear atelectasis'} {brush.site.phrase}",
        f"{'Fibrotic bands' if many else 'Fibrotic band'} {brush.site.phrase}",
        f"{'Linear opacities' if many else 'Linear opacity'} {brush.site.phrase} consistent with scarring",
        f"Pleuroparenchymal scarring {brush.site.phrase}",
    )


def honeycombing(brush: Brush) -> str:
    """Paint layers of round cysts with shared walls under the pleura; cysts and walls are the finding's."""
    box, voxels = brush.territory()
    pitch = brush.rng.uniform(6.5, 8.5)
    outer = voxels & (brush.canvas.depth[box] < 24)
    cells = brush.cells(box, outer, pitch)
    owner = cells.pairs[:, 0]
    used = np.unique(owner)
    layers = brush.rng.uniform(1.6, 2.6) * pitch * brush.rng.uniform(0.6, 1.2, len(used))
    depth = np.full(len(cells.places), np.inf)
    np.minimum.at(depth, owner, brush.canvas.depth[box][outer].astype(float))
    taken = np.zeros(len(cells.places), np.bool_)
    taken[used] = (depth[used] < layers) & brush.apart(cells.places[used], 0.5 * pitch)
    if not taken.any():  # a segment too narrow for a whole cell beside its neighbours
        taken[used] = depth[used] < pitch
    mine = taken[owner]
    half = max(0.6, 0.25 * brush.canvas.grid.voxel)
    open_cyst = (cells.wall > half) & (cells.middle < 1.15 * cells.radii()[owner])
    shape = np.zeros(voxels.shape, np.bool_)
    shape[outer] = mine
    hu = np.full(voxels.shape, brush.diluted(20, 1.6), np.float32)
    hu[outer] = np.where(open_cyst & (brush.canvas.depth[box][outer] > 0.8), -965, hu[outer])
    brush.paint(box, shape, hu)
    return brush.one_of(
        f"Subpleural honeycombing {brush.site.phrase}",
        f"Honeycomb cysts in the subpleural lung {brush.site.phrase}",
        f"Honeycombing {brush.site.phrase} with stacked subpleural cysts",
    )
