"""Airways, arteries and veins: trees that grow into each segment and fill it.

From the root of a segment a branch runs towards the centre of the points it has to supply; the points are then parted
by a plane along the branch, and each half is supplied by a child, until few points are left. This is the
volume-filling growth of Tawhai et al. (Ann Biomed Eng 2000; 28:793), with Murray's law for the radii
(its exponent 2.7 instead of 3, as measured in lungs).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.phantom.body import HU
from harness.phantom.canvas import Array, Canvas, coverage
from harness.phantom.segments import SEGMENTS, Segment

Vector = npt.NDArray[np.float64]

_TRACHEA = ((-2.0, 14.0, 145.0), (-1.0, 10.0, 62.0), (0.0, 12.0, 4.0))
_CENTRAL = (
    (_TRACHEA[0], _TRACHEA[1], 8.8),
    (_TRACHEA[1], _TRACHEA[2], 8.6),
    (_TRACHEA[2], (-30.0, 14.0, -16.0), 7.0),  # right main bronchus
    (_TRACHEA[2], (34.0, 18.0, -24.0), 6.3),  # left main bronchus
    ((-26.0, 14.0, -13.0), (-46.0, 12.0, -5.0), 4.6),  # right upper lobe
    ((-30.0, 14.0, -16.0), (-40.0, 16.0, -40.0), 5.2),  # intermediate bronchus
    ((-40.0, 16.0, -40.0), (-54.0, -4.0, -50.0), 3.6),  # middle lobe
    ((-40.0, 16.0, -40.0), (-48.0, 27.0, -56.0), 4.6),  # right lower lobe
    ((34.0, 18.0, -24.0), (54.0, 4.0, -15.0), 4.6),  # left upper lobe
    ((54.0, 4.0, -15.0), (66.0, -10.0, -28.0), 3.4),  # lingula
    ((34.0, 18.0, -24.0), (47.0, 31.0, -46.0), 4.8),  # left lower lobe
)
_ROOTS = {1: (-46.0, 12.0, -5.0), 2: (-54.0, -4.0, -50.0), 3: (-48.0, 27.0, -56.0), 4: (54.0, 4.0, -15.0)}
_ROOTS[5] = (47.0, 31.0, -46.0)
_LINGULA = (66.0, -10.0, -28.0)
_SUPERIOR = {3: (-42.0, 20.0, -44.0), 5: (42.0, 26.0, -36.0)}
_LEFT_ATRIUM = {"right": (-34.0, 13.0, -45.0), "left": (38.0, 14.0, -45.0)}

#: A vessel that would fill less of its voxels is not drawn.
_LEAST_SHARE = 0.25

#: An airway whose lumen's radius is a smaller part of a voxel is not drawn.
_LEAST_LUMEN = 0.3

#: Wall of an airway relative to the radius of its lumen, and its least thickness in mm.
WALL, LEAST_WALL = 0.22, 0.6


@dataclass(frozen=True)
class Branch:
    """A straight piece of a tree, in mm; `segment` is 0 for the central airways, `order` counts from the root."""

    start: Vector
    end: Vector
    radius: float
    segment: int
    order: int

    @property
    def wall(self) -> float:
        """Normal thickness of the wall of an airway of this calibre, in mm."""
        return max(LEAST_WALL, WALL * self.radius)


@dataclass(frozen=True)
class Trees:
    """The branches of a patient's lungs."""

    airways: tuple[Branch, ...]
    vessels: tuple[Branch, ...]


def root_of(segment: Segment) -> tuple[float, float, float]:
    """Return where the bronchus of a segment leaves its lobar bronchus, in the reference patient."""
    if "lingular" in segment.name:
        return _LINGULA
    if segment.name == "superior" and segment.lobe in _SUPERIOR:
        return _SUPERIOR[segment.lobe]
    return _ROOTS[segment.lobe]


def grow_trees(canvas: Canvas, rng: np.random.Generator) -> Trees:
    """Grow every tree of the patient; on a coarse grid the vessels end where they would no longer be seen."""
    place = canvas.patient.place
    least = 0.5 * canvas.grid.voxel * _LEAST_SHARE**0.5
    airways = [Branch(place(a), place(b), r, 0, 0) for a, b, r in _CENTRAL]
    vessels: list[Branch] = []
    for segment in SEGMENTS:
        supplied = canvas.cloud.positions[canvas.cloud.segments == segment.number].astype(float)
        if len(supplied) < 8:
            continue
        root = place(root_of(segment))
        artery = root + place((3.0 if segment.side == "left" else -3.0, -4.0, 5.0))
        vein = place(_LEFT_ATRIUM[segment.side])
        airways += _grow(root, supplied, 2.6, segment.number, leaves=14, rng=rng)
        vessels += _grow(artery, supplied, 3.5, segment.number, leaves=150, rng=rng, least=least)
        vessels += _grow(vein, supplied, 3.2, segment.number, leaves=110, rng=rng, least=least)
    return Trees(tuple(airways), tuple(vessels))


def _grow(
    root: Vector,
    supplied: Vector,
    radius: float,
    segment: int,
    *,
    leaves: int,
    rng: np.random.Generator,
    least: float = 0.0,
) -> Iterator[Branch]:
    count = min(leaves, len(supplied))
    points = supplied[rng.permutation(len(supplied))[:count]]
    stack = [(root, points, radius, 0)]
    while stack:
        start, points, radius, order = stack.pop()
        if len(points) == 1:
            yield Branch(start, points[0], radius, segment, order)
            continue
        reach = 0.62 if order == 0 else 0.45
        centre = points.sum(axis=0) / len(points)
        end = start + reach * (centre - start)
        yield Branch(start, end, radius, segment, order)
        spread = points - centre
        widest = spread[np.argmax(np.square(spread).sum(axis=1))]
        rank = np.argsort(spread @ widest)
        half = len(points) // 2
        for part in (rank[:half], rank[half:]):
            child = radius * (len(part) / len(points)) ** (1 / 2.7)
            if child >= least:
                stack.append((end, points[part], child, order + 1))


def paint_vessels(canvas: Canvas, trees: Trees) -> None:
    """Paint arteries and veins over the parenchyma, inside the lungs only."""
    voxel = canvas.grid.voxel
    for branch in trees.vessels:
        strength = min(1.0, (2 * branch.radius / voxel) ** 2)
        box, distance = canvas.tube(branch.start, branch.end, branch.radius)
        share = coverage(distance, voxel) * np.float32(strength) * (canvas.segments[box] > 0)
        part = canvas.ct[box]
        part += share * np.maximum(np.float32(HU["blood"]) - part, 0)


def paint_airways(canvas: Canvas, trees: Trees) -> None:
    """Paint walls, then lumina, of the airways, and record the lumen of the central and segmental ones."""
    voxel = canvas.grid.voxel
    lumina: list[tuple[Branch, tuple[slice, slice, slice], Array]] = []
    for branch in trees.airways:
        if branch.radius < _LEAST_LUMEN * voxel:
            continue
        box, distance = canvas.tube(branch.start, branch.end, branch.radius + branch.wall)
        free = canvas.finding[box] == 0 if branch.segment else True
        dense = canvas.ct[box] > -300
        wall = coverage(distance, voxel) * np.float32(min(1.0, 2 * branch.wall / voxel)) * ~dense * free
        canvas.blend(box, wall, 10)
        lumina.append((branch, box, distance + np.float32(branch.wall)))
    for branch, box, distance in lumina:
        strength = min(1.0, (2 * branch.radius / voxel) ** 2)
        inside_lung = canvas.segments[box] > 0 if branch.segment else True
        canvas.blend(box, coverage(distance, voxel) * np.float32(strength) * inside_lung, HU["air"] + 10)
        if branch.order == 0:
            canvas.airway[box] |= distance <= 0
