"""Random patches of a volume to train on: placed on a finding or anywhere, padded beyond the ends of the volume."""

from __future__ import annotations

from typing import Sequence

import numpy as np


def place(
    shape: Sequence[int], patch: Sequence[int], inside: np.ndarray | None, rng: np.random.Generator
) -> tuple[int, ...]:
    """Draw where a patch begins.

    Parameters
    ----------
    shape, patch
        Voxels of the volume and of the patch along each axis.
    inside
        Boolean mask of this shape: the patch contains one of its voxels, drawn uniformly. None or empty: anywhere.
    rng
        Random generator.

    Returns
    -------
    tuple of int
        First voxel along each axis; negative where the volume is smaller than the patch and lies in its middle.
    """
    voxels = None if inside is None else np.flatnonzero(inside)
    voxel = np.unravel_index(int(rng.choice(voxels)), tuple(shape)) if voxels is not None and voxels.size else None
    starts = []
    for axis, (length, side) in enumerate(zip(shape, patch)):
        if length <= side:
            starts.append(-((side - length) // 2))
            continue
        low, high = 0, length - side
        if voxel is not None:
            low, high = max(low, int(voxel[axis]) - side + 1), min(high, int(voxel[axis]))
        starts.append(int(rng.integers(low, high + 1)))
    return tuple(starts)


def cut(volume: np.ndarray, starts: Sequence[int], patch: Sequence[int]) -> np.ndarray:
    """Return the patch of `volume`, along its last axes, that begins at `starts`; 0 beyond the ends of the volume."""
    lengths = volume.shape[-len(patch) :]
    taken: list[slice] = []
    put: list[slice] = []
    for start, side, length in zip(starts, patch, lengths):
        first, last = max(start, 0), min(start + side, length)
        taken.append(slice(first, last))
        put.append(slice(first - start, last - start))
    lead = volume.shape[: -len(patch)]
    found = np.zeros((*lead, *patch), dtype=volume.dtype)
    ahead = [slice(None)] * len(lead)
    found[tuple(ahead + put)] = volume[tuple(ahead + taken)]
    return found
