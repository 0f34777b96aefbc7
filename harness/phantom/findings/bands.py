"""A plate of dense lung that stands on the pleura: a scar or band where thin, collapsed lung where thick."""

from __future__ import annotations

import numpy as np

from harness.phantom.findings.brush import Brush, Vector


def plate(brush: Brush, spot: Vector, entity: int, hu: float, *, thickness: float, height: float) -> bool:
    """Paint a plate from the pleura inwards, as a slice shows it: broad where it pulls at the pleura, then tapering.

    Parameters
    ----------
    brush
        What paints it.
    spot
        A place in the lung; the plate runs from the pleura nearest to it, through it, towards the hilum.
    entity
        Its entity id.
    hu
        Its attenuation.
    thickness
        In mm, a third of the way in.
    height
        Greatest extent along the pleura, across the slices, in mm.

    Returns
    -------
    bool
        Whether any voxel was painted.
    """
    rng, grid = brush.rng, brush.canvas.grid
    outward, depth = brush.outward(spot)
    length = depth + rng.uniform(16, 28)
    along = -outward + rng.normal(0, 0.22, 3) * (1.0, 1.0, 0.5)
    along /= np.linalg.norm(along)
    lean = rng.normal(0, 0.3)
    across = np.array([lean, -lean, 1.0]) - along * (lean * (along[0] - along[1]) + along[2])
    across /= np.linalg.norm(across)
    normal = np.cross(along, across)
    bend = rng.uniform(-0.006, 0.006)
    foot = spot + outward * depth
    ends = np.stack([foot - 6 * along, foot + length * along])
    box = grid.box(ends.min(axis=0) - height, ends.max(axis=0) + height)
    offsets = [x - np.float32(c) for x, c in zip(grid.points(box), foot, strict=True)]
    u, v, w = (sum(o * np.float32(d) for o, d in zip(offsets, axis, strict=True)) for axis in (along, across, normal))
    inwards = np.clip(np.asarray(u) / length, 0, 1)
    flare = 1.25 - 0.85 * inwards + 0.9 * np.exp(-np.clip(u, 0, None) / 3.5)
    half = np.maximum(0.5 * thickness * flare, 0.5 * grid.voxel)
    shape = (np.abs(w - bend * np.square(u)) <= half) & (np.abs(v) <= 0.5 * height * (1 - 0.6 * np.square(inwards)))
    return bool(brush.paint(box, shape & (u >= -6) & (u <= length), hu, entity).any())
