"""A hint for masks whose header is inconspicuous: some would fit if they were mirrored or transposed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from harness.masks import Bits, warning
from harness.masks.bits import from_coordinates
from harness.rows import MaskProblem
from harness.scoring.overlap import dice

#: A Dice below this is examined.
SUSPICIOUS = 0.01

#: A mirrored mask must reach at least this to be worth a hint.
TELLING = 0.2

#: Larger predictions are not examined: the hint must stay cheap.
MAX_VOXELS = 2_000_000


def mirror_hint(truth: Bits, prediction: Bits, value: float) -> Sequence[MaskProblem]:
    """Return a warning when a prediction that misses would have hit after an in-plane flip or transposition.

    Parameters
    ----------
    truth, prediction
        Masks of one finding on one grid.
    value
        Their Dice, unchanged.

    Returns
    -------
    sequence of MaskProblem
        One warning, or none. The score itself does not change.
    """
    if value >= SUSPICIOUS or not truth.count or not 0 < prediction.count <= MAX_VOXELS:
        return ()
    if not 1 / 4 <= truth.count / prediction.count <= 4:
        return ()  # the arrangement of so few voxels is not informative
    arrangements: dict[str, Callable[[], Bits]] = {
        "reversed along x": lambda: prediction.flipped((0,)),
        "reversed along y": lambda: prediction.flipped((1,)),
        "reversed along x and y": lambda: prediction.flipped((0, 1)),
    }
    if prediction.shape[0] == prediction.shape[1]:
        arrangements["transposed in plane"] = lambda: _transposed(prediction)
    for name, arrange in arrangements.items():
        other = arrange()
        fitted = dice(truth.count, other.count, truth.intersection(other))
        if fitted >= TELLING:
            return (
                warning(
                    "mirrored",
                    f"the mask misses the finding (Dice {value:.3f}) but reaches {fitted:.3f} when {name}",
                    cause="an orientation change before the model that was not undone before saving",
                    fix="undo the reorientation before saving, so that mask[i, j, k] belongs to ct[i, j, k]",
                ),
            )
    return ()


def _transposed(mask: Bits) -> Bits:
    x, y, z = mask.coordinates()
    return from_coordinates(mask.shape, y, x, z, np.ones(len(x), np.int32))
