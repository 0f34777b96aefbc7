"""Patches of a volume to train with: placed by chance, mostly where a finding is, padded where the volume ends."""

from __future__ import annotations

from typing import Sequence

import numpy as np


def place(
    shape: Sequence[int], patch: Sequence[int], target: np.ndarray | None, rng: np.random.Generator
) -> tuple[int, ...]:
    """Choose where a patch begins.

    Parameters
    ----------
    shape, patch
        Voxels of the volume and of the patch along each axis.
    target
        Boolean, of this shape: the patch holds one of its voxels, drawn evenly. None or empty: anywhere.
    rng
        Draws.

    Returns
    -------
    tuple of int
        First voxel; below 0 along an axis where the volume is smaller than the patch, which is then in the middle.
    """
    inside = None if target is None else np.flatnonzero(target)
    voxel = np.unravel_index(int(rng.choice(inside)), tuple(shape)) if inside is not None and inside.size else None
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
    """Return the patch of `volume` (its last axes) that begins at `starts`; 0 beyond the volume's ends."""
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
