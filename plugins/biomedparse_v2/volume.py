"""A CT as BiomedParse v2 sees it: axial slices through one window, each with its two neighbours."""

from __future__ import annotations

import numpy as np
from groundbench_sdk.grids import window
from groundbench_sdk.slices import Square
from numpy.typing import NDArray


def draw(hu: NDArray[np.int16], square: Square, low: float, high: float) -> NDArray[np.uint8]:
    """Return a slice (rows, columns), HU, as a grey picture (side, side): 0 at `low` and below, 255 at `high`."""
    return np.clip(np.rint(square.fit(window(hu, low, high))), 0, 255).astype(np.uint8)


def neighbours(index: int, count: int) -> tuple[int, int, int]:
    """Return the slices that are the three channels of slice `index` of `count`: itself, the one before, the one after.

    At either end the only neighbour is on both sides; a single slice is its own neighbour.
    """
    if count == 1:
        return 0, 0, 0
    return index, index - 1 if index else 1, index + 1 if index + 1 < count else count - 2
