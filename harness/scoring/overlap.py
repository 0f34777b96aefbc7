"""Dice: the overlap of two masks."""

from __future__ import annotations


def dice(truth: int, prediction: int, intersection: int, smoothing: float = 0.0) -> float:
    """Return the Dice coefficient of two masks from their voxel counts.

    ``(2 |A and B| + s) / (|A| + |B| + s)``: paper, section 5.1, with ``s = 0``; organisers' evaluator, with
    ``s = 1e-6``. Both empty is exactly 1.

    Parameters
    ----------
    truth, prediction, intersection
        Voxels in the one, in the other, in both.
    smoothing
        The term `s`.
    """
    total = truth + prediction
    return (2 * intersection + smoothing) / (total + smoothing) if total else 1.0
