"""The brush a finding is painted with: it keeps to the finding's own segments and records the truth as it paints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import spatial

from harness.phantom.canvas import Array, Canvas, Mask
from harness.phantom.grid import Box, Points
from harness.phantom.plan import Location
from harness.phantom.segments import LOBE_OF
from harness.phantom.trees import Trees

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Brush:
    """What paints one finding.

    Parameters
    ----------
    canvas
        What is painted on.
    trees
        The patient's airways and vessels.
    site
        Where the finding lies; nothing is painted outside its segments.
    index
        Index of the finding in its case.
    collapsed
        Whether its lobes have lost volume.
    rng
        The finding's own stream of random numbers. No draw may depend on the grid.
    """

    canvas: Canvas
    trees: Trees
    site: Location
    index: int
    collapsed: bool
    rng: np.random.Generator

    @cached_property
    def lobes(self) -> tuple[int, ...]:
        """The lobes of the site, in order; the entities of a diffuse finding are its parts in each of them."""
        return tuple(sorted({int(LOBE_OF[number]) for number in self.site.segments}))

    def entity_of(self, segment: int) -> int:
        """Give the entity id of the part of a diffuse finding that lies in a segment."""
        return self.lobes.index(int(LOBE_OF[segment])) + 1

    def own(self, box: Box) -> Mask:
        """Return which voxels of `box` lie in the segments of the site."""
        mine = np.zeros(256, np.bool_)
        mine[list(self.site.segments)] = True
        return mine[self.canvas.segments[box]]

    def paint(self, box: Box, shape: Mask, hu: npt.ArrayLike, entity: int | None = None) -> Mask:
        """Give the voxels of a shape a new attenuation and this finding as their owner.

        Parameters
        ----------
        box
            Where.
        shape
            Which voxels of the box; those outside the site are left alone.
        hu
            One value, or one for each voxel of the box.
        entity
            Entity id; None: by lobe (:meth:`entity_of`).

        Returns
        -------
        ndarray of bool
            The voxels of the box that were painted.
        """
        painted: Mask = shape & self.own(box)
        self.canvas.ct[box][painted] = np.broadcast_to(np.asarray(hu, np.float32), painted.shape)[painted]
        self.canvas.finding[box][painted] = self.index + 1
        if entity is None:
            ids = np.zeros(256, np.uint8)
            ids[list(self.site.segments)] = [self.entity_of(number) for number in self.site.segments]
            self.canvas.entity[box][painted] = ids[self.canvas.segments[box]][painted]
        else:
            self.canvas.entity[box][painted] = entity
        return painted

    def shade(self, box: Box, shape: Mask, hu: float) -> None:
        """Change the attenuation of voxels of the site that belong to no finding, and leave them so."""
        self.canvas.ct[box][shape & self.own(box) & (self.canvas.finding[box] == 0)] = hu

    def diluted(self, hu: float, thickness: float) -> float:
        """Give the attenuation of a structure thinner than a voxel, as its voxels show it."""
        share = min(1.0, max(0.35, thickness / self.canvas.grid.voxel))
        return self.canvas.patient.lung_hu + share * (hu - self.canvas.patient.lung_hu)

    def blob(self, centre: Vector, radius: float, **shape: float) -> Blob:
        """Make an irregular ball with random ripples."""
        waves = self.rng.normal(0, 1, (4, 3))
        waves *= self.rng.uniform(1.5, 4.0, (4, 1)) / np.linalg.norm(waves, axis=1, keepdims=True)
        grain = self.rng.normal(0, 1, (5, 3))
        grain *= self.rng.uniform(0.45, 0.9, (5, 1)) / np.linalg.norm(grain, axis=1, keepdims=True)
        stretch = self.rng.uniform(1 - shape.get("stretch", 0.15), 1 + shape.get("stretch", 0.15), 3)
        phases = self.rng.uniform(0, 2 * np.pi, 9)
        ripple, rough = shape.get("ripple", 0.08), shape.get("rough", 0.0)
        return Blob(centre, radius, ripple, rough, waves, grain, phases, stretch)

    def blob_box(self, blob: Blob, margin: float = 0.0) -> tuple[Box, Array]:
        """Give the box round a blob and the distances to its surface in mm."""
        reach = blob.reach + margin
        box = self.canvas.grid.box(blob.centre - reach, blob.centre + reach)
        return box, blob.distance(self.canvas.grid.points(box))

    def spots(
        self, count: int, *, radius: float, apart: float, depth: tuple[float, float], segments: Sequence[int] = ()
    ) -> list[Vector]:
        """Choose up to `count` positions in the site.

        Parameters
        ----------
        radius
            A ball of this radius (mm) round each position should stay in the site; the best of the tries is taken.
        apart
            Least distance between two positions in mm.
        depth
            Least and greatest distance from the lung's surface in mm; widened where no point has it.
        segments
            Choose from these segments of the site only.
        """
        cloud = self.canvas.cloud
        inside = cloud.within(tuple(segments) or self.site.segments)
        wanted = inside & (cloud.depths >= depth[0]) & (cloud.depths <= depth[1])
        candidates = np.flatnonzero(wanted if wanted.any() else inside)
        candidates = self.rng.permutation(candidates)[: 40 * count]
        if radius > 0 and len(candidates):
            room = self._room(cloud.positions[candidates].astype(float), radius)
            candidates = candidates[np.argsort(-np.minimum(room, 0.97), kind="stable")]
        chosen: list[Vector] = []
        for position in cloud.positions[candidates].astype(float):
            if len(chosen) == count:
                break
            if all(np.linalg.norm(position - other) >= apart for other in chosen):
                chosen.append(position)
        return chosen

    def _room(self, positions: Vector, radius: float) -> Vector:
        """Give the share of each position's ball surface that lies in the site."""
        result: Vector = np.isin(self._surroundings(positions, radius), self.site.segments).mean(axis=1)
        return result

    def _surroundings(self, positions: Vector, radius: float) -> npt.NDArray[np.uint8]:
        """Give the segments at 26 points of each position's ball surface, (positions, 26)."""
        turns = np.arange(26) + 0.5
        height = 1 - 2 * turns / 26
        angle = turns * np.pi * (3 - np.sqrt(5))
        ring = np.sqrt(1 - np.square(height))
        directions = np.stack([ring * np.cos(angle), ring * np.sin(angle), height], axis=1)
        around = (positions[:, None, :] + radius * directions).astype(np.float32)
        patient = self.canvas.patient
        return patient.segments(patient.chest((around[..., 0], around[..., 1], around[..., 2])))

    def nearest_voxel(self, position: Vector) -> Box:
        """Give the box of the one voxel of the site nearest to a position: the least a finding can be."""
        grid = self.canvas.grid
        for reach in (2.0, 5.0, 12.0, 40.0):
            box = grid.box(position - reach, position + reach)
            own = np.argwhere(self.own(box) & (self.canvas.finding[box] == 0))
            if len(own):
                offsets = own * grid.spacing + [
                    start + spacing * part.start
                    for start, spacing, part in zip(grid.start, grid.spacing, box, strict=True)
                ]
                best = own[np.argmin(np.square(offsets - position).sum(axis=1))]
                i, j, k = (int(part.start + offset) for part, offset in zip(box, best, strict=True))
                return slice(i, i + 1), slice(j, j + 1), slice(k, k + 1)
        message = f"no voxel of {self.site.phrase!r} is free"
        raise AssertionError(message)

    def territory(self) -> tuple[Box, Mask]:
        """Give the box of the whole site, and its voxels in it."""
        cloud = self.canvas.cloud
        positions = cloud.positions[cloud.within(self.site.segments)]
        margin = 12.0
        box = self.canvas.grid.box(positions.min(axis=0) - margin, positions.max(axis=0) + margin)
        return box, self.own(box)

    def cells(self, box: Box, voxels: Mask, pitch: float) -> Cells:
        """Part voxels into polyhedral cells, each around a place of a shaken lattice.

        Parameters
        ----------
        box, voxels
            Which voxels.
        pitch
            Mean size of a cell in mm.

        """
        cloud = self.canvas.cloud
        positions = cloud.positions[cloud.within(self.site.segments)].astype(float)
        low, high = positions.min(axis=0) - 3 * pitch, positions.max(axis=0) + 3 * pitch
        axes = [np.arange(a, b, pitch) for a, b in zip(low, high, strict=True)]
        lattice = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        lattice = lattice + self.rng.uniform(-0.42 * pitch, 0.42 * pitch, lattice.shape)
        points = np.broadcast_arrays(*self.canvas.grid.points(box))
        places = np.stack([axis[voxels] for axis in points], axis=1)
        found = spatial.cKDTree(lattice).query(places, k=2)
        distance, index = np.asarray(found[0]), np.asarray(found[1])
        between = np.linalg.norm(lattice[index[:, 0]] - lattice[index[:, 1]], axis=1)
        wall = (np.square(distance[:, 1]) - np.square(distance[:, 0])) / (2 * between)
        return Cells(lattice, index, wall.astype(np.float32), distance[:, 0].astype(np.float32))

    def outward(self, position: Vector) -> tuple[Vector, float]:
        """Give the direction to the nearest pleura, a unit vector, and the way there in mm."""
        steps = np.vstack([position, position + 2 * np.eye(3), position - 2 * np.eye(3)]).astype(np.float32)
        depth = -self.canvas.patient.chest((steps[:, 0], steps[:, 1], steps[:, 2])).lung.astype(float)
        slope = depth[4:] - depth[1:4]
        return slope / max(float(np.linalg.norm(slope)), 1e-6), float(depth[0])

    def apart(self, positions: Vector, radius: float) -> Mask:
        """Return which positions lie so that no ball of `radius` mm round them reaches another segment."""
        found = self._surroundings(positions, radius)
        result: Mask = (np.isin(found, self.site.segments) | (found == 0)).all(axis=1)
        return result

    def one_of(self, *options: str) -> str:
        """Choose one wording."""
        return options[self.rng.integers(len(options))]


@dataclass(frozen=True)
class Cells:
    """Voxels parted into cells.

    Parameters
    ----------
    places
        The middle of every cell, (cells, 3) in mm.
    pairs
        The cell of each voxel and the next one to it, (voxels, 2).
    wall
        Distance of each voxel from the wall between the two, (voxels,) in mm.
    middle
        Distance of each voxel from the middle of its cell, (voxels,) in mm.
    """

    places: Vector
    pairs: npt.NDArray[np.intp]
    wall: Array
    middle: Array

    def radii(self) -> Vector:
        """Return the radius of the largest ball round each cell's middle that stays inside it, (cells,) in mm."""
        distance, _ = spatial.cKDTree(self.places).query(self.places, k=2)
        result: Vector = np.asarray(distance)[:, 1] / 2
        return result


@dataclass(frozen=True)
class Blob:
    """An irregular ball.

    Parameters
    ----------
    centre, radius
        In mm.
    ripple
        Height of the ripples relative to the radius.
    rough
        Height of the roughness of the surface, in mm.
    waves, grain, phases
        Wave vectors of the ripples on the unit sphere (k, 3) and of the roughness in space (m, 3; radians per mm), and
        the phases (k + m,) of both.
    stretch
        Relative size along each axis.
    """

    centre: Vector
    radius: float
    ripple: float
    rough: float
    waves: Vector
    grain: Vector
    phases: Vector
    stretch: Vector

    @property
    def reach(self) -> float:
        """A radius in mm that holds all of it."""
        return (self.radius * (1 + 4 * self.ripple) + 5 * self.rough) * float(self.stretch.max())

    def distance(self, points: Points) -> Array:
        """Give the signed distance to the surface in mm."""
        offsets = [
            (x - np.float32(c)) / np.float32(k) for x, c, k in zip(points, self.centre, self.stretch, strict=True)
        ]
        length = np.sqrt(sum(np.square(o) for o in offsets) + np.float32(1e-6))
        relief = np.zeros((), np.float32)
        for wave, phase in zip(self.waves, self.phases[: len(self.waves)], strict=True):
            across = sum(o * np.float32(w) for o, w in zip(offsets, wave, strict=True)) / length
            relief = relief + np.sin(across + np.float32(phase))
        result: Array = length - np.float32(self.radius) * (1 + np.float32(self.ripple) * relief)
        return result + np.float32(self.rough) * self.texture(offsets) if self.rough else result

    def texture(self, offsets: Sequence[Array]) -> Array:
        """Give a slow random texture of space, between -5 and 5."""
        waves = zip(self.grain, self.phases[len(self.waves) :], strict=True)
        total = sum(np.sin(sum(o * np.float32(w) for o, w in zip(offsets, wave, strict=True)) + p) for wave, p in waves)
        return np.asarray(total, np.float32)
