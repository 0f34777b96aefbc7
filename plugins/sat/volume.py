"""From a CT to SAT's grid of 1 x 1 x 3 mm and back: upstream's steps in numpy, each with its inverse.

Upstream leaves its masks on a cropped grid of its own with an identity affine; here every step can be inverted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Proportions of SAT's voxels along (R, A, S); 1 is a millimetre as published.
PROPORTIONS = (1.0, 1.0, 3.0)

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Grid:
    """Where SAT's voxels are on a CT that was reoriented to (R, A, S).

    Attributes
    ----------
    shape
        Voxels of the CT.
    steps
        CT voxels from one of SAT's voxels to the next, along each axis; the first centres coincide.
    starts, stops
        SAT's voxels that are kept, ends excluded; the others were cropped.
    """

    shape: Shape
    steps: tuple[float, ...]
    starts: Shape = (0, 0, 0)
    stops: Shape = (0, 0, 0)

    def sample(self, label: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Sample a mask of the CT at SAT's voxels, by the nearest voxel."""
        picks = [
            np.minimum(np.rint(np.arange(start, stop) * step).astype(np.intp), length - 1)
            for start, stop, step, length in zip(self.starts, self.stops, self.steps, self.shape, strict=True)
        ]
        return label[np.ix_(*picks)]

    def restore(self, probability: NDArray[np.float32]) -> NDArray[np.float32]:
        """Interpolate probabilities linearly at the voxels of the CT; 0 in what was cropped."""
        found = probability
        for axis in range(3):
            places = np.arange(self.shape[axis]) / self.steps[axis] - self.starts[axis]
            last = self.stops[axis] - self.starts[axis] - 1
            found = linear(found, np.clip(places, 0, last), axis)
            # The outermost voxels extend by half a voxel; everything beyond was cropped.
            outside = (places < -0.5) | (places > last + 0.5)
            found[tuple(outside if other == axis else slice(None) for other in range(3))] = 0
        return found


def linear(volume: NDArray[np.float32], places: NDArray[Any], axis: int) -> NDArray[np.float32]:
    """Interpolate `volume` along one axis at `places`, in voxels, which lie inside it."""
    below = np.minimum(np.floor(places).astype(np.intp), volume.shape[axis] - 1)
    above = np.minimum(below + 1, volume.shape[axis] - 1)
    fraction = (places - below).astype(np.float32).reshape([-1 if other == axis else 1 for other in range(3)])
    low, high = np.take(volume, below, axis=axis), np.take(volume, above, axis=axis)
    return np.asarray(low + (high - low) * fraction, dtype=np.float32)


def prepare(
    ct: NDArray[np.float32], spacing: Sequence[float], voxel: float, low: float, high: float
) -> tuple[NDArray[np.float32], Grid]:
    """Resample to 1 x 1 x 3 mm, crop to the box of what is above 0 HU, clip and standardise.

    Parameters
    ----------
    ct
        (R, A, S), Hounsfield units.
    spacing
        Millimetres along the same axes.
    voxel
        Millimetres across SAT's voxels; 1 as published, more for a CPU.
    low, high
        Hounsfield units to which the CT is clipped.

    Returns
    -------
    image : ndarray
        The network's input, without its three equal channels.
    grid : Grid
        Where its voxels are.

    Raises
    ------
    ValueError
        When no voxel is above 0 HU, or all have the same value.
    """
    steps = tuple(voxel * proportion / had for proportion, had in zip(PROPORTIONS, spacing, strict=True))
    image = ct
    for axis, step in enumerate(steps):
        count = round(float(np.round((ct.shape[axis] - 1) / step + 1)))
        image = linear(image, np.minimum(np.arange(count) * step, ct.shape[axis] - 1), axis)
    bounds = []
    for axis in range(3):
        inside = np.flatnonzero((image > 0).any(axis=tuple(other for other in range(3) if other != axis)))
        if inside.size == 0:
            raise ValueError("no voxel is above 0 HU: SAT crops to those, and nothing is left")
        bounds.append((int(inside[0]), int(inside[-1]) + 1))
    starts, stops = zip(*bounds, strict=True)
    image = np.clip(image[tuple(slice(*bound) for bound in bounds)], low, high)
    deviation = float(image.std())
    if deviation == 0:
        raise ValueError("all voxels of the CT have the same value: SAT divides by their standard deviation")
    return (image - image.mean()) / np.float32(deviation), Grid(ct.shape, steps, starts, stops)


def windows(shape: Sequence[int], size: Sequence[int]) -> Iterator[tuple[slice, ...]]:
    """Yield the windows that cover a volume, half a window apart; the last ones are moved back inside.

    Parameters
    ----------
    shape, size
        Voxels of the volume and of a window. Where the volume is smaller, the window ends with it.
    """
    starts = []
    for length, side in zip(shape, size, strict=True):
        count = max(math.ceil(length / (side // 2)) - 1, 1)
        starts.append([max(0, min(number * (side // 2), length - side)) for number in range(count)])
    for first in starts[0]:
        for second in starts[1]:
            for third in starts[2]:
                corner = (first, second, third)
                yield tuple(slice(at, min(at + side, n)) for at, side, n in zip(corner, size, shape, strict=True))
