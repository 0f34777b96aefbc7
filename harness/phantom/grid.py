"""The voxel grid: how finely, and over what field of view, a patient is sampled."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

Size = Literal["small", "full"]
Box = tuple[slice, slice, slice]
Points = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float32]]

#: Name of a size -> what it is; the command line offers these.
SIZES: tuple[Size, ...] = ("small", "full")


@dataclass(frozen=True)
class Grid:
    """A regular grid whose axes run to the patient's left, back and head.

    Parameters
    ----------
    shape
        Voxels along (x, y, z).
    spacing
        Voxel size along each axis, in mm.
    start
        Position (x, y, z) of the centre of voxel (0, 0, 0), in mm.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    start: tuple[float, float, float]

    @property
    def affine(self) -> npt.NDArray[np.float64]:
        """The NIfTI affine, voxel to RAS world in mm: left and back are the negative directions of x and y."""
        matrix = np.diag([-self.spacing[0], -self.spacing[1], self.spacing[2], 1.0])
        matrix[:3, 3] = -self.start[0], -self.start[1], self.start[2]
        return matrix

    @property
    def voxel(self) -> float:
        """The edge of a cube of one voxel's volume, in mm: the width over which an edge is blurred."""
        return math.prod(self.spacing) ** (1 / 3)

    @property
    def whole(self) -> Box:
        """The box that holds every voxel."""
        return slice(0, self.shape[0]), slice(0, self.shape[1]), slice(0, self.shape[2])

    def points(self, box: Box) -> Points:
        """Return the positions of the voxel centres of `box` in mm, as three arrays that broadcast to its shape."""
        x, y, z = self._axes
        return x[box[0]], y[:, box[1]], z[:, :, box[2]]

    @cached_property
    def _axes(self) -> Points:
        lines = [
            (start + spacing * np.arange(size)).astype(np.float32)
            for start, spacing, size in zip(self.start, self.spacing, self.shape, strict=True)
        ]
        return lines[0][:, None, None], lines[1][None, :, None], lines[2][None, None, :]

    def box(self, low: npt.NDArray[np.floating], high: npt.NDArray[np.floating]) -> Box:
        """Return the box of voxels between two corners in mm, one voxel wider all round and cut at the grid's border.

        The box is empty (some slice has equal ends) where nothing of it lies on the grid.
        """
        parts = []
        for a, b, start, spacing, size in zip(low, high, self.start, self.spacing, self.shape, strict=True):
            first = min(max(math.floor((a - start) / spacing) - 1, 0), size)
            last = min(max(math.ceil((b - start) / spacing) + 2, first), size)
            parts.append(slice(first, last))
        return parts[0], parts[1], parts[2]


def grid_for(size: Size, low: npt.ArrayLike, high: npt.ArrayLike) -> Grid:
    """Choose the grid that samples the field of view from `low` to `high`.

    Parameters
    ----------
    size
        ``"small"``: voxels of about 3.5 x 3.5 x 4.5 mm, about 96 x 80 x 64 of them; ``"full"``: 512 x 512 in a square
        field of view and a slice every millimetre, 300 and more.
    low, high
        Corners (x, y, z) of the field of view, in mm.
    """
    low, high = np.asarray(low, float), np.asarray(high, float)
    extent = high - low
    if size == "full":
        side = round(float(max(extent[:2])) / 512, 4)
        spacing = np.array([side, side, 1.0])
        shape = np.array([512, 512, max(300, math.ceil(extent[2]))])
    else:
        spacing = np.array([3.5, 3.5, 4.5])
        shape = np.ceil(extent / spacing).astype(int)
    start = (low + high) / 2 - spacing * (shape - 1) / 2
    return Grid(
        shape=(int(shape[0]), int(shape[1]), int(shape[2])),
        spacing=(float(spacing[0]), float(spacing[1]), float(spacing[2])),
        start=(float(start[0]), float(start[1]), float(start[2])),
    )
