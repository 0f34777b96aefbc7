"""A mask that a model delivered: written anew in the grid of its CT, and measured on it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.dataset.nifti import write_volume
from harness.errors import DataError
from harness.masks import Refused, file_limit, open_volume, read_bits
from leaderboard.gallery.scans import Points, Scan


@dataclass(frozen=True)
class Measured:
    """What can be measured of a mask without anything to compare it with; a mask has at least one voxel.

    Attributes
    ----------
    voxels, ml
        Its size.
    slices
        Axial slices with a voxel of it.
    heights
        Lowest and highest of them along the body, mm (RAS+).
    first, last
        Corners of its bounding box: voxels along the axes of the CT array, from 0, both inside.
    extent
        Size of the box in mm: left to right, front to back, foot to head.
    left
        Share of its voxels on the patient's left of the middle of the scan's grid, 0 to 1. The middle of the grid need
        not be that of the patient.
    """

    voxels: int
    ml: float
    slices: int
    heights: tuple[float, float]
    first: tuple[int, int, int]
    last: tuple[int, int, int]
    extent: tuple[float, float, float]
    left: float


def read_voxels(path: Path, scan: Scan, *, root: Path) -> NDArray[np.int64]:
    """Return the voxels (n, 3) of a mask that was judged, along the axes of the CT array.

    Parameters
    ----------
    path, root
        The file, and the folder that must contain it.
    scan
        The CT.

    Raises
    ------
    DataError
        The file cannot be read as a mask: it has changed since it was judged.
    """
    h, w, d = scan.case.shape
    try:
        with open_volume(path, limit=file_limit(h * w * d), root=root) as volume:
            [bits], _ = read_bits(volume, (h, w, d), 1, [0], labelled=False)
    except (Refused, OSError) as error:
        raise DataError(f"{path} has changed since it was judged: {error}", fix="run the same command again") from error
    return np.stack(bits.coordinates(), axis=1).astype(np.int64)


def write_mask(path: Path, voxels: NDArray[np.int64], scan: Scan) -> str:
    """Write voxels (n, 3) as a mask of 0 and 1 (uint8) in the grid of the CT; return the file's SHA-256 (hex)."""
    affine = np.array(scan.case.affine, np.float64)
    write_volume(path, np.uint8, scan.case.shape, affine, _slices(voxels, scan.case.shape))
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _slices(voxels: NDArray[np.int64], shape: tuple[int, int, int]) -> Iterator[NDArray[np.uint8]]:
    ordered = voxels[np.argsort(voxels[:, 2], kind="stable")]
    ends = np.searchsorted(ordered[:, 2], np.arange(shape[2] + 1))
    for begin, end in pairwise(ends):
        image = np.zeros(shape[:2], np.uint8)
        image[ordered[begin:end, 0], ordered[begin:end, 1]] = 1
        yield image


def measure(voxels: NDArray[np.int64], points: Points, scan: Scan) -> Measured:
    """Measure a mask.

    Parameters
    ----------
    voxels, points
        Its voxels (n, 3), n > 0: along the axes of the CT array, and turned by :meth:`Scan.turned`.
    scan
        The CT.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    depths = np.unique(points[:, 2])
    middle = (scan.shape[0] - 1) / 2
    sides = np.where(points[:, 0] == middle, 0.5, points[:, 0] > middle)  # a voxel on the middle belongs to both sides
    extent = (high - low + 1) * np.array(scan.spacing)
    return Measured(
        voxels=len(voxels),
        ml=float(len(voxels) * np.prod(scan.spacing) / 1000),
        slices=len(depths),
        heights=(scan.height(int(low[2])), scan.height(int(high[2]))),
        first=_three(voxels.min(axis=0)),
        last=_three(voxels.max(axis=0)),
        extent=(float(extent[0]), float(extent[1]), float(extent[2])),
        left=float(sides.mean()),
    )


def _three(values: NDArray[np.int64]) -> tuple[int, int, int]:
    x, y, z = (int(value) for value in values)
    return x, y, z
