"""The parts of a mask: its entities, what of it is false and what it misses, with their sizes, the largest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from harness.masks.bits import from_coordinates, positions
from harness.scoring.components import components
from leaderboard.gallery.scans import Ints, Marked, Points, Scan

#: Parts of a kind that are described one by one; the others are counted.
LISTED = 60

_EVERY = 2**30  # parts: more than any mask has
_ANGLES = np.pi * np.arange(36) / 36  # directions in which a part is measured


@dataclass(frozen=True)
class Part:
    """One part of a mask.

    Attributes
    ----------
    voxels
        Its size.
    size
        Longest diameter on the axial slice that shows most of it, the one across that, and its height; mm.
    slices
        The axial slices that show it, the one that shows most of it first.
    points
        Its voxels (n, 3).
    """

    voxels: int
    size: tuple[float, float, float]
    slices: Ints
    points: Points

    def at(self, shown: Sequence[int]) -> tuple[int, int, int] | None:
        """Return a voxel of it in its middle, on the slice that shows most of it among those shown; None off them."""
        z = next((int(z) for z in self.slices if z in shown), None)
        if z is None:
            return None
        here = self.points[self.points[:, 2] == z].astype(np.int64)
        x, y, _ = here[((here - here.mean(axis=0)) ** 2).sum(axis=1).argmin()]
        return int(x), int(y), z


@dataclass(frozen=True)
class Parts:
    """The parts of one kind.

    Attributes
    ----------
    number, voxels
        How many there are, and their voxels together.
    listed
        The largest :data:`LISTED`.
    """

    number: int
    voxels: int
    listed: tuple[Part, ...]


@dataclass(frozen=True)
class Layer:
    """One mask and what is known of it.

    Attributes
    ----------
    id, name
        Whose it is: the id of its run (empty for the reference), and its title.
    mask
        Its voxels; parts are numbered from 1, the largest first.
    entities, false, missed
        Its parts; parts of what it alone marks; parts of what the reference alone marks. The last two are None for the
        reference, and where there is none.
    dice
        As it was scored; None for the reference and without a score.
    """

    id: str
    name: str
    mask: Marked
    entities: Parts
    false: Parts | None = None
    missed: Parts | None = None
    dice: float | None = None

    @property
    def points(self) -> Points:
        """Its voxels (n, 3)."""
        return self.mask.points


def reference_layer(mask: Marked, scan: Scan) -> Layer:
    """Return the layer of a reference: its parts are its entities."""
    entities, numbered = _parts(mask, scan)
    return Layer("", "Reference", numbered, entities)


def model_layer(
    run: str, name: str, points: Points, scan: Scan, *, reference: Marked | None = None, dice: float | None = None
) -> Layer:
    """Return the layer of a model's mask: its parts are what hangs together, compared with the reference if any."""
    entities, numbered = _parts(connected(points, scan.shape), scan)
    if reference is None:
        return Layer(run, name, numbered, entities, dice=dice)
    mine, truth = _places(points, scan), _places(reference.points, scan)
    false, _ = _parts(connected(points[~np.isin(mine, truth)], scan.shape), scan)
    missed, _ = _parts(connected(reference.points[~np.isin(truth, mine)], scan.shape), scan)
    return Layer(run, name, numbered, entities, false, missed, dice)


def connected(points: Points, shape: tuple[int, int, int]) -> Marked:
    """Label the parts of a mask that hang together, by a corner at least."""
    if not len(points):
        return Marked(points, np.empty(0, np.int64))
    x, y, z = points.astype(np.int64).T
    bits = from_coordinates(shape, x, y, z, np.ones(len(points), np.int32))
    found = components(bits, connectivity=26, min_voxels=1, max_components=_EVERY)
    entry, _ = positions(found.bits)
    return Marked(np.stack(found.coordinates(), axis=1).astype(np.int16), found.labels[entry].astype(np.int64))


def _parts(mask: Marked, scan: Scan) -> tuple[Parts, Marked]:
    """Return the parts of a mask by its labels, and the mask with them numbered from the largest on."""
    _, inverse, sizes = np.unique(mask.labels, return_inverse=True, return_counts=True)
    by_size = np.argsort(-sizes, kind="stable")
    number = np.empty(len(sizes), np.int64)
    number[by_size] = np.arange(1, len(sizes) + 1)
    labels = number[inverse]
    order = np.argsort(labels, kind="stable")
    ends = np.searchsorted(labels[order], np.arange(1, min(len(sizes), LISTED) + 2))
    listed = tuple(_part(mask.points[order[begin:end]], scan) for begin, end in pairwise(ends))
    return Parts(len(sizes), len(labels), listed), Marked(mask.points, labels)


def _part(points: Points, scan: Scan) -> Part:
    depths, areas = np.unique(points[:, 2], return_counts=True)
    slices = depths[np.argsort(-areas, kind="stable")].astype(np.int64)
    across = points[points[:, 2] == slices[0], :2] * np.array(scan.spacing[:2])
    extents = [_extent(across, angle, scan) for angle in _ANGLES]
    longest = int(np.argmax(extents))
    short = extents[(longest + len(_ANGLES) // 2) % len(_ANGLES)]
    height = float((depths[-1] - depths[0] + 1) * scan.spacing[2])
    return Part(len(points), (extents[longest], short, height), slices, points)


def _extent(across: NDArray[np.float64], angle: float, scan: Scan) -> float:
    """Return how far voxels reach in one direction of an axial slice, their own size included; mm."""
    direction = np.array([np.cos(angle), np.sin(angle)])
    along = across @ direction
    return float(along.max() - along.min() + np.abs(direction) @ np.array(scan.spacing[:2]))


def _places(points: Points, scan: Scan) -> Ints:
    """Return the number of every voxel in the scan."""
    x, y, z = points.astype(np.int64).T
    places: Ints = (z * scan.shape[1] + y) * scan.shape[0] + x
    return places
