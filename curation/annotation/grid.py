"""Put a mask that lies on part of a CT's grid, or on its axes in another order, onto the CT's array."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from harness.errors import DataError

_ALIGNED: Final = 0.02  # how far a direction may be from an axis of the grid
_SHIFT: Final = 0.1  # voxels by which the mask's grid may lie between the CT's voxels

Matrix = npt.NDArray[np.float64]


def place(
    labels: npt.NDArray[Any], affine: Matrix, shape: tuple[int, int, int], target: Matrix, what: str
) -> npt.NDArray[np.uint8]:
    """Return `labels` on the CT's array.

    Programs crop what is empty, and reverse or exchange axes; that is undone exactly. Nothing is ever interpolated.

    Parameters
    ----------
    labels
        Three axes, values 0 to 255.
    affine
        Array index of `labels` -> mm (RAS+), 4x4.
    shape, target
        Shape of the CT array, and its affine.
    what
        Names the mask in messages.

    Raises
    ------
    DataError
        The mask is on another grid, or has voxels outside the CT.
    """
    relative = np.linalg.inv(target) @ affine
    turn, offset = relative[:3, :3], relative[:3, 3]
    axes = np.abs(turn).argmax(axis=0)
    signs = np.sign(turn[axes, range(3)]).astype(int)
    exact = np.zeros((3, 3))
    exact[axes, range(3)] = signs
    if sorted(axes) != [0, 1, 2] or np.abs(turn - exact).max() > _ALIGNED:
        raise DataError(
            f"{what} has another grid than its CT (spacing or directions differ)",
            fix="annotate on the CT of the task, and export without resampling",
        )
    start = np.rint(offset).astype(int)
    drift = np.abs((turn - exact) @ (np.array(labels.shape) - 1)) + np.abs(offset - start)
    if drift.max() > 2 * _SHIFT:
        raise DataError(
            f"{what} lies {drift.max():.2f} voxels beside its CT's grid",
            fix="annotate on the CT of the task, and export without resampling",
        )
    turned = labels.transpose(np.argsort(axes))
    for source, sign in enumerate(signs):
        if sign < 0:
            turned = np.flip(turned, axes[source])
            start[axes[source]] -= labels.shape[source] - 1
    result = np.zeros(shape, np.uint8)
    inside = tuple(slice(max(0, s), min(n, s + m)) for s, m, n in zip(start, turned.shape, shape, strict=True))
    part = tuple(slice(i.start - s, max(i.start, i.stop) - s) for i, s in zip(inside, start, strict=True))
    kept = turned[part]
    if np.count_nonzero(kept) != np.count_nonzero(turned):
        raise DataError(f"{what} has voxels outside its CT", fix="annotate on the CT of the task")
    result[inside] = kept
    return result
