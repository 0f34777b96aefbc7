"""From a CT as stored to a model's input, and back, without interpolation: axes, intensity window, boxes.

A CT is stored in any orientation; models were trained in one. A :class:`Reorientation` permutes and reverses the axes
of an array so that they run as a model expects, and restores masks to the voxels they came from. Nothing is resampled:
an oblique volume is reoriented to the nearest axes.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Sequence

import nibabel as nib
import numpy as np

from groundbench_sdk.errors import Rejected

Box = Sequence[int]


class Reorientation(NamedTuple):
    """How the axes of a stored array become those that a model expects."""

    axes: tuple[int, ...]  #: stored axis that becomes axis i of the reoriented array
    reverse: tuple[bool, ...]  #: whether axis i of the reoriented array runs against its stored axis

    def apply(self, array: np.ndarray) -> np.ndarray:
        """Return a stored (H, W, D) array with its axes reoriented; a view, not a copy."""
        return self._reversed(array.transpose(self.axes))

    def restore(self, array: np.ndarray) -> np.ndarray:
        """Return a reoriented array with its axes as stored; a view, not a copy."""
        return self._reversed(array).transpose(tuple(int(i) for i in np.argsort(self.axes)))

    def values(self, stored: Sequence[Any]) -> tuple[Any, ...]:
        """Return values of the stored axes, such as shape or spacing, in the order of the reoriented axes."""
        return tuple(stored[axis] for axis in self.axes)

    def box(self, box: Box, shape: Sequence[int]) -> list[int]:
        """Return a box ``[x0, y0, z0, x1, y1, z1]`` of a stored array of this shape on the reoriented array."""
        lengths = self.values(shape)
        low, high = self.values(box[:3]), self.values(box[3:])
        ends = [
            (length - upper, length - lower) if reverse else (lower, upper)
            for lower, upper, length, reverse in zip(low, high, lengths, self.reverse)
        ]
        return [lower for lower, _ in ends] + [upper for _, upper in ends]

    def _reversed(self, array: np.ndarray) -> np.ndarray:
        return array[tuple(slice(None, None, -1 if reverse else 1) for reverse in self.reverse)]


def reorient_to(codes: str, affine: np.ndarray) -> Reorientation:
    """Find the reorientation after which the axes of an array run towards `codes`.

    Parameters
    ----------
    codes
        Three letters: the direction of each axis of the reoriented array, as in ``"RAS"`` (right, anterior, superior).
        With ``"LPS"`` slice ``[:, :, i].T`` is an axial picture as radiologists see it, counted from the feet.
    affine
        Voxel-to-world matrix (4, 4) of the stored array, millimetres, RAS+ (``Case.affine``).

    Raises
    ------
    Rejected
        When the affine is singular or not finite.
    """
    found = nib.orientations.io_orientation(affine)  # type: ignore[no-untyped-call]
    if not np.isfinite(found).all():
        raise Rejected("the CT's affine is not valid: one of its axes has no direction")
    wanted = nib.orientations.axcodes2ornt(tuple(codes))  # type: ignore[no-untyped-call]
    stored = [int(np.flatnonzero(found[:, 0] == world)[0]) for world in wanted[:, 0]]
    against = [bool(found[axis, 1] != row[1]) for axis, row in zip(stored, wanted)]
    return Reorientation(tuple(stored), tuple(against))


def window(hu: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return Hounsfield units as uint8: `low` and below 0, `high` and above 255, linear between, rounded down."""
    if not low < high:
        raise Rejected(f"a window from {low:g} to {high:g} HU is empty")
    scaled = (np.clip(hu.astype(np.float32), low, high) - low) * (255.0 / (high - low))
    return np.asarray(np.minimum(scaled, 255.0), np.uint8)


def slice_boxes(box: Box) -> dict[int, list[int]]:
    """Return slice -> ``[x0, y0, x1, y1]`` for every slice of a 3-D box: the same rectangle on each."""
    return {index: [box[0], box[1], box[3], box[4]] for index in range(box[2], box[5])}


def key_slice(box: Box) -> int:
    """Return the middle slice of a 3-D box, the lower of two; the slice that is prompted."""
    return (box[2] + box[5] - 1) // 2
