"""Findings of the interstitium: thick septa, bands, honeycombs."""

from __future__ import annotations

import numpy as np

from harness.phantom.findings.brush import Brush, Vector


def septal_thickening(brush: Brush) -> str:
    """Paint the walls between the lobules of the outer lung: polygons and lines that meet the pleura."""
    box, voxels = brush.territory()
    outer = voxels & (brush.canvas.depth[box] < brush.rng.uniform(16, 23))
    cells = brush.cells(box, outer, pitch=brush.rng.uniform(14, 17))
    half = max(0.55, 0.36 * brush.canvas.grid.voxel)
    thick = np.mod(brush.rng.random(len(cells.places))[cells.pairs].sum(axis=1), 1) < 0.62
    shape = np.zeros(voxels.shape, np.bool_)
    shape[outer] = thick & (cells.wall < half)
    brush.paint(box, shape, brush.diluted(-120, 1.2))
    return brush.one_of(
        f"Smooth interlobular septal thickening in the periphery {brush.site.phrase}",
        f"Interlobular septal thickening {brush.site.phrase}",
        f"Reticular opacities with thickened interlobular septa {brush.site.phrase}",
    )


def band(brush: Brush) -> str:
    """Paint thin, slightly bent plates that run to the pleura."""
    voxel = brush.canvas.grid.voxel
    plates = 0
    for number in brush.site.segments:
        for spot in brush.spots(1, radius=9, apart=0, depth=(5, 18), segments=[number]):
            plates += 1
            thickness = brush.rng.uniform(2.0, 3.4)
            if not _plate(brush, spot, max(thickness, voxel), brush.diluted(25, thickness), plates):
                brush.paint(brush.nearest_voxel(spot), np.ones((1, 1, 1), np.bool_), -100, plates)
    many = plates > 1
    return brush.one_of(
        f"{'Linear atelectases' if many else 'Linear atelectasis'} {brush.site.phrase}",
        f"{'Fibrotic bands' if many else 'Fibrotic band'} {brush.site.phrase}",
        f"{'Linear opacities' if many else 'Linear opacity'} {brush.site.phrase} consistent with scarring",
        f"Pleuroparenchymal scarring {brush.site.phrase}",
    )


def _plate(brush: Brush, centre: Vector, thickness: float, hu: float, entity: int) -> bool:
    rng = brush.rng
    length, width = rng.uniform(28, 46), rng.uniform(9, 18)
    heading = rng.uniform(0, 2 * np.pi)
    tilt = rng.uniform(-0.5, 0.5)
    along = np.array([np.cos(heading) * np.cos(tilt), np.sin(heading) * np.cos(tilt), np.sin(tilt)])
    across = np.cross(along, [0.0, 0.0, 1.0])
    across /= np.linalg.norm(across)
    normal = np.cross(along, across)
    bend = rng.uniform(-0.008, 0.008)
    reach = 0.5 * (length + width)
    box = brush.canvas.grid.box(centre - reach, centre + reach)
    offsets = [x - np.float32(c) for x, c in zip(brush.canvas.grid.points(box), centre, strict=True)]
    u, v, w = (sum(o * np.float32(d) for o, d in zip(offsets, axis, strict=True)) for axis in (along, across, normal))
    rim = np.square(2 * u / length) + np.square(2 * v / width)
    shape = (np.abs(w - bend * np.square(u)) <= thickness / 2) & (rim <= 1)
    return bool(brush.paint(box, shape, hu, entity).any())


def honeycombing(brush: Brush) -> str:
    """Paint stacked cysts with shared walls under the pleura; cysts and walls are the finding's."""
    box, voxels = brush.territory()
    outer = voxels & (brush.canvas.depth[box] < brush.rng.uniform(15, 20))
    cells = brush.cells(box, outer, pitch=brush.rng.uniform(8.5, 10.5))
    half = max(0.8, 0.3 * brush.canvas.grid.voxel)
    hu = np.full(voxels.shape, -965, np.float32)
    walls = np.zeros(voxels.shape, np.bool_)
    walls[outer] = cells.wall < half
    pleural = outer & (brush.canvas.depth[box] < 1.2)
    hu[walls | pleural] = brush.diluted(20, 1.8)
    brush.paint(box, outer, hu)
    return brush.one_of(
        f"Subpleural honeycombing {brush.site.phrase}",
        f"Honeycomb cysts in the subpleural lung {brush.site.phrase}",
        f"Honeycombing {brush.site.phrase} with stacked subpleural cysts",
    )
