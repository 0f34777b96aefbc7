"""One patient: the surfaces of chest wall, mediastinum, diaphragm, lungs and fissures as functions of position.

Each surface is given by an approximate signed distance in mm, negative inside. A patient differs from the reference
patient, in whose coordinates everything is written down, by a scale along each axis, a slow warp and a few offsets.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from harness.phantom.grid import Points
from harness.phantom.pleura import PleuralSpace
from harness.phantom.segments import LOBES, SEGMENTS

Array = npt.NDArray[np.float32]

#: Half-width and half-depth of the rib cage's inside at its widest, and the exponent-like squareness of its outline.
_CAGE = (128.0, 87.0)
_SQUARENESS = 0.28

#: Lobe -> how far its loss of volume moves the right oblique, left oblique and horizontal fissure and the right and
#: left dome of the diaphragm towards the head, in mm.
_PULL: Mapping[int, tuple[float, ...]] = MappingProxyType(
    {
        1: (0.0, 0.0, 9.0, 0.0, 0.0),
        2: (0.0, 0.0, -7.0, 0.0, 0.0),
        3: (-10.0, 0.0, 0.0, 8.0, 0.0),
        4: (0.0, 10.0, 0.0, 0.0, 0.0),
        5: (0.0, -10.0, 0.0, 0.0, 8.0),
    }
)


def ellipsoid(points: Points, centre: tuple[float, float, float], radii: tuple[float, float, float]) -> Array:
    """Return the distance to an ellipsoid along the ray from its centre, in mm; an infinite radius makes a cylinder."""
    near, scaled = np.float32(0), np.float32(1e-6)
    for line, c, radius in zip(points, centre, radii, strict=True):
        if math.isfinite(radius):
            squared = np.square(line - np.float32(c))
            near = near + squared
            scaled = scaled + squared * np.float32(1 / radius**2)
    shell: Array = np.sqrt(near) * (1 - 1 / np.sqrt(scaled))
    return np.where(scaled < 0.01, np.float32(-0.9 * min(radii)), shell)


def smooth_union(first: Array, second: Array, width: float) -> Array:
    """Return the distance to two bodies that blend into each other over `width` mm."""
    share = np.clip(0.5 + 0.5 * (second - first) / np.float32(width), 0, 1)
    result: Array = second + share * (first - second) - np.float32(width) * share * (1 - share)
    return result


@dataclass(frozen=True)
class Chest:
    """The anatomy at an array of positions; distances in mm, negative inside.

    Parameters
    ----------
    points
        The positions in the reference patient's coordinates.
    cage
        Distance to the inner surface of the rib cage.
    diaphragm
        Distance to the diaphragm, negative above it.
    cavity
        Distance to the nearer pleural cavity.
    lung
        Distance to the nearer lung: the cavity without what fills the pleural space.
    spaces
        Distance to each filled pleural space of the patient.
    """

    points: Points
    cage: Array
    diaphragm: Array
    cavity: Array
    lung: Array
    spaces: tuple[Array, ...]


@dataclass(frozen=True)
class Patient:
    """The measures of one patient.

    Parameters
    ----------
    scale
        Size along (x, y, z) relative to the reference patient.
    phases
        Six phases, in radians, of the warp that makes every surface slightly irregular.
    domes
        Height of the right and left diaphragm dome, in mm.
    heart
        Size of the heart relative to the reference patient.
    fissures
        Offset of the right oblique, left oblique and horizontal fissure towards the head, in mm.
    fat
        Thickness of the subcutaneous fat, in mm.
    lung_hu
        Attenuation of the parenchyma at half depth, in HU.
    breasts
        Radius of the breasts, in mm; 0 for none.
    pleura
        What fills the pleural spaces.
    """

    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)
    phases: tuple[float, ...] = (0.0,) * 6
    domes: tuple[float, float] = (-86.0, -96.0)
    heart: float = 1.0
    fissures: tuple[float, float, float] = (0.0, 0.0, 0.0)
    fat: float = 14.0
    lung_hu: float = -855.0
    breasts: float = 0.0
    pleura: tuple[PleuralSpace, ...] = field(default=())

    @classmethod
    def draw(
        cls, rng: np.random.Generator, pleura: tuple[PleuralSpace, ...] = (), collapsed: Collection[int] = ()
    ) -> Patient:
        """Draw a patient at random; fissures and diaphragm move towards the lobes that are `collapsed`."""
        pull = np.sum([_PULL[lobe] for lobe in collapsed], axis=0) if collapsed else np.zeros(5)
        whole = rng.uniform(0.95, 1.05)
        breasts = float(rng.uniform(42, 58)) if rng.random() < 0.5 else 0.0
        return cls(
            scale=(whole * rng.uniform(0.97, 1.03), whole * rng.uniform(0.97, 1.03), whole * rng.uniform(0.97, 1.04)),
            phases=tuple(rng.uniform(0, 2 * np.pi, 6)),
            domes=(-86 + rng.uniform(-5, 5) + pull[3], -96 + rng.uniform(-5, 5) + pull[4]),
            heart=rng.uniform(0.92, 1.1),
            fissures=(rng.uniform(-8, 8) + pull[0], rng.uniform(-8, 8) + pull[1], rng.uniform(-6, 6) + pull[2]),
            fat=rng.uniform(8, 22),
            lung_hu=rng.uniform(-880, -840),
            breasts=breasts,
            pleura=pleura,
        )

    @property
    def field_of_view(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Opposite corners (x, y, z), in mm, of a field of view that holds the whole chest."""
        scale = np.array(self.scale)
        return np.array([-168.0, -138.0, -166.0]) * scale, np.array([168.0, 138.0, 132.0]) * scale

    def reference(self, points: Points) -> Points:
        """Return the reference patient's coordinates of positions in this patient."""
        x, y, z = (np.asarray(axis / k, np.float32) for axis, k in zip(points, self.scale, strict=True))
        a, b, c, d, e, f = (np.float32(phase) for phase in self.phases)
        moved_x = x + np.float32(2.5) * np.sin(y / 31 + a) * np.sin(z / 37 + b)
        moved_y = y + np.float32(2.5) * np.sin(x / 34 + c) * np.sin(z / 33 + d)
        moved_z = z + np.float32(2.5) * np.sin(x / 29 + e) * np.sin(y / 35 + f)
        return moved_x.astype(np.float32), moved_y.astype(np.float32), moved_z.astype(np.float32)

    def place(self, position: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the position in this patient of a landmark of the reference patient, up to the warp (3 mm)."""
        return np.asarray(position, float) * self.scale

    def chest(self, points: Points) -> Chest:
        """Evaluate the surfaces of the chest at positions (x, y, z) in mm."""
        reference = self.reference(points)
        x, y, z = reference
        cage = _cage(reference)
        right = x < 0
        side = np.abs(x)

        top = np.where(right, np.float32(self.domes[0]), np.float32(self.domes[1]))
        diaphragm = 0.8 * (top - 70 * (np.square((side - 60) / 86) + np.square((y + 4) / 104)) - z)
        above = np.maximum(z + 40, 0)
        apex = ellipsoid((side, y, above), (46.0, 10.0, 0.0), (80.0, 98.0, 156.0))
        cavity = np.maximum(np.maximum(cage, diaphragm), apex)
        cavity = np.maximum(cavity, -self._mediastinum(reference))

        lung = cavity
        spaces = []
        for space in self.pleura:
            distance = np.maximum(cavity, space.distance(reference, cage))
            spaces.append(distance)
            lung = np.maximum(lung, -distance)
        return Chest(reference, cage, diaphragm, cavity, lung, tuple(spaces))

    def heart_surface(self, reference: Points) -> Array:
        """Return the distance to the heart, in mm."""
        k = self.heart
        left = ellipsoid(reference, (34.0, -20.0, -72.0), (42 * k, 37 * k, 40 * k))
        right = ellipsoid(reference, (0.0, -34.0, -66.0), (40 * k, 33 * k, 46 * k))
        return smooth_union(left, right, 18)

    def _mediastinum(self, reference: Points) -> Array:
        x, y, z = reference
        endless = float("inf")
        upper = ellipsoid(reference, (1.0, -4.0, 0.0), (27.0, 56.0, endless))
        lower = ellipsoid(reference, (5.0, 32.0, 0.0), (27.0, 38.0, endless))
        spine = np.maximum(np.abs(x) - 22, 58 - y)
        round_spine = ellipsoid(reference, (0.0, 66.0, 0.0), (23.0, 25.0, endless))
        aorta = ellipsoid(reference, (24.0, 47.0, 0.0), (14.0, 14.0, endless))
        aorta = np.maximum(aorta, z - 36)
        arch = ellipsoid(reference, (14.0, 10.0, 28.0), (24.0, 36.0, 17.0))
        junction = np.abs(x) - 1.5
        epigastrium = ellipsoid(reference, (2.0, -44.0, -150.0), (54.0, 48.0, 66.0))
        result = smooth_union(self.heart_surface(reference) - 3, epigastrium, 12)
        for part in (np.maximum(upper, -34 - z), lower, spine, round_spine, aorta, arch, junction):
            result = np.minimum(result, part)
        return result

    def fissures_at(self, reference: Points) -> tuple[Array, Array]:
        """Return the distances to the oblique and the horizontal fissure, in mm.

        The oblique one is positive in the upper and middle lobes; the horizontal one is positive in the right upper
        lobe and has no meaning elsewhere.
        """
        x, y, z = reference
        shift = np.where(x < 0, np.float32(self.fissures[0]), np.float32(self.fissures[1]))
        bulge = 6 * np.sin((np.abs(x) - 20) / 32)
        oblique = 0.68 * (z - (46 + shift - 1.08 * (76 - y) + bulge))
        dome = np.square((np.abs(x) - 72) / 50)
        # It falls towards the front: where it lay level, one slice would show it as a disc, like an opacity.
        horizontal = 0.97 * (z - (-13 + self.fissures[2] - 7 * dome + 0.24 * (y + 20)))
        return oblique, np.asarray(horizontal, np.float32)

    def lobes(self, chest: Chest) -> npt.NDArray[np.uint8]:
        """Return the lobe number at each position, 0 outside the lungs."""
        oblique, horizontal = self.fissures_at(chest.points)
        right = chest.points[0] < 0
        upper = np.where(right, np.where(horizontal > 0, 1, 2), 4)
        lobe = np.where(oblique > 0, upper, np.where(right, 3, 5)).astype(np.uint8)
        lobe[chest.lung > 0] = 0
        return lobe

    def segments(self, chest: Chest) -> npt.NDArray[np.uint8]:
        """Return the segment number at each position, 0 outside the lungs: the nearest centre within the lobe.

        The border between two segments of a lobe is wavy, as no septum parts them.
        """
        lobe = self.lobes(chest)
        result = np.zeros(lobe.shape, np.uint8)
        x, y, z = chest.points
        a, b, c, d, e, f = (np.float32(phase) for phase in self.phases)
        points = np.broadcast_arrays(
            x + 5 * np.sin(y / 7 + z / 11 + a) * np.sin(z / 8 + d),
            y + 5 * np.sin(z / 7 + x / 12 + b) * np.sin(x / 8 + e),
            z + 5 * np.sin(x / 7 + y / 10 + c) * np.sin(y / 8 + f),
        )
        for number in LOBES:
            inside = np.flatnonzero(lobe == number)
            members = [segment for segment in SEGMENTS if segment.lobe == number]
            position = [x.ravel()[inside] for x in points]
            nearest = np.full(inside.shape, np.inf, np.float32)
            label = np.zeros(inside.shape, np.uint8)
            for segment in members:
                offsets = zip(position, segment.centre, strict=True)
                distance = np.add.reduce([np.square(x - np.float32(c)) for x, c in offsets])
                closer = distance < nearest
                nearest = np.where(closer, distance, nearest)
                label[closer] = segment.number
            result.ravel()[inside] = label
        return result

    def cloud(self, rng: np.random.Generator, count: int = 40_000) -> Cloud:
        """Scatter points over the field of view and keep those inside the lungs."""
        low, high = self.field_of_view
        positions = rng.uniform(low, high, (count, 3)).astype(np.float32)
        chest = self.chest((positions[:, 0], positions[:, 1], positions[:, 2]))
        segments = self.segments(chest)
        kept = segments > 0
        return Cloud(positions[kept], segments[kept], -chest.lung[kept])


@dataclass(frozen=True)
class Cloud:
    """Points scattered evenly inside the lungs: `positions` (n, 3) in mm, their `segments` and `depths` in mm."""

    positions: Array
    segments: npt.NDArray[np.uint8]
    depths: Array

    def within(self, numbers: tuple[int, ...]) -> npt.NDArray[np.bool_]:
        """Return which points lie in any of these segments."""
        return np.isin(self.segments, numbers)


def _cage(reference: Points) -> Array:
    x, y, z = reference
    rise = np.maximum(z + 40, 0) / 155
    shrink = 1 - 0.5 * np.square(rise)
    u = np.square(x / (_CAGE[0] * shrink))
    v = np.square((y - 2 - 8 * rise) / (_CAGE[1] * (1 - 0.28 * np.square(rise))))
    norm = np.sqrt(np.maximum(u + v - _SQUARENESS * u * v, 1e-4))
    length = np.sqrt(np.square(x) + np.square(y - 2))
    result: Array = np.minimum(length, 200) * (1 - 1 / np.maximum(norm, 0.1))
    return result
