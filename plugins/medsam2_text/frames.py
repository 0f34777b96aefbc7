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


def tracked(shown: np.ndarray, count: int, most: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw consecutive slices whose first one shows a finding, and findings that it shows, as upstream's sampler does.

    Parameters
    ----------
    shown
        Boolean, (N, slices): whether a finding has a voxel in a slice.
    count, most
        Number of slices to draw, at least 2, and of findings, at most.
    rng
        Random generator.

    Returns
    -------
    slices, findings : ndarray of int
        As :func:`consecutive`, uniform among all that begin so; numbers of the findings. Where none begins so, since
        the findings are in the last slices only, the slices hold one of them; where there is no voxel at all, any do.
    """
    length = shown.shape[1]
    starts = np.flatnonzero(shown[:, : max(1, length - count + 1)].any(axis=0))
    if starts.size:
        first = int(rng.choice(starts))
        slices = np.minimum(np.arange(first, max(min(first + count, length), first + 2)), length - 1)
        visible = np.flatnonzero(shown[:, first])
    else:
        slices = consecutive(length, count, np.asarray(shown.any(axis=0)), rng)
        visible = np.flatnonzero(shown[:, slices].any(axis=1))
    return slices, rng.permutation(visible if visible.size else len(shown))[:most]


def marks(mask: np.ndarray, size: int) -> np.ndarray:
    """Return a mask (L, P, S), bool, slice by slice at the size of the pictures, (S, size, size); nearest pixels."""
    found = np.zeros((mask.shape[2], size, size), dtype=bool)
    for index in np.flatnonzero(mask.any(axis=(0, 1))):
        found[index] = resized(mask[:, :, index].T.astype(np.uint8), size, nearest=True)
    return found
