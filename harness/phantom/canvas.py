"""The canvas: the volume being drawn, with its anatomy and its ground truth."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from harness.phantom.grid import Box, Grid, Points
from harness.phantom.patient import Cloud, Patient

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


def coverage(distance: Array, width: float) -> Array:
    """Return the fraction of a voxel of `width` mm that is inside a surface at a signed `distance` in mm (0 to 1)."""
    share: Array = np.clip(np.float32(0.5) - distance / np.float32(width), 0, 1)
    return share


@dataclass
class Canvas:
    """A volume, its segments and depths, and the finding that owns each voxel.

    Parameters
    ----------
    patient, grid, cloud
        The patient, its grid, and points scattered in the lungs, from which positions are chosen.
    ct
        Attenuation in HU, shape (H, W, D).
    segments
        Segment number of each voxel, 0 outside the lungs.
    depth
        Distance from the lung's surface in mm, positive inside; only meaningful inside the lungs.
    finding, entity
        Index of the finding that owns a voxel plus one (0: none), and the entity id there. A voxel has one owner at
        most: each finding has its own segments or its own pleural space.
    airway
        Lumen of the central airways.
    """

    patient: Patient
    grid: Grid
    cloud: Cloud
    ct: Array = field(init=False)
    segments: npt.NDArray[np.uint8] = field(init=False)
    depth: npt.NDArray[np.float16] = field(init=False)
    finding: npt.NDArray[np.uint8] = field(init=False)
    entity: npt.NDArray[np.uint8] = field(init=False)
    airway: Mask = field(init=False)

    def __post_init__(self) -> None:
        """Allocate the volumes; everything is air."""
        shape = self.grid.shape
        self.ct = np.full(shape, -1000, np.float32)
        self.segments = np.zeros(shape, np.uint8)
        self.depth = np.zeros(shape, np.float16)
        self.finding = np.zeros(shape, np.uint8)
        self.entity = np.zeros(shape, np.uint8)
        self.airway = np.zeros(shape, np.bool_)

    def tube(self, start: npt.NDArray[np.float64], end: npt.NDArray[np.float64], radius: float) -> tuple[Box, Array]:
        """Return the box around a straight tube and the distances of its voxels to the tube's surface, in mm."""
        reach = radius + self.grid.voxel
        box = self.grid.box(np.minimum(start, end) - reach, np.maximum(start, end) + reach)
        return box, segment_distance(self.grid.points(box), start, end) - np.float32(radius)

    def blend(self, box: Box, share: Array, hu: float) -> None:
        """Mix `hu` into the voxels of `box`, each by its fraction."""
        part = self.ct[box]
        part += share * (np.float32(hu) - part)


def segment_distance(points: Points, start: npt.NDArray[np.float64], end: npt.NDArray[np.float64]) -> Array:
    """Return the distance in mm of each point to the straight line from `start` to `end`."""
    axis = np.asarray(end - start, np.float32)
    length = np.float32(max(float(axis @ axis), 1e-9))
    x, y, z = (line - np.float32(c) for line, c in zip(points, start, strict=True))
    dot = x * axis[0] + y * axis[1] + z * axis[2]
    along = np.clip(dot / length, 0, 1)
    squared = np.square(x) + np.square(y) + np.square(z) + along * (along * length - 2 * dot)
    result: Array = np.sqrt(np.maximum(squared, 0))
    return result
