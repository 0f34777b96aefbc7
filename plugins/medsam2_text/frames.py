"""The slices that MedSAM2 Text is trained on, and masks at the size of its pictures."""

from __future__ import annotations

import numpy as np
from groundbench_sdk.patches import place
from groundbench_sdk.video import resized


def consecutive(slices: int, count: int, inside: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
    """Draw consecutive slices to train on.

    Parameters
    ----------
    slices
        Number of slices of the CT.
    count
        Number of slices to draw, at least 2.
    inside
        Boolean, (slices,): one of these is among them. None or empty: any.
    rng
        Random generator.

    Returns
    -------
    ndarray of int
        Ascending without a gap; all slices if there are fewer. A single slice is repeated, since the memory gets no
        gradient without a second frame.
    """
    (first,) = place((slices,), (count,), inside, rng)
    last = min(first + count, slices)
    return np.minimum(np.arange(max(first, 0), max(last, 2)), slices - 1)


def marks(mask: np.ndarray, size: int) -> np.ndarray:
    """Return a mask (L, P, S), bool, slice by slice at the size of the pictures, (S, size, size); nearest pixels."""
    found = np.zeros((mask.shape[2], size, size), dtype=bool)
    for index in np.flatnonzero(mask.any(axis=(0, 1))):
        found[index] = resized(mask[:, :, index].T.astype(np.uint8), size, nearest=True)
    return found
